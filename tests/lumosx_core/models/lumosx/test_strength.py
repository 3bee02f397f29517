"""Strengths of references against a mask that is written out in full, and what they cost."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from benchmarks.counting import count_flops
from benchmarks.dense import pytorch_attention
from benchmarks.live import LiveBytes
from benchmarks.shapes import SCENES, Shape, draw_inputs, draw_model, drawn_binding
from lumosx_core.attention.backend_calls import unsupported_reason
from lumosx_core.attention.backends import BACKENDS, Chosen
from lumosx_core.models.lumosx import RelationalOptions, TableCache, relational_forward
from lumosx_core.models.lumosx.attention import relational_self_attention
from lumosx_core.models.lumosx.cost import Chunks, forward_bytes, forward_work
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout
from lumosx_core.models.lumosx.strength import KeyStrengths
from lumosx_core.models.wan.config import WanConfig

HEADS, HEAD_DIM = 2, 16
PEOPLE = (((1, 3),), ((2, 5),)), (2, 1)
STRENGTHS = [(0.5, 1, 1, 1), (1, 1, 2, 0.25), (3, 0, 1, 0.1), (0, 0, 1, 1), (0, 0, 0, 0), (1, 1, 0, 0),
             (10, 10, 10, 10)]


def layout_of(strengths):
    return SequenceLayout(3, 4, 6, Binding((((9, 10),),), *PEOPLE, tuple(map(float, strengths))))


def split(x):
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def tokens_of(layout, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(3, 2, layout.tokens, HEADS * HEAD_DIM, generator=generator, dtype=torch.float64).to(dtype)


def attended(q, k, v, layout, dense=pytorch_attention):
    strengths = KeyStrengths.of(layout, HEAD_DIM)
    return torch.cat(relational_self_attention(q, k, v, HEADS, layout, dense, strengths), dim=1)


def masked(q, k, v, layout):
    """By the rule: log s on the logits of a reference's keys, for the video's queries only."""
    bias = torch.full((layout.tokens, layout.tokens), -math.inf, dtype=q.dtype)
    bias[:layout.video_tokens] = 0
    for reference, strength in enumerate(layout.binding.strengths):
        start, end = layout.reference_range(reference)
        bias[:layout.video_tokens, start:end] = math.log(strength) if strength else -math.inf
    for start, end in layout.groups:
        bias[start:end, start:end] = 0
    return F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=bias).transpose(1, 2).flatten(2)


@pytest.mark.parametrize("strengths", STRENGTHS)
def test_attention_is_the_one_with_a_mask(strengths):
    layout = layout_of(strengths)
    q, k, v = tokens_of(layout)
    torch.testing.assert_close(attended(q, k, v, layout), masked(q, k, v, layout), rtol=0, atol=2e-7)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 2e-6), (torch.bfloat16, 0.02), (torch.float16, 3e-3)])
def test_it_holds_in_every_precision(dtype, most):
    layout = layout_of((3, 0, 1, 0.1))
    exact = tokens_of(layout, dtype).double()
    found = attended(*exact.to(dtype), layout).double()
    assert (found - masked(*exact, layout)).abs().max() < most


def test_half_precision_keeps_a_strength():
    """Where all keys are alike, the share of attention that a reference gets is its strength's."""
    for strength in (0.3, 0.5, 0.77, 1.9, 10):
        layout = layout_of((strength, 1, 1, 1))
        q, k, v = torch.zeros(3, 1, layout.tokens, HEADS * HEAD_DIM, dtype=torch.bfloat16)
        start, end = layout.reference_range(0)
        v[:, start:end] = 1
        share = attended(q, k, v, layout)[0, 0, 0].item()
        assert share == pytest.approx(strength / (strength + 6), rel=6e-3)


def test_strength_1_is_the_same_computation(forward, make_binding):
    binding = make_binding(1, [2, 1])
    assert KeyStrengths.of(layout_of((1, 1, 1, 1)), HEAD_DIM) is not None
    assert KeyStrengths.of(SequenceLayout(3, 4, 6, binding), HEAD_DIM) is None
    # Nobody writes down strengths that are all 1, see ``Binding.of_words``.
    assert torch.equal(forward(binding), forward(dataclasses.replace(binding, strengths=())))


@pytest.mark.parametrize("csam", [True, False])
def test_a_weak_reference_acts_less_on_the_video_and_0_not_at_all(forward, make_binding, csam):
    binding, options = make_binding(1, [2, 1]), RelationalOptions(csam=csam)
    full, half, weak, gone = (
        forward(dataclasses.replace(binding, strengths=(strength, 1.0, 1.0, 1.0)), options=options)
        for strength in (1.0, 0.5, 1e-6, 0.0)
    )
    assert (weak - gone).norm() / gone.norm() < 1e-5
    assert (weak - gone).norm() < (half - gone).norm() < (full - gone).norm()
    assert ((full - forward(binding, options=options)).norm() / full.norm()) < 2e-6


def test_0_is_absence_from_the_videos_attention():
    """The video's rows are those of a sequence without these tokens, the references' own rows do not change."""
    layout, full = layout_of((1, 0, 0, 1)), layout_of(())
    q, k, v = tokens_of(layout, torch.float32)
    start, end = layout.reference_range(1)[0], layout.reference_range(2)[1]
    without = [torch.cat([x[:, :start], x[:, end:]], dim=1) for x in (k, v)]
    video = pytorch_attention(q[:, :layout.video_tokens], *without, HEADS)
    found = attended(q, k, v, layout)
    assert torch.equal(found[:, :layout.video_tokens], video)
    assert torch.equal(found[:, layout.video_tokens:], attended(q, k, v, full)[:, layout.video_tokens:])


def test_a_backend_never_sees_a_mask_and_only_the_videos_call_is_wider():
    layout, seen = layout_of((0.5, 1, 1, 0)), []

    def dense(q, k, v, heads):
        seen.append((q.shape[1], k.shape[1], q.shape[2] // heads))
        return pytorch_attention(q, k, v, heads)

    q, k, v = tokens_of(layout)
    before = k.clone()
    attended(q, k, v, layout, dense)
    frame, wide = layout.frame_tokens, HEAD_DIM + 8
    assert seen == [(3 * frame, 6 * frame, wide), (frame, frame, HEAD_DIM), (2 * frame, 2 * frame, HEAD_DIM),
                    (frame, frame, HEAD_DIM)]
    assert torch.equal(k, before)


@pytest.mark.parametrize(("choice", "takes"), [
    ("sageattention 1", False), ("sageattention 2", False), ("flash attention 2", True), ("flash attention 3", True),
    ("xformers", True), ("comfy-kitchen int8", True), ("sageattention 3", False),
])
def test_backends_that_take_the_wider_call(choice, takes):
    """For 128 channels of a head; what a backend does not take, PyTorch computes, and the log says so."""
    q = torch.zeros(1, 4, 2 * (128 + 8), dtype=torch.bfloat16)
    chosen = Chosen(choice, pytorch_attention, BACKENDS[choice])
    reason = unsupported_reason(chosen, q, q, q, 2, None, False, {})
    assert reason is None if takes else "136 channels" in reason


SMALL = Shape(dim=256, ffn_dim=1024, layers=2, grid=(3, 9, 14), text_dim=64)


@pytest.mark.parametrize("strength", [0.0, 0.5])
@pytest.mark.parametrize(("dtype", "batch"), [(torch.float32, 1), (torch.bfloat16, 2)])
def test_cost_and_peak_are_foreseen(strength, dtype, batch):
    model, drawn = draw_model(SMALL, dtype=dtype), drawn_binding(*SCENES[6])
    binding = dataclasses.replace(drawn, strengths=(strength, *[1.0] * 5))
    inputs, tables, options = draw_inputs(SMALL, binding, dtype=dtype), TableCache(), RelationalOptions()
    latent, context, *pictures = (
        x.expand(batch, *x.shape[1:]).contiguous() for x in (inputs.latent, inputs.context, *inputs.references)
    )

    def run():
        return relational_forward(
            model, latent, inputs.timestep.expand(batch), context, pictures, binding, pytorch_attention, options,
            cache=tables,
        )

    with torch.inference_mode():
        keys = tables.find(model, context, inputs.layout, options).texts[0].keys.shape[1]
        with LiveBytes() as live:
            run()
    sizes = WanConfig.of_module(model)
    said = forward_bytes(inputs.layout, sizes, dtype.itemsize, batch, Chunks(0))
    assert 0.98 * live.peak <= said <= 1.15 * live.peak
    if batch == 1:
        assert count_flops(run) == forward_work(inputs.layout, sizes, text_keys=keys).total
