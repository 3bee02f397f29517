"""EasyCache and LazyCache around the relational forward: steps are skipped, and nothing is left behind."""

import comfy.sample
import pytest
import torch
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode

from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.models.lumosx import RelationalOptions

pytestmark = pytest.mark.slow

STEPS = 10
NODES = {"easy": EasyCacheNode, "lazy": LazyCacheNode}
PLANS = {"guided": {}, "guidance ends": {"guidance_end_step": 5}, "without guidance": {"cfg": 1.0}}


@pytest.fixture(scope="module")
def encoded(encode, make_scene):
    return encode(make_scene())


@pytest.fixture(scope="module")
def model(tiny):
    return relational_model(tiny[0], RelationalOptions())


def cached(name, model, threshold=0.2):
    """Never the last step: the fewer steps, the more the last one does."""
    return NODES[name].execute(model, threshold, 0.15, 0.8, False)[0]


def counted(model):
    """A clone, and the list that grows with each pass that is computed."""
    passes = []

    def count(arguments, extra):
        passes.append(arguments["img"].shape[0])
        return extra["original_block"](arguments)

    model = model.clone()
    model.set_model_patch_replace(count, "dit", "double_block", 0)
    return model, passes


def sample(model, encoded, **plan):
    plan = SamplingPlan(**{"seed": 3, "steps": STEPS, **plan})
    return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]


def stock_sample(model, encoded, cfg=6.0):
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 3)
    return comfy.sample.sample(
        model, noise, STEPS, cfg, "dpmpp_2m", "simple", encoded.positive, encoded.negative, latent, seed=3
    )


def distance(result, exact):
    return ((result - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("name", NODES)
def test_steps_are_skipped_and_nothing_leaks(model, encoded, name, plan):
    exact = sample(model, encoded, **plan)
    quick, passes = counted(cached(name, model))
    first = sample(quick, encoded, **plan)
    assert 2 < len(passes) < STEPS
    assert 0 < distance(first, exact) < 0.1
    assert torch.equal(sample(quick, encoded, **plan), first)
    assert torch.equal(sample(model, encoded, **plan), exact)


@pytest.mark.parametrize("name", NODES)
def test_the_order_of_the_nodes_does_not_matter(tiny, model, encoded, name):
    other = relational_model(cached(name, tiny[0]), RelationalOptions())
    assert torch.equal(sample(other, encoded), sample(cached(name, model), encoded))


@pytest.mark.parametrize("name", NODES)
def test_a_stock_sampler_skips_too(tiny, model, encoded, name):
    exact = stock_sample(model, encoded)
    quick, passes = counted(cached(name, model))
    other = relational_model(cached(name, tiny[0]), RelationalOptions())
    first = stock_sample(quick, encoded)
    assert 2 < len(passes) < STEPS and first.isfinite().all()
    assert all(torch.equal(stock_sample(again, encoded), first) for again in (quick, other))
    assert torch.equal(stock_sample(model, encoded), exact)


@pytest.mark.parametrize("name", NODES)
def test_another_run_of_another_size_starts_anew(model, encoded, encode, make_scene, name):
    quick = cached(name, model)
    before = sample(quick, encoded)
    two = encode(make_scene(man=7), frames=5, batch=2)
    exact = sample(model, two)
    assert exact.shape[0] == 2 and 0 < distance(sample(quick, two), exact) < 0.1
    assert torch.equal(sample(quick, encoded), before)


@pytest.mark.parametrize("name", NODES)
def test_a_threshold_of_nothing_is_exact(model, encoded, name):
    plan = PLANS["guidance ends"]
    assert torch.equal(sample(cached(name, model, 0.0), encoded, **plan), sample(model, encoded, **plan))


@pytest.mark.parametrize("name", NODES)
def test_no_guided_step_is_repeated_once_guidance_has_ended(model, encoded, name, caplog):
    """A cache that went on would skip everything from its start to its end at this threshold."""
    quick, passes = counted(cached(name, model, 100.0))
    with caplog.at_level("INFO"):
        result = sample(quick, encoded, guidance_end_step=5)
    guided, unguided = passes.count(2), passes.count(1)
    # Both parts begin with steps that are computed, and both go on with steps that are not.
    assert guided + unguided == len(passes) and 2 <= guided < 5 and 2 < unguided < STEPS - 5
    assert f"skipped {STEPS - len(passes)}/{STEPS} steps" in caplog.text
    assert distance(result, sample(model, encoded, guidance_end_step=5)) < 0.1


def test_a_model_in_float32_keeps_its_input(model, encoded):
    """EasyCache adds into the tensor it is given, from which ComfyUI computes the clean estimate afterwards."""
    seen = []

    def look(apply, arguments):
        before = arguments["input"].clone()
        result = apply(arguments["input"], arguments["timestep"], **arguments["c"])
        seen.append(torch.equal(arguments["input"], before))
        return result

    quick, passes = counted(cached("easy", model))
    quick.set_model_unet_function_wrapper(look)
    sample(quick, encoded)
    assert all(seen) and len(passes) < len(seen) == STEPS
