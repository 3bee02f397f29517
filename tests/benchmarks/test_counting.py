"""The targets that counts can keep: work, largest tensor, operations and memory, each against both baselines."""

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.counting import count_flops, count_operations
from benchmarks.live import LiveBytes
from benchmarks.shapes import SCENES, SHAPES, Shape, draw_inputs, draw_model, drawn_binding
from benchmarks.variants import Ours, all_variants, dense, release
from lumosx_core.models.lumosx.cost import forward_work, prompt_flops
from lumosx_core.models.wan.config import UMT5, WanConfig

pytestmark = pytest.mark.slow

# The feed-forward is narrow, so that its own tensors are far from the sizes that must not occur.
SHAPE = Shape(dim=256, ffn_dim=256, layers=3, grid=(3, 9, 14), text_dim=64)
MANY = (6, 10)


@pytest.fixture(scope="module")
def model():
    return draw_model(SHAPE)


@pytest.fixture(scope="module")
def inputs():
    """Number of references -> inputs."""
    return {references: draw_inputs(SHAPE, drawn_binding(*scene)) for references, scene in SCENES.items()}


def made(run):
    """The call, with what it makes once a run made."""
    with torch.no_grad():
        run()
    return run


@pytest.mark.parametrize("masked", [False, True])
def test_the_counter_sees_the_cpu_s_attention(masked):
    q, k, v = (torch.zeros(1, 2, tokens, 128) for tokens in (70, 90, 90))
    mask = torch.ones(70, 90, dtype=torch.bool) if masked else None

    def attend():
        F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    assert "_scaled_dot_product_flash_attention_for_cpu" in count_operations(attend).attention
    assert count_flops(attend) == 2 * 2 * 2 * 70 * 90 * 128
    with sdpa_kernel(SDPBackend.MATH):
        assert count_flops(attend) == 2 * 2 * 2 * 70 * 90 * 128


@pytest.mark.parametrize("references", SCENES)
def test_ours_does_the_work_of_the_formula_and_no_more(model, inputs, references):
    run = made(Ours(model, inputs[references]))
    assert 0.999 <= count_flops(run) / run.flops() <= 1.005


def everything(layout, shape):
    """FLOPs where every token attends to every other and goes to the end, and the text is projected again."""
    work = forward_work(layout, shape, prune=False)
    pairs = shape.num_layers * layout.tokens * (layout.tokens + UMT5.length)
    references_in_head = layout.binding.references * layout.frame_tokens * 64 * shape.dim
    return work.linear + 4 * shape.dim * pairs + work.ends + 2 * references_in_head + prompt_flops(shape)


@pytest.mark.parametrize("references", MANY)
def test_the_baselines_do_the_work_that_ours_leaves_out(model, inputs, references):
    given, shape = inputs[references], WanConfig.of_module(model)
    expected = everything(given.layout, shape)
    cells = references * 2 * 2
    pooled = 2 * shape.num_layers * cells * UMT5.length * shape.dim
    assert count_flops(dense(model, given)) == pytest.approx(expected, rel=1e-3)
    assert count_flops(release(model, given)) == pytest.approx(expected + pooled, rel=1e-3)


@pytest.mark.parametrize(("references", "share"), [(6, 0.67), (10, 0.58)])
def test_at_the_measured_shape_ours_does_so_much_of_the_dense_work(references, share):
    """What the time against both baselines comes from; the tests above tie these formulas to what is counted."""
    shape = SHAPES["small"]
    layout = draw_inputs(shape, drawn_binding(*SCENES[references])).layout
    sizes = WanConfig(shape.dim, shape.ffn_dim, shape.layers)
    assert forward_work(layout, sizes, text_keys=128).total <= share * everything(layout, sizes)


@pytest.mark.parametrize("references", MANY)
def test_ours_makes_no_tensor_over_pairs_of_tokens_nor_over_heads_and_text(model, inputs, references):
    """The first forward, tables included. The release's way makes both, and so shows that the count sees them."""
    given = inputs[references]
    tokens, heads = given.layout.tokens, model.num_heads
    limit = min(tokens * tokens, tokens * heads * UMT5.length)
    assert count_operations(Ours(model, given)).largest_elements < limit
    assert count_operations(release(model, given)).largest_elements >= limit


def test_the_release_s_largest_tensors_are_its_mask_and_its_bias(model, inputs):
    """With few tokens the bias is the larger one."""
    few = draw_inputs(Shape(256, 256, 3, (1, 8, 8), 64), drawn_binding(*SCENES[3]))
    assert count_operations(release(model, few)).largest_elements == few.layout.tokens * 2 * UMT5.length
    many = inputs[10]
    assert count_operations(release(model, many)).largest_elements == many.layout.tokens**2


@pytest.mark.parametrize("references", MANY)
def test_ours_needs_less_than_half_the_release_s_operations(model, inputs, references):
    variants = all_variants(model, inputs[references])
    counts = {name: count_operations(made(run)).operations for name, run in variants.items()}
    assert counts["ours"] <= 0.5 * counts["release"]
    assert counts["ours"] <= 1.6 * counts["dense"]


def test_more_references_cost_hardly_any_operation(model, inputs):
    """They are computed together; only groups of another size take a call of their own."""
    few, many = (count_operations(made(Ours(model, inputs[references]))).operations for references in (1, 10))
    assert many - few <= 50 * SHAPE.layers


@pytest.mark.parametrize("references", MANY)
def test_added_memory_is_at_most_a_third_of_the_release_s(references):
    """At the shape that the target is set for; two blocks show what four would."""
    full = SHAPES["small"]
    shape = Shape(full.dim, full.ffn_dim, 2, full.grid)
    model, given = draw_model(shape), draw_inputs(shape, drawn_binding(*SCENES[references]))
    peaks = {}
    for name, run in (("ours", Ours(model, given)), ("release", release(model, given))):
        with torch.no_grad(), LiveBytes() as live:
            run()
        peaks[name] = live.peak
    assert peaks["ours"] <= 0.35 * peaks["release"]
