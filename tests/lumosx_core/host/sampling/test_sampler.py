"""The solver inside ComfyUI: whole timesteps, parts of a run, stock samplers and guiders."""

import dataclasses
from types import SimpleNamespace

import comfy.sample
import comfy.samplers
import pytest
import torch
from tqdm.auto import tqdm

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling import sampler as sampler_module
from lumosx_core.host.sampling.sampler import SamplingPlan, flow_sampling, run_sampler
from lumosx_core.host.socket import BINDING
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.sampling.solvers import DISTILLED, RELEASE_SCHEDULE


@pytest.fixture
def seen(monkeypatch):
    """The timesteps that reach the relational forward, in order."""
    import lumosx_core.host.methods.lumosx as patcher

    timesteps = []
    real = patcher.relational_forward

    def watch(model, latent, timestep, *arguments, **options):
        timesteps.append(timestep.unique().item())
        return real(model, latent, timestep, *arguments, **options)

    monkeypatch.setattr(patcher, "relational_forward", watch)
    return timesteps


def test_the_release_schedule_reaches_the_model_as_whole_timesteps(tiny, encode, make_scene, seen):
    encoded = encode(make_scene())
    model = relational_model(tiny[0], RelationalOptions())
    run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(seed=0, steps=6, shift=8.0))
    _, sigmas, schedule = flow_sampling(6, 8.0)
    assert seen == list(schedule.timesteps)
    assert any(1000 * sigma.item() != timestep for sigma, timestep in zip(sigmas, seen))


def test_another_seed_is_another_video_and_the_same_seed_the_same(tiny, encode, make_scene):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    first, again, other = (
        run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(seed, steps=2))["samples"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_given_latent_is_untouched(tiny, encode, make_scene):
    encoded = encode(make_scene())
    latent = {"samples": encoded.latent["samples"].clone(), "kept": "yes"}
    model = relational_model(tiny[0], RelationalOptions())
    result = run_sampler(model, encoded.positive, encoded.negative, latent, SamplingPlan(0, steps=1))
    assert latent["samples"].abs().max() == 0 and result["samples"].abs().max() > 0
    assert result["kept"] == "yes"


def test_denoise_takes_the_end_of_a_longer_run():
    _, sigmas, schedule = flow_sampling(5, 8.0, 0.5)
    assert len(schedule.timesteps) == 10 and len(sigmas) == 6
    assert sigmas.tolist() == list(schedule.sigmas[5:])
    # As KSampler cuts it: 20 / 0.3 is 66.7.
    assert len(flow_sampling(20, 8.0, 0.3)[2].timesteps) == 66
    with pytest.raises(LumosXError, match="denoise: 0 is not in"):
        flow_sampling(5, 8.0, 0)


def test_numbers_that_no_widget_would_let_through():
    """The host checks no range of what is linked; the schedule of so many steps would fill the memory."""
    with pytest.raises(LumosXError, match="^steps: 1000000000000000 is above 10000; use fewer"):
        flow_sampling(10**15, 8.0)
    with pytest.raises(LumosXError, match="^denoise: 1e-12 is not in"):
        flow_sampling(50, 8.0, 1e-12)
    with pytest.raises(LumosXError, match="^guidance_end_step: -1 is below 0"):
        flow_sampling(50, 8.0, guidance_end_step=-1)


@pytest.mark.parametrize("name", DISTILLED)
def test_a_distilled_schedule_is_walked_as_the_stock_lcm_sampler_walks_it(tiny, encode, make_scene, seen, name):
    """Given the same noise after each step; core's lcm evaluates at 1000 * sigma in float32."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    plan = SamplingPlan(seed=7, steps=3, cfg=1.0, schedule=name)
    ours = run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]
    assert seen == [1000, 757, 522]
    generator = torch.Generator().manual_seed(8)
    lcm = comfy.samplers.ksampler("lcm", {"noise_sampler": lambda *_: torch.randn(ours.shape, generator=generator)})
    _, sigmas, _ = flow_sampling(3, 8.0, name=name)
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 7)
    stock = comfy.sample.sample_custom(
        model, noise, 1.0, lcm, sigmas, encoded.positive, encoded.negative, latent, seed=7
    )
    torch.testing.assert_close(ours, stock, rtol=1e-3, atol=1e-3)
    again, other = (
        run_sampler(
            model, encoded.positive, encoded.negative, encoded.latent, dataclasses.replace(plan, seed=seed)
        )["samples"] for seed in (7, 2**64 - 1)
    )
    assert torch.equal(again, ours) and not torch.allclose(other, ours, atol=0.1)


def test_numbers_that_a_distilled_schedule_does_not_have(tiny, encode, make_scene, caplog):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())

    def run(**plan):
        return run_sampler(
            model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(0, schedule="FastWan", **plan)
        )

    with pytest.raises(LumosXError, match="^steps: schedule FastWan has 3 steps, not 50; use 3"):
        run()
    with pytest.raises(LumosXError, match="^denoise: schedule FastWan starts from noise; use 1"):
        run(steps=2, denoise=0.5)
    run(steps=1, cfg=1.0)
    assert "cfg:" not in caplog.text
    run(steps=1, cfg=6.0)
    assert caplog.text.count("cfg: 6.0 with schedule FastWan, whose models need no guidance; use 1.") == 1


@pytest.mark.slow
def test_a_run_in_two_parts_continues_where_the_first_stopped(tiny, encode, make_scene):
    """Only the memory of the step before is lost between the parts; new noise would be seen at once."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())

    def run(latent, plan):
        return run_sampler(model, encoded.positive, encoded.negative, latent, plan)

    whole = run(encoded.latent, SamplingPlan(0, 12))["samples"]
    half = run(encoded.latent, SamplingPlan(0, 12, end_step=6))
    rest = run(half, SamplingPlan(0, 12, start_step=6))["samples"]
    assert ((rest - whole).norm() / whole.norm()) < 0.03
    assert ((half["samples"] - whole).norm() / whole.norm()) > 0.1
    other_seed = run(half, SamplingPlan(1, 12, start_step=6))["samples"]
    assert torch.equal(other_seed, rest)
    with pytest.raises(LumosXError, match="start_step: 12 leaves no step"):
        run(half, SamplingPlan(0, 12, start_step=12))


def test_a_level_that_another_node_chose_is_kept(tiny, encode, make_scene, seen):
    """As packs do that call the model at a level beside the sampler's."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    model.set_model_unet_function_wrapper(lambda apply, args: apply(args["input"], args["timestep"] * 0.9, **args["c"]))
    run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(seed=0, steps=3))
    _, sigmas, _ = flow_sampling(3, 8.0)
    assert seen == pytest.approx([900 * sigma for sigma in sigmas.tolist()[:-1]], rel=1e-5)


def test_a_video_of_a_batch_can_be_made_again_alone(tiny, encode, make_scene):
    """By Latent From Batch, which leaves the place of the video in its batch."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    samples = encoded.latent["samples"]

    def run(index):
        latent = {"samples": samples.repeat(len(index), 1, 1, 1, 1), "batch_index": index}
        return run_sampler(model, encoded.positive, encoded.negative, latent, SamplingPlan(0, 1, cfg=1.0))["samples"]

    both, second = run([0, 1]), run([1])
    torch.testing.assert_close(second, both[1:], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(second, both[:1], atol=0.1)


def test_every_step_is_reported_with_the_level_that_it_began_at():
    sampler, sigmas, _ = flow_sampling(4, 8.0)
    steps = []
    sampler.sampler_function(
        lambda x, sigma, **_: x * 0, torch.ones(1, 16, 1, 2, 2), sigmas, callback=steps.append, disable=True
    )
    assert [step["i"] for step in steps] == [0, 1, 2, 3]
    assert [step["sigma"] for step in steps] == [step["sigma_hat"] for step in steps] == sigmas[:-1].tolist()


def test_the_bar_has_as_many_steps_as_the_run(monkeypatch):
    bars = []

    def bar(**options):
        bars.append(tqdm(**options))
        return bars[-1]

    monkeypatch.setattr(sampler_module, "tqdm", bar)
    sampler, sigmas, _ = flow_sampling(4, 8.0)
    sampler.sampler_function(lambda x, sigma, **_: x * 0, torch.ones(1, 16, 1, 2, 2), sigmas, disable=False)
    assert [(bar.n, bar.total) for bar in bars] == [(4, 4)]


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", "uni_pc", "res_multistep"])
def test_stock_samplers_take_the_same_inputs(tiny, encode, make_scene, seen, name):
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 0)
    result = comfy.sample.sample(
        model, noise, 3, 6.0, name, "simple", encoded.positive, encoded.negative, latent, seed=0
    )
    assert result.isfinite().all() and result.shape == latent.shape
    # Each step asked the relational forward, at the timesteps of ComfyUI's own schedule.
    assert len(seen) >= 3 and seen[0] == pytest.approx(1000, abs=1) and seen == sorted(seen, reverse=True)


def test_the_guider_route_gives_what_the_sampler_node_gives(tiny, encode, make_scene):
    """SamplerCustomAdvanced with CFGGuider, our SAMPLER and our SIGMAS."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    sampler, sigmas, _ = flow_sampling(3, 8.0)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(encoded.positive, encoded.negative)
    guider.set_cfg(6.0)
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 9)
    advanced = guider.sample(noise, latent, sampler, sigmas, seed=9)
    node = run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(9, 3))["samples"]
    assert torch.equal(advanced, node)


def test_a_run_without_references_says_so(tiny, encode, make_scene, caplog):
    """ConditioningAverage and others keep only the first input's conditions."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    plain = [[text, {k: v for k, v in options.items() if k != "model_conds"}] for text, options in encoded.positive]
    run_sampler(model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(0, 1))
    assert "no reference reaches" not in caplog.text
    run_sampler(model, plain, plain, encoded.latent, SamplingPlan(0, 1))
    assert "no reference reaches LumosX Sampler" in caplog.text


def test_a_late_start_is_named_by_the_number_that_was_typed(tiny, encode, make_scene):
    """With denoise the schedule is longer than the run; its own numbers mean nothing to the user."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene())
    with pytest.raises(LumosXError, match="start_step: 7 leaves no step before 5;"):
        plan = SamplingPlan(0, 5, denoise=0.5, start_step=7)
        run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)


@pytest.mark.parametrize(("steps", "denoise", "end", "name"), [
    (1, 1.0, 0, None), (sampler_module.MOST_STEPS, 1.0, 1, None), (1, sampler_module.LEAST_DENOISE, 1, None),
    (0, 1.0, 1, "steps"), (sampler_module.MOST_STEPS + 1, 1.0, 1, "steps"), (1, 1.0001, 1, "denoise"),
    (1, sampler_module.LEAST_DENOISE * 0.999, 1, "denoise"), (1, 1.0, -1, "guidance_end_step"),
])
def test_numbers_are_taken_exactly_up_to_their_bounds(steps, denoise, end, name):
    if name is None:
        assert len(flow_sampling(steps, 8.0, denoise, end)[1]) == steps + 1
    else:
        with pytest.raises(LumosXError, match=f"^{name}: "):
            flow_sampling(steps, 8.0, denoise, end)


@pytest.mark.parametrize("name", DISTILLED)
def test_a_distilled_schedule_starts_from_noise(name):
    most = len(DISTILLED[name])
    assert len(flow_sampling(most, 8.0, 1.0, name=name)[1]) == most + 1
    with pytest.raises(LumosXError, match="^denoise: schedule .* starts from noise"):
        flow_sampling(1, 8.0, 0.999, name=name)


@pytest.mark.parametrize(("end", "place"), [(0, 0), (1, 1), (3, 3), (4, 3), (10_000, 3)])
def test_guidance_ends_at_the_level_of_its_step(end, place):
    sampler, sigmas, _ = flow_sampling(3, 8.0, guidance_end_step=end)
    assert sampler.sampler_function.guidance_end == pytest.approx(sigmas[place].item())


@pytest.mark.parametrize(("schedule", "cfg", "start", "keys", "lynx", "words"), [
    (RELEASE_SCHEDULE, 6.0, 0, (BINDING,), (), []), (RELEASE_SCHEDULE, 1.0, 2, (BINDING,), (), []),
    ("other", 1.0, 0, (BINDING,), (), []), ("other", 6.0, 0, (BINDING,), (), ["cfg: 6.0 with schedule other"]),
    (RELEASE_SCHEDULE, 6.0, 0, ("x",), (), ["no reference reaches LumosX Sampler"]),
    (RELEASE_SCHEDULE, 6.0, 0, (), (1,), []),
])
def test_what_a_run_says_and_begins_with(monkeypatch, schedule, cfg, start, keys, lynx, words):
    said, sampled = [], []
    levels = SimpleNamespace(last=lambda steps: SimpleNamespace(window=lambda first, end: [1.0, 0.5, 0.0]))
    monkeypatch.setattr(sampler_module, "flow_sampling", lambda *given: ("sampler", None, levels))
    monkeypatch.setattr(sampler_module, "fitting_samples", lambda model, latent: torch.ones(1, 2))
    monkeypatch.setattr(sampler_module, "log_warnings", said.extend)
    monkeypatch.setattr(comfy.sample, "prepare_noise", lambda samples, seed, index: ("noise", seed, index))
    monkeypatch.setattr(
        comfy.sample, "sample_custom", lambda *given, **more: sampled.append((given, more)) or "made"
    )
    monkeypatch.setattr(sampler_module.latent_preview, "prepare_callback", lambda model, steps: steps)
    plan = SamplingPlan(seed=3, steps=2, cfg=cfg, schedule=schedule, start_step=start)
    model = SimpleNamespace(get_wrappers=lambda kind, key: lynx)
    latent = {"samples": 0, "batch_index": [4], "noise_mask": "mask", "other": 5}
    positive = [[None, {"model_conds": dict.fromkeys(keys)}], [None, {}]]
    made = run_sampler(model, positive, [], latent, plan)
    assert made == {**latent, "samples": "made"} and latent["samples"] == 0
    assert len(said) == len(words) and all(word in sentence for word, sentence in zip(words, said))
    (given, more), = sampled
    noise = given[1]
    assert torch.equal(noise, torch.zeros(1, 2)) if start else noise == ("noise", 3, [4])
    assert given[2] == cfg and given[4].tolist() == [1.0, 0.5, 0.0]
    assert (more["noise_mask"], more["callback"], more["seed"]) == ("mask", 2, 3)
