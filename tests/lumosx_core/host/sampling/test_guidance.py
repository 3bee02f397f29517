"""Guidance that ends early: which passes run, that the rest is exact, and what stands in its way."""

from types import SimpleNamespace

import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import pytest
import torch

from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling import guidance
from lumosx_core.host.sampling.sampler import SamplingPlan, flow_sampling, run_sampler
from lumosx_core.models.lumosx import RelationalOptions

STEPS = 4


@pytest.fixture(scope="module")
def model(tiny):
    return relational_model(tiny[0], RelationalOptions())


@pytest.fixture(scope="module")
def encoded(encode, make_scene):
    return encode(make_scene())


def sample(model, encoded, **plan):
    plan = SamplingPlan(**{"seed": 3, "steps": STEPS, **plan})
    return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]


def counted(model):
    """A clone, and the list that gets the batch of each of its passes."""
    batches = []

    def count(executor, x, *arguments, **options):
        batches.append(x.shape[0])
        return executor(x, *arguments, **options)

    model = model.clone()
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "count", count)
    return model, batches


def guide(guider, encoded, sigmas=None, **numbers):
    """As SamplerCustomAdvanced does it."""
    sampler, own, _ = flow_sampling(STEPS, 8.0, **numbers)
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 3)
    return guider.sample(noise, latent, sampler, own if sigmas is None else sigmas, seed=3)


@pytest.mark.parametrize(
    ("plan", "batches"),
    [
        ({}, [2, 2, 2, 2]),
        ({"guidance_end_step": 4}, [2, 2, 2, 2]),
        ({"guidance_end_step": 3}, [2, 2, 2, 1]),
        ({"guidance_end_step": 0}, [1, 1, 1, 1]),
        ({"guidance_end_step": 3, "cfg": 1.0}, [1, 1, 1, 1]),
        ({"guidance_end_step": 3, "start_step": 2}, [2, 1]),
        ({"guidance_end_step": 2, "start_step": 3}, [1]),
        ({"guidance_end_step": 1, "denoise": 0.5}, [2, 1, 1, 1]),
    ],
)
def test_the_unconditional_pass_is_not_computed(model, encoded, plan, batches):
    model, seen = counted(model)
    assert sample(model, encoded, **plan).isfinite().all()
    assert seen == batches


@pytest.mark.slow
def test_what_is_left_is_the_conditional_pass_to_the_last_bit(model, encoded):
    alone = sample(model, encoded, cfg=1.0)
    assert torch.equal(sample(model, encoded, cfg=6.0, guidance_end_step=0), alone)
    guided = sample(model, encoded)
    assert torch.equal(sample(model, encoded, guidance_end_step=STEPS), guided)
    assert not torch.equal(sample(model, encoded, guidance_end_step=STEPS - 1), guided)


def watch(model, encoded, **plan):
    """What each step's guidance is given and gives."""
    seen = []

    def look(arguments):
        seen.append({name: arguments[name] for name in ("input", "denoised", "cond_denoised", "uncond_denoised")})
        return arguments["denoised"]

    model = model.clone()
    model.set_model_sampler_post_cfg_function(look)
    sample(model, encoded, **plan)
    return seen


def test_each_unguided_step_is_the_conditional_prediction_at_its_own_input(model, encoded, monkeypatch):
    """Seen from outside, by a function that runs after guidance."""
    # One pass after the other: passes that share a batch round otherwise.
    monkeypatch.setattr(model.model, "memory_required", lambda *_, **__: 1e30)
    guided, seen = (watch(model, encoded, guidance_end_step=end) for end in (STEPS, 2))
    for step in (0, 1):
        assert torch.equal(seen[step]["denoised"], guided[step]["denoised"])
        assert not torch.equal(seen[step]["denoised"], seen[step]["cond_denoised"])
    assert torch.equal(seen[2]["input"], guided[2]["input"])
    assert torch.equal(seen[2]["denoised"], guided[2]["cond_denoised"])
    for step in (2, 3):
        assert torch.equal(seen[step]["denoised"], seen[step]["cond_denoised"])
        assert torch.equal(seen[step]["uncond_denoised"], seen[step]["cond_denoised"])


def rescaled(model):
    from comfy_extras.nodes_model_advanced import RescaleCFG

    return RescaleCFG().patch(model, 0.7)[0]


def skipping_a_layer(model):
    from comfy_extras.nodes_slg import SkipLayerGuidanceDiTSimple

    return SkipLayerGuidanceDiTSimple.execute(model, 0.0, 1.0, "1", "")[0]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [rescaled, skipping_a_layer])
def test_what_shapes_guidance_has_nothing_left_to_shape(model, encoded, shape):
    shaped = shape(model)
    assert not torch.equal(sample(shaped, encoded), sample(model, encoded))
    assert torch.equal(sample(shaped, encoded, guidance_end_step=0), sample(model, encoded, cfg=1.0))


def test_momentum_of_guidance_ends_with_it(model, encoded):
    """APG would go on to add what it remembers of earlier steps."""
    from comfy_extras.nodes_apg import APG

    remembering = APG.execute(model, eta=1.0, norm_threshold=5.0, momentum=-0.5)[0]
    for step, seen in enumerate(watch(remembering, encoded, guidance_end_step=2)):
        assert torch.equal(seen["denoised"], seen["uncond_denoised"]) == (step >= 2)


@pytest.mark.slow
def test_what_acts_after_guidance_still_acts(model, encoded):
    from comfy_extras.nodes_cfg import CFGZeroStar

    zero_star = CFGZeroStar.execute(model)[0]
    alone = sample(model, encoded, cfg=1.0)
    torch.testing.assert_close(sample(zero_star, encoded, guidance_end_step=0), alone, rtol=1e-4, atol=1e-4)
    halved = model.clone()
    halved.set_model_sampler_post_cfg_function(lambda arguments: arguments["denoised"] / 2)
    assert torch.equal(sample(halved, encoded, guidance_end_step=0), sample(halved, encoded, cfg=1.0))
    assert not torch.equal(sample(halved, encoded, guidance_end_step=0), alone)


def test_parts_of_a_run_count_in_the_whole_schedule(model, encoded):
    model, batches = counted(model)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(encoded.positive, encoded.negative)
    guider.set_cfg(6.0)
    _, sigmas, _ = flow_sampling(STEPS, 8.0)
    for part, expected in ((sigmas[:3], [2, 2]), (sigmas[2:], [2, 1]), (sigmas[3:], [1])):
        guide(guider, encoded, part, guidance_end_step=3)
        assert batches == expected
        batches.clear()


def test_a_guider_with_its_own_guidance_keeps_all_of_it_and_says_so(model, encoded, caplog):
    from comfy_extras.nodes_custom_sampler import Guider_DualCFG

    guider = Guider_DualCFG(rescaled(model))
    guider.set_conds(encoded.positive, encoded.positive, encoded.negative)
    guider.set_cfg(6.0, 3.0)
    without = guide(guider, encoded)
    assert "guidance_end_step" not in caplog.text
    assert torch.equal(guide(guider, encoded, guidance_end_step=2), without)
    assert caplog.text.count("guidance_end_step: this guider has its own kind of guidance") == 1


def test_a_guider_without_guidance_is_content(model, encoded, caplog):
    from comfy_extras.nodes_custom_sampler import Guider_Basic

    guider = Guider_Basic(model)
    guider.set_conds(encoded.positive)
    assert torch.equal(guide(guider, encoded, guidance_end_step=2), guide(guider, encoded))
    assert "guidance_end_step" not in caplog.text


def test_context_windows_halve_too(model, encode, make_scene):
    from comfy_extras.nodes_context_windows import WanContextWindowsManualNode

    arguments = {"context_length": 13, "context_overlap": 4, "context_schedule": "standard_static", "context_stride": 1,
                 "closed_loop": False, "fuse_method": "pyramid"}
    known = {entry.id for entry in WanContextWindowsManualNode.define_schema().inputs}
    extra = {"freenoise": False} if "freenoise" in known else {}
    windowed, batches = counted(WanContextWindowsManualNode.execute(model, **arguments, **extra)[0])
    encoded = encode(make_scene(), frames=21)
    result = sample(windowed, encoded, steps=2, guidance_end_step=1)
    windows = len(batches) // 2
    assert windows > 1 and batches == [2] * windows + [1] * windows and result.isfinite().all()


def test_a_run_leaves_nothing_behind(model, encoded):
    shaped = rescaled(model)
    before, options = sample(shaped, encoded), dict(shaped.model_options)
    sample(shaped, encoded, guidance_end_step=2)
    assert shaped.model_options == options and torch.equal(sample(shaped, encoded), before)


def test_a_cache_is_begun_anew_once_and_its_skipped_steps_are_counted(monkeypatch):
    monkeypatch.setattr(guidance, "started_anew", lambda cache: SimpleNamespace(total_steps_skipped=2, of=cache))
    ended, cache = guidance.GuidanceEnd.__new__(guidance.GuidanceEnd), SimpleNamespace(total_steps_skipped=3)
    ended._caches, ended._ended, ended._obeyed = None, False, False
    plain = {"transformer_options": {"own": 1}}
    assert ended._with_own_cache(plain) is plain and ended._with_own_cache({}) == {} and ended._caches is None
    options = {"a": 1, "transformer_options": {"own": 1, guidance.CACHE: cache}}
    first, second = (ended._with_own_cache(options) for _ in range(2))
    anew = first["transformer_options"][guidance.CACHE]
    assert anew.of is cache and second["transformer_options"][guidance.CACHE] is anew
    assert first["a"] == 1 and first["transformer_options"]["own"] == 1
    assert options["transformer_options"][guidance.CACHE] is cache
    ended.finish()
    assert cache.total_steps_skipped == 5


@pytest.mark.parametrize(("ended", "obeyed", "warned"), [
    (True, False, True), (True, True, False), (False, False, False), (False, True, False),
])
def test_guidance_that_goes_on_is_said(monkeypatch, ended, obeyed, warned):
    said, run = [], guidance.GuidanceEnd.__new__(guidance.GuidanceEnd)
    monkeypatch.setattr(guidance, "log_warnings", said.extend)
    run._caches, run._ended, run._obeyed = None, ended, obeyed
    run.finish()
    assert len(said) == warned
