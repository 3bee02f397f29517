"""Steps and strengths of references in real runs: each step is that of a scene without those that are absent."""

import dataclasses

import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode

from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.host.socket import PRESENCE, TIMESTEP
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.scene.influence import FULL, Influence
from lumosx_core.scene.relations import Scene, Subject

STEPS = 4
EARLY, LATE = Influence(end=0.5), Influence(start=0.5)


@pytest.fixture(scope="module")
def model(tiny):
    return relational_model(tiny[0], RelationalOptions())


@pytest.fixture(scope="module")
def given(make_scene):
    """given(park=..., lamp=..., man=..., hat=..., woman=..., scarf=...): influences; None leaves a reference out."""
    whole = make_scene()

    def of(reference, influence):
        return None if influence is None else dataclasses.replace(reference, influence=influence)

    def make(park=FULL, lamp=FULL, man=FULL, hat=FULL, woman=FULL, scarf=FULL):
        people = []
        for subject, face, thing in zip(whole.subjects, (man, woman), (hat, scarf)):
            words = of(subject.face, face), of(subject.attributes[0], thing)
            if any(words):
                people.append(Subject(words[0], tuple(filter(None, words[1:]))))
        lamps = tuple(filter(None, [of(whole.objects[0], lamp)]))
        return Scene(of(whole.background, park), lamps, tuple(people))

    return make


def watched(model):
    """A clone, and its steps: input, noise level, whole timestep if the sampler has one, clean estimate."""
    steps = []

    def note(arguments):
        whole = arguments["model_options"].get(TIMESTEP)
        steps.append((arguments["input"].clone(), arguments["sigma"], whole, arguments["denoised"].clone()))
        return arguments["denoised"]

    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(note)
    return clone, steps


def lumosx_sampler(model, encoded, **plan):
    plan = SamplingPlan(seed=3, steps=STEPS, **plan)
    return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]


def k_sampler(model, encoded, cfg=4.0):
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 5)
    positive, negative = encoded.positive, encoded.negative
    return comfy.sample.sample(model, noise, STEPS, cfg, "euler", "simple", positive, negative, latent, seed=5)


def replayed(model, positive, negative, steps, cfg):
    """What a model says to the inputs of earlier steps."""
    found = []

    @torch.no_grad()
    def say(model, x, sigmas, extra_args=None, callback=None, disable=None):
        for seen, sigma, whole, _ in steps:
            timed = {} if whole is None else {TIMESTEP: whole}
            options = {**extra_args, "model_options": {**extra_args["model_options"], **timed}}
            found.append(model(seen, sigma, **options))
        return x

    latent, levels = torch.zeros(steps[0][0].shape), torch.tensor([*(float(step[1][0]) for step in steps), 0.0])
    sampler = comfy.samplers.KSAMPLER(say)
    comfy.sample.sample_custom(model, latent, cfg, sampler, levels, positive, negative, latent)
    return found


def halves(steps, model):
    """Places of the steps before and after the middle of the sampling."""
    middle = model.get_model_object("model_sampling").percent_to_sigma(0.5)
    early = [index for index, step in enumerate(steps) if float(step[1][0]) > middle]
    return early, [index for index in range(len(steps)) if index not in early]


LIMITS = {
    "an object": ({"lamp": LATE}, {"lamp": None}), "a face": ({"man": LATE}, {"man": None}),
    "an attribute": ({"hat": LATE}, {"hat": None}),
    "a person": ({"man": LATE, "hat": LATE}, {"man": None, "hat": None}),
    "background and person": ({"park": LATE, "woman": LATE, "scarf": LATE},
                              {"park": None, "woman": None, "scarf": None}),
}


CASES = [
    *((limits, lumosx_sampler, 6.0, 1) for limits in ("an object", "a face", "a person", "background and person")),
    ("an attribute", k_sampler, 4.0, 2), ("a face", k_sampler, 1.0, 1),
]


@pytest.mark.slow
@pytest.mark.parametrize(("limits", "sample", "cfg", "batch"), CASES)
def test_each_step_is_that_of_a_scene_without_the_absent_ones(model, encode, given, limits, sample, cfg, batch):
    late, without = (encode(given(**influences), batch=batch) for influences in LIMITS[limits])
    clone, steps = watched(model)
    sample(clone, late, cfg=cfg)
    early, rest = halves(steps, model)
    assert len(steps) == STEPS and early and rest
    whole = encode(given(), batch=batch)
    as_absent = replayed(model, without.positive, without.negative, steps, cfg)
    as_present = replayed(model, whole.positive, whole.negative, steps, cfg)
    assert all(torch.equal(steps[index][3], as_absent[index]) for index in early)
    assert all(torch.equal(steps[index][3], as_present[index]) for index in rest)
    assert not any(torch.equal(steps[index][3], as_present[index]) for index in early)


@pytest.mark.parametrize("sample", [lumosx_sampler, k_sampler])
def test_without_any_reference_a_step_is_the_hosts_own(model, encode, given, sample):
    everything = dict.fromkeys(("park", "lamp", "man", "hat", "woman", "scarf"), LATE)
    encoded = encode(given(**everything))
    clone, steps = watched(model)
    sample(clone, encoded)
    early, _ = halves(steps, model)
    texts = [
        [[text, {name: value for name, value in options.items() if name != "model_conds"}] for text, options in entry]
        for entry in (encoded.positive, encoded.negative)
    ]
    cfg = 6.0 if sample is lumosx_sampler else 4.0
    plain = replayed(model, *texts, steps, cfg)
    assert early and all(torch.equal(steps[index][3], plain[index]) for index in early)


def test_by_default_nothing_is_in_the_conditioning(encode, given):
    assert all(PRESENCE not in entry["model_conds"] for _, entry in encode(given()).positive)
    assert all(PRESENCE in entry["model_conds"] for _, entry in encode(given(hat=EARLY)).negative)


@pytest.mark.slow
def test_context_windows_follow(model, encode, given):
    late, without, whole = (
        encode(given(**limits), frames=21) for limits in ({"man": LATE}, {"man": None}, {})
    )
    known = {entry.id for entry in ContextWindowsManualNode.define_schema().inputs}
    windows = {
        "context_length": 4, "context_overlap": 1, "context_schedule": "standard_static", "context_stride": 1,
        "closed_loop": False, "fuse_method": "pyramid", "dim": 2,
        **({"freenoise": False} if "freenoise" in known else {}),
    }
    clone, steps = watched(ContextWindowsManualNode.execute(model, **windows)[0])
    lumosx_sampler(clone, late)
    clone.model_options["sampler_post_cfg_function"] = []
    early, rest = halves(steps, model)
    as_absent, as_present = (
        replayed(clone, encoded.positive, encoded.negative, steps, 6.0) for encoded in (without, whole)
    )
    assert all(torch.equal(steps[index][3], as_absent[index]) for index in early)
    assert all(torch.equal(steps[index][3], as_present[index]) for index in rest)


def test_tables_are_made_once_for_each_part(model, encode, given, monkeypatch):
    from lumosx_core.models.lumosx import tables

    made, plain = [], tables.make_tables

    def count(module, context, layout, *arguments):
        made.append(layout.binding)
        return plain(module, context, layout, *arguments)

    monkeypatch.setattr(tables, "make_tables", count)
    lumosx_sampler(model, encode(given(man=LATE, hat=EARLY)))
    # Both prompts go through the model together.
    assert len(made) == 2 and len(set(made)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("node", [EasyCacheNode, LazyCacheNode])
def test_caches_start_anew_with_each_part(model, encode, given, node, caplog):
    """At this threshold a cache that went on would never compute again what it has seen once."""
    encoded = encode(given(man=LATE, hat=EARLY))
    exact, counts = lumosx_sampler(model, encoded), []
    assert torch.equal(lumosx_sampler(node.execute(model, 0.0, 0.0, 1.0, False)[0], encoded), exact)

    def count(arguments, extra):
        counts.append(arguments["img"].shape[1])
        return extra["original_block"](arguments)

    quick = node.execute(model, 100.0, 0.0, 1.0, False)[0]
    quick.set_model_patch_replace(count, "dit", "double_block", 0)
    with caplog.at_level("INFO"):
        result = lumosx_sampler(quick, encoded, guidance_end_step=10000)
    assert result.isfinite().all()
    # Some steps in either part are computed, and some are not; both parts have five references.
    assert 2 <= len(counts) < STEPS
    assert f"skipped {STEPS - len(counts)}/{STEPS} steps" in caplog.text


def test_a_part_without_any_step_is_reported(model, encode, given, caplog):
    lumosx_sampler(model, encode(given(lamp=Influence(start=0.0, end=0.0001))))
    assert "is set to steps 0 to 0.01 %, but none of the 4 steps" not in caplog.text
    lumosx_sampler(model, encode(given(lamp=Influence(start=0.501, end=0.502))))
    assert "is set to steps 50.1 to 50.2 %, but none of the 4 steps" in caplog.text


@pytest.mark.slow
def test_strength_changes_the_video_and_1_does_not(model, encode, given):
    full, weak, gone = (
        lumosx_sampler(model, encode(given(man=Influence(strength)))) for strength in (1.0, 0.5, 0.0)
    )
    assert torch.equal(full, lumosx_sampler(model, encode(given())))
    assert 0 < (weak - full).norm() < (gone - full).norm()


def test_strength_works_with_every_attention_of_the_host(model, encode, given, monkeypatch):
    import comfy.ldm.modules.attention as attention

    import lumosx_core.host.methods.lumosx as patcher

    encoded = encode(given(man=Influence(0.5), lamp=Influence(0.0)))
    expected = lumosx_sampler(model, encoded)
    for backend in ("attention_basic", "attention_split", "attention_sub_quad"):
        monkeypatch.setattr(patcher, "optimized_attention", getattr(attention, backend))
        torch.testing.assert_close(lumosx_sampler(model, encoded), expected, rtol=1e-3, atol=1e-3)
