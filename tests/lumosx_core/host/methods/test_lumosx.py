"""The relational forward on ComfyUI's real ModelPatcher, sampler helpers and LoRA loader."""

import copy
import math

import comfy.conds
import comfy.ldm.modules.attention
import comfy.model_management
import comfy.patcher_extension
import comfy.sample
import comfy.sampler_helpers
import comfy.samplers
import comfy.sd
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lumosx import _LEVEL_TOLERANCE, PassesWrapper, _whole_timestep, relational_model
from lumosx_core.host.model.memory import UNLIMITED
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.host.socket import BINDING, TIMESTEP
from lumosx_core.models.lumosx import RelationalOptions

PLAN = SamplingPlan(seed=3, steps=2)
# The last block computes the video only.
THIRD_BLOCK = 2


@pytest.fixture(scope="module")
def base(tiny):
    return tiny[0]


@pytest.fixture(scope="module")
def relational(base):
    return relational_model(base, RelationalOptions())


def sample(model, encoded, plan=PLAN):
    return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"]


def plain_conditions(encoded):
    """The same texts without references."""
    return [
        [[text, {k: v for k, v in options.items() if k != "model_conds"}] for text, options in conditioning]
        for conditioning in (encoded.positive, encoded.negative)
    ]


def plain_sample(model, encoded):
    positive, negative = plain_conditions(encoded)
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 5)
    return comfy.sample.sample(model, noise, 2, 4.0, "euler", "simple", positive, negative, latent, seed=5)


def tokens_after_third_block(model, encoded):
    """The residual stream of the positive pass, caught by the host's own block replacement."""
    caught = []

    def catch(arguments, extra):
        result = extra["original_block"](arguments)
        caught.append(result["img"].clone())
        return result

    model = model.clone()
    model.set_model_patch_replace(catch, "dit", "double_block", THIRD_BLOCK)
    sample(model, encoded, SamplingPlan(seed=3, steps=1, cfg=1.0))
    return caught[0]


def groups_of(encoded, tokens):
    binding = encoded.positive[0][1]["model_conds"]["lumosx_binding"].cond
    frame = encoded.latent["samples"].shape[3] // 2 * encoded.latent["samples"].shape[4] // 2
    references = tokens[:, -binding.references * frame:]
    return references.split([images * frame for images in binding.group_sizes], dim=1)


def test_without_lumosx_conditioning_nothing_changes(base, relational, encode, make_scene):
    encoded = encode(make_scene())
    assert torch.equal(plain_sample(relational, encoded), plain_sample(base, encoded))


def test_the_original_is_left_as_it_was(base, encode, make_scene):
    encoded = encode(make_scene())
    before = plain_sample(base, encoded)
    weights = {name: value.clone() for name, value in base.model.state_dict().items()}
    sample(relational_model(base, RelationalOptions()), encoded)
    assert torch.equal(plain_sample(base, encoded), before)
    assert all(torch.equal(value, weights[name]) for name, value in base.model.state_dict().items())
    assert not base.wrappers.get(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL)


@pytest.mark.slow
def test_references_and_their_owners_matter(relational, encode, make_scene):
    one, other, swapped = (
        sample(relational, encode(scene)) for scene in (make_scene(), make_scene(man=7), make_scene(man=2, woman=1))
    )
    assert one.isfinite().all()
    assert not torch.allclose(one, other, atol=1e-3)
    assert not torch.allclose(one, swapped, atol=1e-3)


def test_another_subjects_picture_does_not_reach_a_group(relational, encode, make_scene):
    before, after = (
        groups_of(encoded, tokens_after_third_block(relational, encoded))
        for encoded in (encode(make_scene()), encode(make_scene(man=7)))
    )
    unchanged = [torch.equal(one, other) for one, other in zip(before, after)]
    assert unchanged == [True, True, False, True]


@pytest.mark.slow
def test_permuting_subjects_permutes_groups(relational, encode, make_scene):
    straight, swapped = (
        groups_of(encoded, tokens_after_third_block(relational, encoded))
        for encoded in (encode(make_scene()), encode(make_scene(swap=True)))
    )
    for index, other in enumerate([0, 1, 3, 2]):
        torch.testing.assert_close(swapped[index], straight[other], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(straight[2], straight[3], atol=1e-2)


@pytest.mark.slow
def test_two_clones_with_different_scenes_do_not_disturb_each_other(base, encode, make_scene):
    first, second = (relational_model(base, RelationalOptions()) for _ in range(2))
    scenes = encode(make_scene()), encode(make_scene(man=7, woman=8))
    alone = sample(first, scenes[0]), sample(second, scenes[1])
    assert torch.equal(sample(first, scenes[0]), alone[0])
    assert torch.equal(sample(second, scenes[1]), alone[1])
    assert torch.equal(sample(second, scenes[0]), alone[0])


@pytest.mark.slow
def test_conditional_and_unconditional_batched_together_are_right(relational, encode, make_scene, monkeypatch):
    encoded = encode(make_scene())
    together = sample(relational, encoded)
    passes = count_passes(relational, encoded)
    # A pass that seems too large makes the host run the two one after the other.
    monkeypatch.setattr(relational.model, "memory_required", lambda *_, **__: 1e30)
    assert count_passes(relational, encoded) == 2 * passes
    torch.testing.assert_close(sample(relational, encoded), together, rtol=1e-3, atol=1e-3)


def count_passes(model, encoded):
    seen = []

    def count(executor, *arguments, **options):
        seen.append(arguments[0].shape[0])
        return executor(*arguments, **options)

    model = model.clone()
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "count", count)
    sample(model, encoded)
    return len(seen)


@pytest.mark.slow
def test_a_batch_holds_what_single_runs_give(relational, encode, make_scene):
    scene = make_scene()
    batch, single = encode(scene, batch=2), encode(scene)
    noise = comfy.sample.prepare_noise(batch.latent["samples"], 1)
    model = relational.model
    comfy.model_management.load_models_gpu([relational])

    def forward(encoded, x):
        conditions = comfy.sampler_helpers.convert_cond(encoded.positive)
        conditions = comfy.samplers.process_conds(model, x, {"positive": conditions}, x.device)["positive"]
        level = torch.full((x.shape[0],), 0.7)
        options = {"transformer_options": {"wrappers": relational.wrappers}}
        return comfy.samplers.calc_cond_batch(model, [conditions], x, level, options)[0]

    relational.pre_run()
    with torch.no_grad():
        together = forward(batch, noise)
        alone = torch.cat([forward(single, one) for one in noise.split(1)])
    relational.cleanup()
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 5])
def test_pictures_and_groups_as_long_as_the_video(relational, encode, make_scene, frames):
    """With 5 frames the video has two latent frames, as many as each person has pictures."""
    encoded = encode(make_scene(), frames=frames)
    result = sample(relational, encoded)
    assert result.shape[2] == (frames + 3) // 4
    assert result.isfinite().all()
    # A group mistaken for the video would see the other person.
    before, after = (
        groups_of(e, tokens_after_third_block(relational, e))
        for e in (encoded, encode(make_scene(man=7), frames=frames))
    )
    assert torch.equal(before[3], after[3]) and not torch.equal(before[2], after[2])


def lora(base, strength):
    """A rank-2 LoRA in the key format that Wan LoRAs have."""
    generator = torch.Generator().manual_seed(1)
    weights = {}
    for name, value in base.model.diffusion_model.state_dict().items():
        if name.endswith((".q.weight", ".ffn.0.weight")):
            stem = "diffusion_model." + name.removesuffix(".weight")
            weights[f"{stem}.lora_A.weight"] = torch.randn(2, value.shape[1], generator=generator) * 0.05
            weights[f"{stem}.lora_B.weight"] = torch.randn(value.shape[0], 2, generator=generator) * strength
    return weights


def test_only_lumosx_conditioning_gets_the_whole_timestep():
    binding = comfy.conds.CONDConstant("a scene")
    seen, entries = [], [{"model_conds": {BINDING: binding}}, {"model_conds": {"other": 1}}, {}]
    options = {TIMESTEP: 500, "transformer_options": {}}
    PassesWrapper(UNLIMITED)(
        lambda model, conditions, *_: seen.append(conditions), None, [entries, None], torch.zeros(1, 16, 1, 2, 2),
        torch.ones(1), options,
    )
    ((ours, *others), negative), = seen
    assert ours["model_conds"][BINDING] is binding and ours["model_conds"][TIMESTEP].cond.tolist() == [500]
    assert others == [{"model_conds": {"other": 1}}, {"model_conds": {}}] and negative is None
    assert entries[0] == {"model_conds": {BINDING: binding}}


def test_levels_within_a_whole_timestep_are_brought_to_it_and_no_others():
    given = torch.tensor([499.98, 499.995, 500.0, 500.999, 501.005, 501.02, 502.0])
    expected = torch.tensor([499.98, 500, 500, 500, 500, 501.02, 502])
    assert torch.equal(_whole_timestep(given, torch.tensor([500])), expected)
    assert _whole_timestep(given, None) is given


@pytest.mark.parametrize(("level", "ours"), [
    (500 - _LEVEL_TOLERANCE, False), (math.nextafter(500 - _LEVEL_TOLERANCE, 500), True),
    (math.nextafter(501 + _LEVEL_TOLERANCE, 500), True), (501 + _LEVEL_TOLERANCE, False),
])
def test_levels_at_the_very_tolerance_are_a_nodes_own(level, ours):
    given = torch.tensor([level], dtype=torch.float64)
    assert float(_whole_timestep(given, torch.tensor([500.0], dtype=torch.float64))) == (500 if ours else level)


def test_a_lora_works_before_and_after(base, encode, make_scene):
    encoded = encode(make_scene())
    weights = lora(base, 0.5)
    before = relational_model(comfy.sd.load_lora_for_models(base, None, weights, 1.0, 0.0)[0], RelationalOptions())
    after = comfy.sd.load_lora_for_models(relational_model(base, RelationalOptions()), None, weights, 1.0, 0.0)[0]
    results = [sample(model, encoded) for model in (before, after)]
    assert torch.equal(results[0], results[1])
    plain = sample(relational_model(base, RelationalOptions()), encoded)
    assert (results[0] - plain).abs().max() > 1e-2


def test_a_model_without_the_node_stops_with_a_sentence(base, encode, make_scene):
    with pytest.raises(LumosXError, match="put a LumosX Model node between the model loader and the sampler"):
        sample(base, encode(make_scene()))


def test_references_of_another_method_stop_with_a_sentence(relational, encode, make_scene):
    encoded = encode(make_scene())
    phantom = [[text, {**options, "time_dim_concat": encoded.latent["samples"]}] for text, options in encoded.positive]
    with pytest.raises(LumosXError, match="WanPhantomSubjectToVideo"):
        run_sampler(relational, phantom, encoded.negative, encoded.latent, PLAN)


def test_a_latent_of_another_size_stops_with_a_sentence(relational, encode, make_scene):
    encoded = encode(make_scene())
    other = {"samples": torch.zeros(1, 16, 3, 4, 8)}
    with pytest.raises(LumosXError, match="the video is 64x32 pixels but the references were encoded for 64x48"):
        run_sampler(relational, encoded.positive, encoded.negative, other, PLAN)


def test_a_second_model_node_replaces_the_constants(base, encode, make_scene):
    encoded = encode(make_scene())
    strong = RelationalOptions(ratio=5.0)
    twice = relational_model(relational_model(base, strong), RelationalOptions())
    assert torch.equal(sample(twice, encoded), sample(relational_model(base, RelationalOptions()), encoded))
    assert not torch.equal(sample(relational_model(base, strong), encoded), sample(twice, encoded))


@pytest.mark.parametrize(
    "options", [RelationalOptions(ratio=0.0), RelationalOptions(r2pe=False), RelationalOptions(csam=False)]
)
def test_each_mechanism_can_be_switched_off_and_matters(base, relational, encode, make_scene, options):
    encoded = encode(make_scene())
    assert not torch.equal(sample(relational_model(base, options), encoded), sample(relational, encoded))


@pytest.mark.parametrize("first", ["ours", "easycache"])
def test_easycache_skips_steps_in_either_order(base, encode, make_scene, first):
    from comfy_extras.nodes_easycache import EasyCacheNode

    def cached(model):
        return EasyCacheNode.execute(model, 100.0, 0.1, 0.95, False)[0]

    if first == "ours":
        model = cached(relational_model(base, RelationalOptions()))
    else:
        model = relational_model(cached(base), RelationalOptions())
    runs = []

    def count(arguments, extra):
        runs.append(1)
        return extra["original_block"](arguments)

    model.set_model_patch_replace(count, "dit", "double_block", 0)
    result = sample(model, encode(make_scene()), SamplingPlan(seed=0, steps=8))
    assert result.isfinite().all()
    assert 0 < len(runs) < 8


@pytest.mark.parametrize(("dtype", "cosine"), [(torch.bfloat16, 0.99), (torch.float8_e4m3fn, 0.9)])
def test_low_precision_weights(placed_file, relational, encode, make_scene, dtype, cosine):
    loaded = comfy.sd.load_diffusion_model(str(placed_file), model_options={"dtype": dtype})
    low = relational_model(loaded, RelationalOptions())
    encoded = encode(make_scene())
    expected, measured = sample(relational, encoded), sample(low, encoded)
    assert torch.cosine_similarity(expected.flatten(), measured.flatten(), dim=0) > cosine


def test_an_attention_override_of_another_node_gets_every_mask_free_call(relational, encode, make_scene):
    """As packs with their own attention install it; the calls carry the block they come from."""
    seen = []

    def override(original, *arguments, **options):
        assert options.get("mask") is None and len(arguments) == 3
        (q, k, _), given = arguments, options["transformer_options"]
        seen.append((given["block_index"], (len(q) // len(given["cond_or_uncond"]), q.shape[1], k.shape[1])))
        return original(*arguments, **options)

    encoded = encode(make_scene())
    model = relational.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    torch.testing.assert_close(sample(model, encoded), sample(relational, encoded), rtol=1e-4, atol=1e-4)
    # Video to everything, two single references together, two people together, and video to text.
    everything, alone = {(1, 36, 108), (1, 36, 512)}, {(2, 12, 12), (2, 24, 24)}
    for index in range(4):
        assert {call for block, call in seen if block == index} == everything | (alone if index < 3 else set())


def test_a_skipped_layer_is_skipped(relational, encode, make_scene):
    """As SkipLayerGuidance does it."""
    encoded = encode(make_scene())
    model = relational.clone()
    model.set_model_patch_replace(lambda arguments, extra: arguments, "dit", "double_block", 1)
    assert not torch.equal(sample(model, encoded), sample(relational, encoded))


@pytest.mark.parametrize("block", [0, 3])
def test_what_replaces_a_block_may_keep_and_mix_both_its_ends(relational, encode, make_scene, block):
    """As packs do that cache or weaken a block; the last one has nothing to say of references."""
    kept = []

    def mix(arguments, extra):
        given, outcome = arguments["img"], extra["original_block"](arguments)["img"]
        kept.extend((tensor, tensor.clone()) for tensor in (given, outcome))
        assert given.shape == outcome.shape and not torch.equal(given, outcome)
        mixed = given + 1.0 * (outcome - given)
        kept.append((mixed, mixed.clone()))
        return {"img": mixed}

    encoded = encode(make_scene())
    model = relational.clone()
    model.set_model_patch_replace(mix, "dit", "double_block", block)
    torch.testing.assert_close(sample(model, encoded), sample(relational, encoded), rtol=1e-3, atol=1e-4)
    assert kept and all(torch.equal(tensor, before) for tensor, before in kept)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_a_wrapper_that_passes_by_position_loses_nothing(base, relational, encode, make_scene, first):
    """As the stock forward is called; our timesteps and other nodes' options must come through."""
    def by_position(executor, x, timestep, context, clip_fea=None, frames=None, transformer_options={}, **kwargs):
        return executor(x, timestep, context, clip_fea, frames, transformer_options, **kwargs)

    calls = []

    def override(original, *arguments, **options):
        calls.append(1)
        return original(*arguments, **options)

    model = base.clone() if first == "theirs" else relational.clone()
    model.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "other", by_position)
    model = relational_model(model, RelationalOptions()) if first == "theirs" else model
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    encoded = encode(make_scene())
    torch.testing.assert_close(sample(model, encoded), sample(relational, encoded), rtol=1e-4, atol=1e-4)
    assert calls


@pytest.mark.parametrize(
    ("disturb", "sentence"),
    [
        (lambda model: model.set_model_attn1_patch(lambda *_: None), "another node set attn1_patch on it"),
        (
            lambda model: model.model_options["transformer_options"].update(rope_options={"scale_t": 2.0}),
            "another node set rope_options on it",
        ),
        (
            lambda model: model.add_object_patch("diffusion_model.blocks.1.self_attn.forward", lambda *_: None),
            "another node replaced the forward of blocks.1.self_attn, which would undo relations",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(relational, encode, make_scene, disturb, sentence):
    model = relational.clone()
    disturb(model)
    with pytest.raises(LumosXError, match=sentence):
        sample(model, encode(make_scene()))


def test_conditioning_of_another_method_is_refused(relational, encode, make_scene):
    encoded = encode(make_scene())
    reference = torch.zeros(1, 16, 1, 6, 8)
    mixed = [[text, {**options, "reference_latents": [reference]}] for text, options in encoded.positive]
    with pytest.raises(LumosXError, match="positive: it carries reference_latents of another method"):
        run_sampler(relational, mixed, encoded.negative, encoded.latent, PLAN)


@pytest.mark.parametrize("frames", [21, 25])
def test_context_windows_keep_all_references(relational, encode, make_scene, frames):
    """21 frames are six latent frames, as many as there are references: a stacked tensor would be cut up."""
    from comfy_extras.nodes_context_windows import WanContextWindowsManualNode

    arguments = {"context_length": 13, "context_overlap": 4, "context_schedule": "standard_static", "context_stride": 1,
                 "closed_loop": False, "fuse_method": "pyramid"}
    known = {entry.id for entry in WanContextWindowsManualNode.define_schema().inputs}
    extra = {"freenoise": False} if "freenoise" in known else {}
    windowed = WanContextWindowsManualNode.execute(relational, **arguments, **extra)[0]
    seen = []

    def watch(executor, x, *rest, **kwargs):
        seen.append((x.shape[2], len(kwargs["lumosx_references"])))
        return executor(x, *rest, **kwargs)

    windowed.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "watch", watch)
    result = sample(windowed, encode(make_scene(), frames=frames))
    assert result.isfinite().all() and result.shape[2] == (frames + 3) // 4
    # Later versions put the first frame before every window.
    assert {length for length, _ in seen} <= {4, 5} and {references for _, references in seen} == {6}


@pytest.mark.parametrize("backend", ["attention_basic", "attention_split", "attention_sub_quad", "attention_pytorch"])
def test_every_attention_backend_gives_the_same(relational, encode, make_scene, backend, monkeypatch):
    import comfy.ldm.modules.attention as attention

    import lumosx_core.host.methods.lumosx as patcher

    encoded = encode(make_scene())
    expected = sample(relational, encoded)
    monkeypatch.setattr(patcher, "optimized_attention", getattr(attention, backend))
    torch.testing.assert_close(sample(relational, encoded), expected, rtol=1e-3, atol=1e-3)


def test_the_residual_stream_may_be_narrow(tiny, encode, make_scene):
    """With bf16 activations the stream is kept in float32 or in bf16, as asked; both stay near the exact result."""
    from lumosx_core.models.lumosx import relational_forward

    model, _, _ = tiny
    encoded = encode(make_scene())
    conditions = encoded.positive[0][1]["model_conds"]
    references, binding = conditions["lumosx_references"].cond, conditions["lumosx_binding"].cond
    noise = torch.randn(1, 16, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    exact = copy.deepcopy(model.model.diffusion_model)
    narrow = copy.deepcopy(exact).bfloat16()
    narrow.patch_embedding.float()

    def forward(module, dtype, options):
        streams = []

        def watch(index, x, original):
            streams.append(x.dtype)
            return original(x)

        with torch.no_grad():
            velocity = relational_forward(
                module, noise.to(dtype), torch.tensor([700.0]), encoded.positive[0][0].to(dtype), references, binding,
                lambda q, k, v, heads: comfy.ldm.modules.attention.attention_pytorch(q, k, v, heads), options, watch,
            )
        return velocity, set(streams)

    expected, _ = forward(exact, torch.float32, RelationalOptions())
    for wide, stream in ((True, torch.float32), (False, torch.bfloat16)):
        velocity, streams = forward(narrow, torch.bfloat16, RelationalOptions(float32_residual=wide))
        assert velocity.dtype == torch.bfloat16 and streams == {stream}
        assert ((velocity.float() - expected).norm() / expected.norm()) < 0.1
