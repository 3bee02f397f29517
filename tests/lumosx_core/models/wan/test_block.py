"""The seam of a block, by a method that adds nothing: ComfyUI's own Wan comes out bit for bit."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from comfy.ldm.flux.math import apply_rope1
from comfy.ldm.modules.attention import optimized_attention

from lumosx_core.models.wan import block as block_module
from lumosx_core.models.wan.block import BlockInputs, Segment, wan_block
from tools.golden import wan_model

SIZES = {
    "dim": 256, "num_heads": 2, "ffn_dim": 512, "num_layers": 3, "text_dim": 64, "freq_dim": 64,
    "patch_size": (1, 2, 2), "in_dim": 16, "out_dim": 16, "text_len": 512,
}


@dataclass(frozen=True)
class MoreKeys:
    """A method in twenty lines: further keys and values for every query, in both attentions of a block."""

    text: tuple[torch.Tensor, torch.Tensor]
    more: torch.Tensor
    scale: float
    compiles = False
    of_units = ()

    def self_attention(self, q, k, v, heads):
        return [self.attend(q, k, v, heads)]

    def cross_attention(self, part, start, end):
        return self

    def __call__(self, q, heads):
        return self.attend(q, *self.text, heads)

    def attend(self, q, k, v, heads):
        more = optimized_attention(q, self.more.to(q), self.more.to(q), heads)
        return optimized_attention(q, k, v, heads) + self.scale * more


def rotate(x, heads, table):
    """ComfyUI's own rotary embedding."""
    return apply_rope1(x.unflatten(-1, (heads, -1)), table[None]).flatten(2)


def put_in_place(block, scale, chunk_tokens):
    """A block under the method, as ``patches_replace`` takes it."""
    def run(given, _):
        x, text, layer = given["img"], given["txt"], block.cross_attn
        keys_values = layer.norm_k(layer.k(text)), layer.v(text)
        more = torch.randn(len(x), 7, x.shape[2], generator=torch.Generator().manual_seed(1))
        inputs = BlockInputs((Segment(x.shape[1]),), given["pe"][0], given["vec"][:, 0], x.dtype, chunk_tokens, rotate)
        return {"img": wan_block(block, MoreKeys(keys_values, more, scale), inputs, False, x.clone())}

    return run


@pytest.fixture(scope="module")
def wan():
    return wan_model(SIZES, 1)


@pytest.fixture
def forward(wan):
    """forward(dtype, batch, scale=None): a velocity of ComfyUI's model, with a scale under the method."""
    def run(dtype, batch, scale=None, chunk_tokens=0):
        model = wan.to(dtype)
        # As ComfyUI loads it.
        model.patch_embedding.float()
        generator = torch.Generator().manual_seed(0)
        latent = torch.randn(batch, 16, 3, 12, 20, generator=generator).to(dtype)
        context = torch.randn(batch, 512, 64, generator=generator).to(dtype)
        blocks = {} if scale is None else {
            ("double_block", index): put_in_place(block, scale, chunk_tokens)
            for index, block in enumerate(model.blocks)
        }
        with torch.no_grad():
            return model(
                latent, torch.full((batch,), 600.0), context, transformer_options={"patches_replace": {"dit": blocks}}
            )

    yield run
    wan.float()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_method_that_adds_nothing_is_wan_bit_for_bit(forward, dtype, batch):
    assert torch.equal(forward(dtype, batch, scale=0.0), forward(dtype, batch))


def test_the_same_method_changes_the_video_at_another_scale(forward):
    stock, added = forward(torch.float32, 1), forward(torch.float32, 1, scale=0.5)
    assert (added - stock).norm() / stock.norm() > 0.05


def test_chunks_change_nothing_but_rounding(forward):
    whole, chunked = (forward(torch.float32, 1, 0.5, tokens) for tokens in (0, 37))
    assert (chunked - whole).norm() / whole.norm() < 2e-6


class Compilable(MoreKeys):
    compiles = True


@pytest.mark.parametrize(("method", "finished"), [(MoreKeys, []), (Compilable, ["_finish_Compilable"] * 2)])
@pytest.mark.parametrize("last", [False, True])
def test_only_attention_that_compiles_goes_through_the_compiler_of_a_block(wan, method, finished, last):
    """The projections always do. The compiler is one that notes what it is given."""
    seen = []

    def compiler(function):
        def run(*given):
            seen.append(function.__name__)
            return function(*given)

        return run

    block = wan.float().blocks[0]
    text = tuple(torch.randn(1, 5, 256, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    attention = method(text, torch.zeros(1, 7, 256), 0.0)
    inputs = BlockInputs((Segment(8), Segment(4)), torch.zeros(12, 1), torch.zeros(1, 6, 256), torch.float32,
                         rotate=lambda x, heads, table: x)
    x = torch.randn(1, 12, 256, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        plain = wan_block(block, _Split(attention), inputs, last, x.clone())
        other = SimpleNamespace(dynamo_ctx=compiler, _orig_mod=block)
        traced = wan_block(other, _Split(attention), inputs, last, x.clone())
    assert torch.equal(plain, traced)
    projected = ["_project", "_project_keys"] if last else ["_project"]
    assert seen == projected + finished[:1 if last else 2]


class _Split:
    """Gives each of two parts its rows, as a method with references does."""

    def __init__(self, attention):
        self.attention = attention

    def self_attention(self, q, k, v, heads):
        made = self.attention.attend(q, k, v, heads)
        return made[:, :8], made[:, 8:]

    def cross_attention(self, part, start, end):
        return self.attention


@pytest.mark.parametrize(("tokens", "queries", "chunk", "spans"), [
    (10, 10, 0, [(0, 10)]), (10, 4, 0, [(0, 4), (4, 10)]), (10, 4, 3, [(0, 3), (3, 4), (4, 7), (7, 10)]),
    (10, 10, 10, [(0, 10)]), (10, 10, 9, [(0, 9), (9, 10)]), (10, 10, 11, [(0, 10)]),
])
def test_spans_of_rows_with_and_without_a_query(tokens, queries, chunk, spans):
    assert list(block_module._spans(tokens, queries, chunk)) == spans


@pytest.mark.parametrize(("unit", "chunk", "spans"), [
    (1, 0, [(0, 12)]), (3, 7, [(0, 6), (6, 12)]), (3, 2, [(0, 3), (3, 6), (6, 9), (9, 12)]), (3, 100, [(0, 12)]),
    (3, 9, [(0, 9), (9, 12)]), (12, 1, [(0, 12)]), (1, 11, [(0, 11), (11, 12)]), (1, 12, [(0, 12)]),
])
def test_spans_of_a_part_are_whole_units(unit, chunk, spans):
    assert list(block_module._spans_of(Segment(12, unit), chunk)) == spans
