"""Guidance away from a negative text, against the paper's formula written out, and where it must change nothing."""

import pytest
import torch
from comfy.ldm.modules.attention import attention_pytorch

from lumosx_core.models.lumosx import TableCache, relational_forward
from lumosx_core.models.lumosx.attention import PlainTextAttention, RelationalTextAttention
from lumosx_core.models.lumosx.method import RelationalMethod
from lumosx_core.models.lumosx.negative import (
    DenseGuidedTextAttention,
    GuidedTextAttention,
    NegativeGuidance,
    NegativeText,
    guided,
)
from lumosx_core.models.lumosx.sequence import Binding

STRONG = NegativeGuidance(scale=11.0, tau=2.5, alpha=0.25)


def written_out(positive, negative, guidance):
    """The formula of arXiv 2505.21179, one step after the other."""
    moved = positive * guidance.scale - negative * (guidance.scale - 1)
    before, after = (x.abs().sum(-1, keepdim=True) for x in (positive, moved))
    ratio = after / before
    moved = torch.where(ratio > guidance.tau, moved / ratio * guidance.tau, moved)
    return moved * guidance.alpha + positive * (1 - guidance.alpha)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def relative(one, other):
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize("guidance", [
    STRONG, NegativeGuidance(), NegativeGuidance(3.0, 1.0, 1.0), NegativeGuidance(0.0, 2.5, 0.5),
    NegativeGuidance(50.0, 10.0, 1.0), NegativeGuidance(1.5, 100.0, 0.25),
])
def test_it_is_the_formula(guidance):
    positive, negative = drawn(2, 30, 64), drawn(2, 30, 64, seed=1)
    # Some tokens are far below the cap, some far above it.
    negative[:, ::2] = positive[:, ::2] + negative[:, ::2] * 0.01
    expected = written_out(positive.double(), negative.double(), guidance)
    assert relative(guided(positive, negative, guidance), expected) < 2e-6
    rounded = positive.bfloat16(), negative.bfloat16()
    half = guided(*rounded, guidance)
    assert half.dtype == torch.bfloat16
    assert relative(half.double(), written_out(*(x.double() for x in rounded), guidance)) < 0.02


def test_the_cap_is_met_by_some_tokens_only():
    """Else the test above would not see it."""
    positive, negative = drawn(2, 30, 64), drawn(2, 30, 64, seed=1)
    negative[:, ::2] = positive[:, ::2] + negative[:, ::2] * 0.01
    ratios = (positive * 11 - negative * 10).abs().sum(-1) / positive.abs().sum(-1)
    assert (ratios[:, ::2] < 2.5).all() and (ratios[:, 1::2] > 2.5).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("guidance", [STRONG, NegativeGuidance(50.0, 1.0, 1.0), NegativeGuidance(0.0, 1.0, 0.3)])
def test_a_negative_like_the_positive_changes_no_bit(dtype, guidance):
    positive = drawn(2, 30, 64).to(dtype)
    positive[0, 0] = 0
    assert torch.equal(guided(positive, positive.clone(), guidance), positive)


def text(seed=9, words=50):
    context = drawn(1, 512, 64, seed=seed)
    context[:, words:] = 0
    return context


def test_what_is_off_changes_no_bit(forward, make_binding):
    binding = make_binding(1, [2, 1])
    plain = forward(binding)
    for off in (NegativeGuidance(scale=1.0), NegativeGuidance(alpha=0.0)):
        assert torch.equal(forward(binding, negative=NegativeText(text(), off)), plain)
    assert relative(forward(binding, negative=NegativeText(text(), STRONG)), plain) > 1e-2


@pytest.mark.parametrize("dense_text", [False, True])
def test_the_same_text_as_negative_changes_no_bit(wan, make_binding, dense_text):
    binding = make_binding(1, [2, 1])
    references = [drawn(1, 16, 1, 12, 20, seed=5 + index) for index in range(binding.references)]
    latent, context = drawn(1, 16, 3, 12, 20), text(3)

    def run(**options):
        with torch.no_grad():
            return relational_forward(
                wan, latent, torch.tensor([600.0]), context, references, binding, attention_pytorch,
                dense_text=dense_text, **options,
            )

    plain = run()
    assert torch.equal(run(negative=NegativeText(context.clone(), STRONG)), plain)
    assert relative(run(negative=NegativeText(text(), STRONG)), plain) > 1e-2


def test_without_references_it_is_the_stock_model_with_the_formula_in_its_cross_attention(wan, monkeypatch):
    """An implementation of its own: ComfyUI's forward, in which cross-attention is written out."""
    latent, context, negative = drawn(1, 16, 3, 12, 20), text(3), text(9, 30)
    embedded = wan.text_embedding(negative)

    def written(layer):
        def forward(x, context, *_, **__):
            q = layer.norm_q(layer.q(x))
            mixed = [
                attention_pytorch(q, layer.norm_k(layer.k(words)), layer.v(words), layer.num_heads)
                for words in (context, embedded)
            ]
            return layer.o(written_out(*mixed, STRONG))

        return forward

    with torch.no_grad():
        ours = relational_forward(
            wan, latent, torch.tensor([600.0]), context, [], Binding((), (), ()), attention_pytorch,
            negative=NegativeText(negative, STRONG),
        )
        for block in wan.blocks:
            monkeypatch.setattr(block.cross_attn, "forward", written(block.cross_attn))
        stock = wan(latent, torch.tensor([600.0]), context)
    assert relative(ours, stock) < 5e-6


@pytest.mark.parametrize("options", [{"chunk_tokens": 37}, {"chunk_tokens": 60}, {"dense_text": True}])
def test_chunks_and_backends_change_nothing(forward, make_binding, options):
    binding, negative = make_binding(1, [2, 1]), NegativeText(text(), STRONG)
    # The scale makes rounding larger, too.
    whole = forward(binding, negative=negative)
    assert relative(forward(binding, negative=negative, **options), whole) < 1e-5


def test_each_video_of_a_batch_is_guided_as_if_it_were_alone(wan, make_binding):
    binding, negative = make_binding(1, [1]), NegativeText(text(), STRONG)
    latent, context = drawn(2, 16, 3, 12, 20), text(3).expand(2, -1, -1)
    references = [drawn(1, 16, 1, 12, 20, seed=5 + index).expand(2, -1, -1, -1, -1) for index in range(2)]

    def run(rows):
        with torch.no_grad():
            return relational_forward(
                wan, latent[rows], torch.full((len(latent[rows]),), 600.0), context[rows],
                [reference[rows] for reference in references], binding, attention_pytorch, negative=negative,
            )

    assert relative(run(slice(0, 2)), torch.cat([run(slice(0, 1)), run(slice(1, 2))])) < 1e-5


def test_both_texts_are_embedded_once_a_run(wan, forward, make_binding, monkeypatch):
    binding, cache, negative = make_binding(1, [1]), TableCache(), NegativeText(text(), STRONG)
    calls, real = [], wan.text_embedding.forward
    monkeypatch.setattr(wan.text_embedding, "forward", lambda x: calls.append(x.shape) or real(x))
    for _ in range(3):
        forward(binding, cache=cache, negative=negative)
    assert len(calls) == 2


def test_references_keep_their_own_attention(wan, make_binding):
    from lumosx_core.models.lumosx.negative import NegativeKeys
    from lumosx_core.models.lumosx.options import RELEASE_OPTIONS
    from lumosx_core.models.lumosx.sequence import SequenceLayout

    layout = SequenceLayout(3, 6, 10, make_binding(1, [1]))
    tables = TableCache().find(wan, text(), layout, RELEASE_OPTIONS)
    for dense_text, kind in ((False, GuidedTextAttention), (True, DenseGuidedTextAttention)):
        method = RelationalMethod(tables, [], attention_pytorch, True, dense_text, NegativeKeys(tables.texts, STRONG))
        attention = method.attention(0)
        assert type(attention.cross_attention(0, 0, 60)) is kind
        assert type(attention.cross_attention(1, 0, 60)) is RelationalTextAttention
    plain = RelationalMethod(tables, [], attention_pytorch)
    assert type(plain.attention(0).cross_attention(0, 0, 60)) is PlainTextAttention
