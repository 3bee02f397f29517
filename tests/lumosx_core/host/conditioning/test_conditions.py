"""What other nodes put into a conditioning, or leave out of one, with ComfyUI's own nodes and samplers."""

import comfy.controlnet
import comfy.sample
import comfy.samplers
import pytest
import torch
from comfy_extras import nodes_custom_sampler, nodes_edit_model, nodes_flux, nodes_video_model, nodes_wan

import nodes
from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning import conditions
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling.sampler import SamplingPlan, flow_sampling, run_sampler
from lumosx_core.models.lumosx import RelationalOptions

SIZE = {"width": 64, "height": 48, "length": 9, "batch_size": 1}


@pytest.fixture(scope="module")
def model(tiny):
    return relational_model(tiny[0], RelationalOptions())


@pytest.fixture(scope="module")
def encoded(encode, make_scene):
    return encode(make_scene())


@pytest.fixture(scope="module")
def plain(tiny):
    """A text as CLIP Text Encode gives it."""
    return nodes.CLIPTextEncode().encode(tiny[1], "blurred, static")[0]


@pytest.fixture(scope="module")
def whole(model, encoded):
    """What ``sample`` makes of the conditionings as the encoder gives them."""
    return sample(model, encoded.positive, encoded.negative, encoded.latent)


@pytest.fixture
def unloaded(model, monkeypatch):
    """Fails a test in which the model is loaded before the refusal."""
    def load(*_, **__):
        raise AssertionError("the model was loaded first")

    monkeypatch.setattr(comfy.samplers.comfy.sampler_helpers, "_prepare_sampling", load)


def sample(model, positive, negative, latent, **plan):
    plan = SamplingPlan(**{"seed": 3, "steps": 1, **plan})
    return run_sampler(model, positive, negative, latent, plan)["samples"]


def stock_sample(model, positive, negative, latent, cfg=6.0):
    """As KSampler does it."""
    latent = latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 3)
    return comfy.sample.sample(model, noise, 1, cfg, "euler", "simple", positive, negative, latent, seed=3)


def refusal(run, *arguments, **options):
    with pytest.raises(LumosXError) as caught:
        run(*arguments, **options)
    return str(caught.value)


def noisy_video(frames=9):
    return torch.rand(frames, 48, 64, 3, generator=torch.Generator().manual_seed(0))


VISION = type("Vision", (), {"penultimate_hidden_states": torch.zeros(1, 257, 1280)})()
METHODS = {
    "WanImageToVideo": ("concat_latent_image", {"start_image": noisy_video(1)}),
    "WanFunControlToVideo": ("concat_latent_image", {"control_video": noisy_video()}),
    "Wan22FunControlToVideo": ("concat_latent_image", {"ref_image": noisy_video(1)}),
    "WanFirstLastFrameToVideo": ("concat_latent_image", {"start_image": noisy_video(1)}),
    "WanFunInpaintToVideo": ("concat_latent_image", {"start_image": noisy_video(1)}),
    "WanVaceToVideo": ("vace_frames", {"strength": 1.0, "control_video": noisy_video()}),
    "WanCameraImageToVideo": ("camera_conditions", {"camera_conditions": torch.zeros(1, 24, 3, 6, 8)}),
    "WanPhantomSubjectToVideo": ("time_dim_concat", {"images": noisy_video(2)}),
    "WanTrackToVideo": ("clip_vision_output", {
        "tracks": "[]", "temperature": 220.0, "topk": 2, "clip_vision_output": VISION,
    }),
    "WanSoundImageToVideo": ("reference_latents", {"ref_image": noisy_video(1)}),
    "WanHuMoImageToVideo": ("reference_latents", {"ref_image": noisy_video(1)}),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_node_of_another_method_is_refused_before_the_model_is_loaded(tiny, model, encoded, unloaded, name):
    key, inputs = METHODS[name]
    given = getattr(nodes_wan, name).execute(encoded.positive, encoded.negative, vae=tiny[2], **SIZE, **inputs)
    positive, negative = given[0], given[1]
    for run in (sample, stock_sample):
        said = refusal(run, model, positive, negative, encoded.latent)
        assert said.startswith("positive: it carries ") and f"{key} of another method" in said
    # The negative alone is enough, and so is the positive.
    assert refusal(sample, model, encoded.positive, negative, encoded.latent).startswith("negative: it carries ")
    assert refusal(sample, model, positive, encoded.negative, encoded.latent).startswith("positive: it carries ")


def with_value(conditioning, name, value):
    return [[text, {**options, name: value}] for text, options in conditioning]


def with_model_cond(conditioning, name, value):
    return [
        [text, {**options, "model_conds": {**options["model_conds"], name: comfy.conds.CONDConstant(value)}}]
        for text, options in conditioning
    ]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda one: nodes_edit_model.ReferenceLatent.execute(one, {"samples": torch.zeros(1, 16, 1, 6, 8)})[0],
         "reference_latents"),
        (lambda one: nodes_flux.FluxGuidance.execute(one, 3.5)[0], "guidance"),
        (lambda one: nodes.ControlNetApplyAdvanced().apply_controlnet(
            one, one, comfy.controlnet.ControlNet(torch.nn.Linear(2, 2)), noisy_video(1), 1.0, 0.0, 1.0)[0], "control"),
        (lambda one: nodes.unCLIPConditioning().apply_adm(one, VISION, 1.0, 0.0)[0], "unclip_conditioning"),
        (lambda one: with_value(one, "a_future_packs_pose", torch.zeros(1)), "a_future_packs_pose"),
        (lambda one: with_model_cond(one, "a_future_packs_pose", 1.0), "a_future_packs_pose"),
        (lambda one: with_model_cond(one, "time_dim_concat", torch.zeros(1, 16, 1, 6, 8)), "time_dim_concat"),
    ],
)
def test_values_of_any_origin_are_refused(model, encoded, unloaded, change, name):
    said = refusal(sample, model, change(encoded.positive), encoded.negative, encoded.latent)
    assert said.startswith(f"positive: it carries {name} of another method")
    said = refusal(stock_sample, model, encoded.positive, change(encoded.negative), encoded.latent)
    assert said.startswith(f"negative: it carries {name} of another method")


def test_a_value_of_none_is_let_through(model, encoded):
    positive = with_value(encoded.positive, "guidance", None)
    assert torch.equal(
        sample(model, positive, encoded.negative, encoded.latent),
        sample(model, encoded.positive, encoded.negative, encoded.latent),
    )


def halves(conditioning):
    """The video's left half at full strength, the right at half of it."""
    mask = torch.ones(1, 48, 64)
    mask[..., 32:] = 0.5
    return nodes.ConditioningSetMask().append(conditioning, mask, "default", 1.0)[0]


@pytest.mark.parametrize(
    "change",
    [
        halves,
        lambda one: nodes.ConditioningSetTimestepRange().set_range(one, 0.0, 1.0)[0],
        lambda one: nodes.ConditioningSetAreaStrength().append(one, 0.5)[0],
        lambda one: nodes_video_model.ConditioningSetAreaPercentageVideo.execute(one, 1.0, 1.0, 1.0, 0, 0, 0, 1.0)[0]
        if hasattr(nodes_video_model.ConditioningSetAreaPercentageVideo, "execute")
        else nodes_video_model.ConditioningSetAreaPercentageVideo().append(one, 1.0, 1.0, 1.0, 0, 0, 0, 1.0)[0],
    ],
    ids=["mask", "range", "strength", "whole area"],
)
def test_what_the_samplers_honour_changes_nothing_for_a_text_that_is_alone(model, encoded, whole, change):
    """The host weighs texts by each other."""
    result = sample(model, change(encoded.positive), change(encoded.negative), encoded.latent)
    torch.testing.assert_close(result, whole, rtol=1e-3, atol=1e-3)


def test_zeroed_texts_keep_their_references(model, encoded, whole):
    zeroed = nodes.ConditioningZeroOut().zero_out(encoded.negative)[0]
    result = sample(model, encoded.positive, zeroed, encoded.latent)
    assert result.isfinite().all() and not torch.allclose(result, whole, atol=1e-3)


@pytest.mark.parametrize("run", [sample, stock_sample])
def test_a_negative_without_references_is_refused_unless_cfg_leaves_it_out(model, encoded, plain, run):
    said = refusal(run, model, encoded.positive, plain, encoded.latent)
    assert said.startswith("negative: it has no LumosX references but positive has")
    assert "link the negative output of LumosX Relational Encode, or set cfg to 1" in said
    alone = run(model, encoded.positive, encoded.negative, encoded.latent, cfg=1.0)
    assert torch.equal(run(model, encoded.positive, plain, encoded.latent, cfg=1.0), alone)


def test_a_sampler_that_computes_the_negative_at_cfg_1_is_no_way_around(model, encoded, plain):
    latent = encoded.latent["samples"]
    noise = comfy.sample.prepare_noise(latent, 3)

    def run(negative):
        return comfy.sample.sample(
            model, noise, 1, 1.0, "euler_cfg_pp", "simple", encoded.positive, negative, latent, seed=3
        )

    said = refusal(run, plain)
    assert said.startswith("negative: it has no LumosX references") and "set cfg to 1" not in said
    assert run(encoded.negative).isfinite().all()


@pytest.mark.parametrize("run", [sample, stock_sample])
def test_a_positive_without_references_is_refused_beside_a_negative_with_them(model, encoded, plain, unloaded, run):
    said = refusal(run, model, plain, encoded.negative, encoded.latent)
    assert said.startswith("positive: it has no LumosX references but negative has") and "cfg" not in said


def test_without_any_references_it_is_the_stock_model(tiny, model, encoded, plain):
    positive = nodes.CLIPTextEncode().encode(tiny[1], "a man")[0]
    stock = stock_sample(tiny[0], positive, plain, encoded.latent)
    assert torch.equal(stock_sample(model, positive, plain, encoded.latent), stock)


def test_combined_texts_of_both_kinds_are_refused(model, encoded, plain, unloaded):
    for combined in (encoded.positive + plain, plain + encoded.positive):
        said = refusal(stock_sample, model, combined, encoded.negative, encoded.latent)
        assert said.startswith("positive: a text without references was combined with LumosX's")
    said = refusal(sample, model, encoded.positive, encoded.negative + plain, encoded.latent)
    assert said.startswith("negative: a text without references was combined")


def in_range(conditioning, start, end):
    return nodes.ConditioningSetTimestepRange().set_range(conditioning, start, end)[0]


def test_texts_without_references_have_a_part_of_the_run_to_themselves(model, encoded, plain, unloaded):
    def parts(conditioning, turn=0.5):
        return in_range(plain, 0.0, turn) + in_range(conditioning, turn, 1.0)

    for negative in (encoded.negative, parts(encoded.negative, 0.4)):
        said = refusal(stock_sample, model, parts(encoded.positive), negative, encoded.latent)
        assert said.startswith("positive: it has no LumosX references but negative has")
    overlapping = in_range(plain, 0.0, 0.6) + in_range(encoded.positive, 0.5, 1.0)
    said = refusal(stock_sample, model, overlapping, parts(encoded.negative), encoded.latent)
    assert said.startswith("positive: a text without references was combined")


def test_references_that_start_late_run(model, encoded, plain):
    def parts(conditioning):
        # The second of two steps begins at about half of the run.
        return in_range(plain, 0.0, 0.3) + in_range(conditioning, 0.3, 1.0)

    result = sample(model, parts(encoded.positive), parts(encoded.negative), encoded.latent, steps=2)
    # The last step needs no memory of the one before.
    half = run_sampler(model, plain, plain, encoded.latent, SamplingPlan(3, 2, end_step=1))
    rest = run_sampler(model, encoded.positive, encoded.negative, half, SamplingPlan(3, 2, start_step=1))["samples"]
    torch.testing.assert_close(result, rest, rtol=1e-3, atol=1e-3)


def test_a_text_with_a_region_of_its_own_runs(model, encoded, plain, whole):
    result = sample(model, encoded.positive + halves(plain), encoded.negative, encoded.latent)
    assert result.isfinite().all() and not torch.allclose(result, whole, atol=1e-3)
    # Alone it leaves its side without references, whatever its region is.
    said = refusal(sample, model, encoded.positive, halves(plain), encoded.latent)
    assert said.startswith("negative: it has no LumosX references")


def dual(model, positive, middle, negative, latent):
    guider = nodes_custom_sampler.Guider_DualCFG(model)
    guider.set_conds(positive, middle, negative)
    guider.set_cfg(3.0, 3.0)
    sampler, sigmas, _ = flow_sampling(1, 8.0)
    latent = latent["samples"]
    return guider.sample(comfy.sample.prepare_noise(latent, 3), latent, sampler, sigmas, seed=3)


def test_a_guider_with_three_branches_may_leave_references_out_of_one_and_says_so(model, encoded, plain, caplog):
    everywhere = dual(model, encoded.positive, encoded.negative, encoded.negative, encoded.latent)
    assert "has no LumosX references" not in caplog.text
    without = dual(model, encoded.positive, encoded.negative, plain, encoded.latent)
    assert without.isfinite().all() and not torch.allclose(without, everywhere, atol=1e-3)
    assert caplog.text.count("negative: it has no LumosX references, so this branch of the guider") == 1
    said = refusal(dual, model, encoded.positive, encoded.negative + plain, encoded.negative, encoded.latent)
    assert said.startswith("middle: a text without references was combined")


def area(conditioning):
    return nodes.ConditioningSetArea().append(conditioning, 32, 48, 16, 0, 1.0)[0]


def bounds(conditioning):
    mask = torch.zeros(1, 48, 64)
    mask[..., :32] = 1
    return nodes.ConditioningSetMask().append(conditioning, mask, "mask bounds", 1.0)[0]


@pytest.mark.parametrize(
    "change",
    [
        area, bounds,
        lambda one: nodes.ConditioningSetAreaPercentage().append(one, 0.5, 1.0, 0.0, 0.0, 1.0)[0],
        lambda one: with_value(one, "area", ("percentage", 1.0, 1.0, 0.5, 0.0, 0.0, 0.5)),
        lambda one: with_value(one, "area", (3, 6, 4, 0, 0, 4)),
    ],
)
def test_areas_are_called_by_their_name(model, encoded, unloaded, change):
    for run in (sample, stock_sample):
        said = refusal(run, model, change(encoded.positive), encoded.negative, encoded.latent)
        assert said.startswith("positive: it is limited to an area of the picture")
        assert "latent" not in said
    assert refusal(sample, model, encoded.positive, change(encoded.negative), encoded.latent).startswith("negative: ")


def test_a_part_of_the_frames_is_no_area_of_the_picture(model, encoded, whole):
    first = with_value(encoded.positive, "area", ("percentage", 0.67, 1.0, 1.0, 0.0, 0.0, 0.0))
    rest = with_value(encoded.positive, "area", ("percentage", 0.67, 1.0, 1.0, 0.33, 0.0, 0.0))
    result = sample(model, first + rest, encoded.negative, encoded.latent)
    assert result.isfinite().all() and not torch.allclose(result, whole, atol=1e-3)


@pytest.mark.parametrize(("dim", "length", "side"), [(3, 4, "height"), (4, 6, "width")])
def test_windows_along_a_side_are_called_by_their_name(model, encoded, unloaded, dim, length, side):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    arguments = {"context_length": length, "context_overlap": 2, "context_schedule": "standard_static",
                 "context_stride": 1, "closed_loop": False, "fuse_method": "pyramid", "dim": dim}
    known = {entry.id for entry in ContextWindowsManualNode.define_schema().inputs}
    extra = {"freenoise": False} if "freenoise" in known else {}
    windowed = ContextWindowsManualNode.execute(model, **arguments, **extra)[0]
    said = refusal(stock_sample, windowed, encoded.positive, encoded.negative, encoded.latent)
    assert said.startswith(f"model: its context windows go along the {side}") and "dim to 2" in said


def test_tiles_are_called_by_their_name(model, encoded):
    """As packs do it, once in front of the model and once in front of the whole sampler."""
    def left_half(apply, arguments):
        x = arguments["input"]
        part = apply(x[..., :4], arguments["timestep"], **arguments["c"])
        return torch.cat([part, part], dim=-1)

    tiled = model.clone()
    tiled.set_model_unet_function_wrapper(left_half)
    said = refusal(sample, tiled, encoded.positive, encoded.negative, encoded.latent)
    assert said.startswith("model: another node cuts the picture into parts") and "32x48 pixels" in said
    tile = {"samples": encoded.latent["samples"][..., :4]}
    said = refusal(stock_sample, model, encoded.positive, encoded.negative, tile)
    assert said.startswith("latent: the video is 32x48 pixels") and "works in tiles" in said
    picture = {"samples": torch.zeros(1, 16, 6, 8)}
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(encoded.positive, encoded.negative)
    sampler, sigmas, _ = flow_sampling(1, 8.0)
    said = refusal(guider.sample, picture["samples"], picture["samples"], sampler, sigmas)
    assert said.startswith("latent: it has 4 dimensions, not the 5 of a video")
    larger = {"samples": torch.zeros(1, 16, 3, 6, 10)}
    assert "tiles" not in refusal(sample, model, encoded.positive, encoded.negative, larger)


def set_mask(conditioning, mask, strength=1.0):
    return nodes.ConditioningSetMask().append(conditioning, mask, "default", strength)[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda one: set_mask(one, torch.zeros(1, 48, 64)), "its mask is empty"),
        (lambda one: set_mask(one, torch.ones(48, 64), 0.0), "its strength is 0"),
        (lambda one: nodes.ConditioningSetAreaStrength().append(one, 0.0)[0], "its strength is 0"),
        (lambda one: in_range(one, 0.7, 0.3), "its timestep range, from 0.7 to 0.3, is empty"),
        (lambda one: in_range(one, 0.4, 0.4), "its timestep range, from 0.4 to 0.4, is empty"),
    ],
)
def test_what_takes_every_effect_from_references_is_said(model, encoded, caplog, change, reason):
    sample(model, change(encoded.positive), encoded.negative, encoded.latent)
    assert f"positive: {reason}, so its text and references have no effect" in caplog.text


def test_a_range_from_0_to_0_holds_the_first_step():
    ranges = [(0.0, 0.0), (0.5, 1.0), (1.0, 1.0), (0.4, 0.2)]
    ours = [(name, {"start_percent": start, "end_percent": end}) for name, (start, end) in zip("abcd", ranges)]
    assert [sentence[0] for sentence in conditions._without_effect(ours)] == ["c", "d"]


@pytest.mark.parametrize("shape", [(2, 48, 64), (9, 48, 64), (1, 9, 6, 8)])
def test_a_mask_of_other_frames_than_the_latents_is_named(model, encoded, unloaded, shape):
    said = refusal(stock_sample, model, encoded.positive, set_mask(encoded.negative, torch.ones(shape)), encoded.latent)
    assert said.startswith(f"negative: its mask has {shape[-3]} pictures, but the latent has 3 frames")


@pytest.mark.parametrize("shape", [(48, 64), (1, 6, 8), (3, 48, 64), (1, 3, 6, 8), (1, 1, 6, 8)])
def test_a_mask_that_the_host_takes_runs_without_a_word(model, encoded, caplog, shape):
    masked = set_mask(encoded.positive, torch.ones(shape))
    expected = sample(model, encoded.positive, encoded.negative, encoded.latent)
    assert torch.equal(sample(model, masked, encoded.negative, encoded.latent), expected)
    assert "LumosX" not in caplog.text


def test_references_that_stop_with_nothing_after_them_are_said(model, encoded, caplog):
    sample(model, in_range(encoded.positive, 0.0, 0.5), encoded.negative, encoded.latent)
    assert "positive: it has no text from 0.5 to 1 of the run" in caplog.text
    sample(model, encoded.positive, [], encoded.latent)
    assert "negative: it has no text from 0 to 1 of the run" in caplog.text


def test_a_negative_of_another_scene_is_said(model, encode, make_scene, encoded, caplog):
    other = encode(make_scene(swap=True))
    sample(model, encoded.positive, other.negative, encoded.latent)
    assert "negative: its references are bound to other words or groups than those of positive" in caplog.text
    caplog.clear()
    sample(model, encoded.positive, other.negative, encoded.latent, cfg=1.0)
    both = encoded.positive + other.positive
    sample(model, both, encoded.negative, encoded.latent)
    assert "LumosX" not in caplog.text


def test_advice_that_cannot_help_is_not_given(model, encoded, plain):
    """A node that wants the negative at cfg 1 too."""
    always = model.clone()
    always.set_model_sampler_post_cfg_function(lambda given: given["denoised"], disable_cfg1_optimization=True)
    for cfg in (1.0, 6.0):
        said = refusal(sample, always, encoded.positive, plain, encoded.latent, cfg=cfg)
        assert said.startswith("negative: it has no LumosX references") and "cfg" not in said


def test_a_negative_that_guidance_never_reaches_may_hold_anything(model, encoded, plain):
    ended = sample(model, encoded.positive, plain, encoded.latent, guidance_end_step=0, steps=2)
    assert torch.equal(ended, sample(model, encoded.positive, encoded.negative, encoded.latent, cfg=1.0, steps=2))
    assert refusal(sample, model, encoded.positive, plain, encoded.latent, guidance_end_step=1, steps=2)


def test_references_in_a_negative_that_is_left_out_count_for_nothing(model, encoded, plain, caplog):
    sample(model, plain, encoded.negative, encoded.latent, cfg=1.0)
    assert "no reference reaches LumosX Sampler" in caplog.text and "another node replaced" not in caplog.text


def test_a_filled_latent_of_another_model_is_named_with_any_sampler(model, encoded, unloaded):
    latent = {"samples": torch.ones(1, 48, 3, 6, 8)}
    said = refusal(stock_sample, model, encoded.positive, encoded.negative, latent)
    assert said.startswith("latent: it has 48 channels, but the references have 16")


def test_a_result_that_is_no_numbers_is_said(model, encoded, caplog):
    broken = model.clone()
    weight = "diffusion_model.blocks.0.ffn.0.bias"
    broken.add_patches({weight: ("diff", (torch.full_like(broken.model.state_dict()[weight], torch.nan),))})
    assert not stock_sample(broken, encoded.positive, encoded.negative, encoded.latent).isfinite().all()
    assert caplog.text.count("latent: the result contains values that are not numbers") == 1


def test_what_the_encoders_of_the_host_add_is_known(plain, encoded):
    """A new value of the host's own would refuse every run."""
    from lumosx_core.host.conditioning.conditions import _HARMLESS

    for _, options in plain + encoded.positive:
        assert set(options) <= _HARMLESS


def test_nothing_of_a_refused_run_is_left_in_what_was_given(model, encoded, plain):
    before = [dict(options) for _, options in encoded.positive]
    refusal(sample, model, encoded.positive, plain, encoded.latent)
    assert [dict(options) for _, options in encoded.positive] == before
