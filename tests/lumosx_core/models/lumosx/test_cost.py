"""The formulas against the table of the research notes, and against the real forward: every operation and byte."""

from dataclasses import replace

import pytest
import torch

from benchmarks.counting import count_flops
from benchmarks.dense import pytorch_attention
from benchmarks.live import LiveBytes
from benchmarks.shapes import SCENES, Shape, draw_inputs, draw_model, drawn_binding
from lumosx_core.models.lumosx import RelationalOptions, TableCache, relational_forward
from lumosx_core.models.lumosx.cost import (
    GIGABYTE,
    Chunks,
    forward_bytes,
    forward_work,
    least_budget,
    peak_bytes,
    plan_forward,
    prompt_flops,
    streaming_bytes,
)
from lumosx_core.models.lumosx.sequence import SequenceLayout
from lumosx_core.models.wan.config import WAN21_1_3B, WanConfig

# References: tokens, and 10**12 FLOPs in linear layers, self- and cross-attention, for text, and all together.
TABLE = {
    0: (32760, 81.9, 197.8, 3.09, 0.15, 283.0),
    1: (34320, 85.8, 207.7, 3.24, 0.15, 296.9),
    3: (37440, 93.6, 228.3, 3.53, 0.15, 325.7),
    6: (42120, 105.3, 258.8, 3.97, 0.15, 368.3),
    10: (48360, 120.9, 302.8, 4.56, 0.15, 428.5),
}
SMALL = Shape(dim=256, ffn_dim=1024, layers=2, grid=(3, 9, 14), text_dim=64)


def full_size(references):
    """480 x 832, 81 frames."""
    return SequenceLayout(21, 30, 52, drawn_binding(*SCENES[references]))


@pytest.mark.parametrize("references", TABLE)
def test_the_formula_is_that_of_the_table(references):
    """With all text keys and nothing left out in the last block; MCAM's pooled queries came on top of the table."""
    tokens, linear, attention, cross, text, total = TABLE[references]
    layout = full_size(references)
    work = forward_work(layout, prune=False)
    assert layout.tokens == tokens
    assert work.linear / 1e12 == pytest.approx(linear, abs=0.06)
    assert work.self_attention / 1e12 == pytest.approx(attention, abs=0.06)
    assert work.cross_attention / 1e12 == pytest.approx(cross, abs=0.02)
    assert prompt_flops() / 1e12 == pytest.approx(text, abs=0.006)
    assert (work.total + prompt_flops()) / 1e12 == pytest.approx(total, abs=0.1)


@pytest.mark.parametrize("references", [1, 3, 6, 10])
def test_pruning_and_merging_save_what_was_said(references):
    layout = full_size(references)
    saved = 1 - forward_work(layout).total / forward_work(layout, prune=False).total
    assert saved == pytest.approx({1: 0.0005, 3: 0.0013, 6: 0.0024, 10: 0.0036}[references], abs=2e-4)
    assert forward_work(layout, text_keys=128).cross_attention * 4 == forward_work(layout).cross_attention
    assert forward_work(layout, batch=2).total == 2 * forward_work(layout).total


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bf16"])
def model(request):
    return draw_model(SMALL, dtype=request.param)


def dtype_of(model):
    # ComfyUI keeps the patch embedding in float32.
    return model.blocks[0].self_attn.q.weight.dtype


def call(model, references, chunk_tokens=0, batch=1, float32_residual=True):
    """(a forward that finds the run's tables, its layout, its text keys)."""
    dtype = dtype_of(model)
    inputs, tables = draw_inputs(SMALL, drawn_binding(*SCENES[references]), dtype=dtype), TableCache()
    options = RelationalOptions(float32_residual=float32_residual)
    rows = [x.expand(batch, *x.shape[1:]).contiguous() for x in (inputs.latent, inputs.context, *inputs.references)]
    latent, context, *pictures = rows
    with torch.inference_mode():
        keys = tables.find(model, context, inputs.layout, options).texts[0].keys.shape[1]

    def run():
        return relational_forward(
            model, latent, inputs.timestep.expand(batch), context, pictures, inputs.binding, pytorch_attention,
            options, cache=tables, chunk_tokens=chunk_tokens,
        )

    return run, inputs.layout, keys


@pytest.mark.parametrize("chunk_tokens", [0, 128])
@pytest.mark.parametrize("references", [1, 6, 10])
def test_every_operation_of_the_real_forward_is_foreseen(model, references, chunk_tokens):
    run, layout, keys = call(model, references, chunk_tokens)
    assert keys < 512
    assert count_flops(run) == forward_work(layout, WanConfig.of_module(model), text_keys=keys).total


@pytest.mark.parametrize("float32_residual", [True, False])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("chunk_tokens", [0, 512, 100])
@pytest.mark.parametrize("references", [1, 6, 10])
def test_the_peak_of_the_real_forward_is_foreseen(model, references, chunk_tokens, batch, float32_residual):
    run, layout, _ = call(model, references, chunk_tokens, batch, float32_residual)
    with torch.inference_mode(), LiveBytes() as live:
        run()
    element = dtype_of(model).itemsize
    said = forward_bytes(layout, WanConfig.of_module(model), element, batch, Chunks(chunk_tokens), float32_residual)
    # Never less, but for crumbs; the older host's feed-forward takes a little less.
    assert 0.994 * live.peak <= said <= 1.09 * live.peak


def test_what_stays_through_a_run_is_foreseen(model):
    """Of both prompts rotary table, keys and values; besides, float32 copies that ComfyUI holds."""
    dtype, options = dtype_of(model), RelationalOptions()
    inputs = draw_inputs(SMALL, drawn_binding(*SCENES[6]), dtype=dtype)
    layout, cache = inputs.layout, TableCache()
    with torch.inference_mode():
        kept = [cache.find(model, text, layout, options) for text in (inputs.context, inputs.context / 2)]
    texts = [text for tables in kept for text in tables.texts]
    held = sum(tables.rotary.nbytes for tables in kept) + sum(text.keys.nbytes + text.values.nbytes for text in texts)
    sizes, keys = WanConfig.of_module(model), texts[0].keys.shape[1]
    said = peak_bytes(layout, sizes, dtype.itemsize, text_keys=keys) - forward_bytes(layout, sizes, dtype.itemsize)
    latent, prompt = 16 * 4 * layout.tokens, 512 * sizes.text_dim
    assert said == held + 4 * (10 * latent + 5 * prompt)


def test_streamed_weights_take_four_copies_of_the_largest_layer():
    assert streaming_bytes() == 4 * 2 * 6 * 1536**2
    assert streaming_bytes(replace(WAN21_1_3B, ffn_dim=10_000), 4) == 4 * 4 * 1536 * 10_000
    assert streaming_bytes(WanConfig(dim=128, ffn_dim=200, num_layers=1)) == 4 * 2 * 4096 * 128


def test_chunks_come_by_themselves_where_the_feed_forward_would_be_the_peak():
    assert plan_forward(SequenceLayout(5, 30, 52, drawn_binding(*SCENES[3]))).chunk_tokens == 0
    layout = full_size(6)
    plan = plan_forward(layout)
    assert plan.chunk_tokens == 8192 and not plan.sequential
    assert peak_bytes(layout) - peak_bytes(layout, chunks=Chunks(8192)) > GIGABYTE


def test_passes_run_apart_where_both_do_not_fit():
    layout = full_size(6)
    one, both = (peak_bytes(layout, chunks=Chunks(8192), together=passes) for passes in (1, 2))
    assert not plan_forward(layout, free_bytes=both).sequential
    apart = plan_forward(layout, free_bytes=both - 1)
    assert apart.sequential and (apart.chunk_tokens, apart.activation_bytes) == (8192, one)
    just = plan_forward(layout, free_bytes=one)
    assert just.sequential and (just.chunk_tokens, just.activation_bytes) == (8192, one)
    smaller = plan_forward(layout, free_bytes=one - 1)
    assert 0 < smaller.chunk_tokens < 8192 and smaller.activation_bytes < one


@pytest.mark.parametrize("references", [1, 6, 10])
def test_a_budget_is_kept_from_the_least_one_upwards(references):
    layout = full_size(references)
    least = least_budget(layout)
    kept = [plan_forward(layout, budget_bytes=budget) for budget in (least, least + 50_000_000, 8 * GIGABYTE)]
    for plan, budget in zip(kept, (least, least + 50_000_000, 8 * GIGABYTE)):
        assert plan.sequential and plan.activation_bytes + streaming_bytes() <= budget
    below = plan_forward(layout, budget_bytes=least - 1)
    assert below.activation_bytes + streaming_bytes() > least - 1
    assert kept[-1].chunk_tokens == 8192


def test_more_than_one_video_needs_more():
    layout = full_size(3)
    one, two = (least_budget(layout, batch=batch) - streaming_bytes() for batch in (1, 2))
    assert 1.8 * one < two <= 2.1 * one
