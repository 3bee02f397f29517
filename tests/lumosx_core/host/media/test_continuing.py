"""Clips that begin with the end of another one, or with a picture: exact frames, every sampler, and joined clips."""

import comfy.sample
import comfy.samplers
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.continuing import check_overlap, continue_clip, join_clips
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling.sampler import SamplingPlan, flow_sampling, run_sampler
from lumosx_core.models.lumosx import RelationalOptions

HEIGHT, WIDTH = 48, 64
FRAMES, KEPT = 13, 2
STEPS = 3


@pytest.fixture(scope="module")
def clip():
    return torch.rand(11, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="module")
def encoded(encode, make_scene):
    return encode(make_scene(), frames=FRAMES)


@pytest.fixture(scope="module")
def model(tiny):
    return relational_model(tiny[0], RelationalOptions())


@pytest.fixture(scope="module")
def begun(encoded, tiny, clip):
    return continue_clip(encoded.latent, tiny[2], clip, 5)[0]


def test_the_last_frames_are_encoded_as_the_beginning_of_a_clip(encoded, tiny, clip):
    vae, before = tiny[2], encoded.latent["samples"].clone()
    made, overlap = continue_clip({**encoded.latent, "batch_index": [0]}, vae, clip, 5)
    assert overlap == 5 and torch.equal(encoded.latent["samples"], before) and "noise_mask" not in encoded.latent
    samples, mask = made["samples"], made["noise_mask"]
    assert samples.shape == before.shape and made["batch_index"] == [0]
    assert torch.equal(samples[:, :, :KEPT], vae.encode(clip[6:]))
    assert torch.equal(samples[:, :, KEPT:], before[:, :, KEPT:])
    # Frames from the middle of a clip's latent would be others.
    assert not torch.allclose(samples[:, :, :KEPT], vae.encode(clip[2:])[:, :, 1:], atol=0.1)
    assert mask.shape == (1, 1, 4, 6, 8) and not mask[:, :, :KEPT].any() and (mask[:, :, KEPT:] == 1).all()


def test_a_picture_is_the_first_frame_of_every_video_of_a_batch(encode, make_scene, tiny, clip):
    latent = encode(make_scene(), batch=2).latent
    # Twice as large, as some VAEs decode, and with transparency.
    large = torch.cat([clip[:1], torch.zeros(1, HEIGHT, WIDTH, 1)], -1).repeat_interleave(2, 1).repeat_interleave(2, 2)
    made, overlap = continue_clip(latent, tiny[2], large, 9)
    assert overlap == 1 and not made["noise_mask"][:, :, 0].any() and (made["noise_mask"][:, :, 1:] == 1).all()
    first = tiny[2].encode(clip[:1])
    for video in made["samples"]:
        assert (video[:, :1] - first[0]).norm() < 0.1 * first.norm() and not video[:, 1:].any()
    assert torch.equal(*made["samples"])


def test_a_mask_that_the_latent_has_already_is_kept(encoded, tiny, clip):
    half = torch.ones(1, HEIGHT, WIDTH)
    half[:, :, :WIDTH // 2] = 0
    mask = continue_clip({**encoded.latent, "noise_mask": half}, tiny[2], clip, 5)[0]["noise_mask"]
    assert not mask[:, :, :KEPT].any() and not mask[..., :3].any() and (mask[:, :, KEPT:, :, 5:] == 1).all()


def sampled(model, encoded, latent, how):
    """The samples that one of the ways of sampling makes."""
    positive, negative, samples = encoded.positive, encoded.negative, latent["samples"]
    mask = latent.get("noise_mask")
    noise = comfy.sample.prepare_noise(samples, 3)
    if how in ("euler", "uni_pc", "euler_ancestral"):
        return comfy.sample.sample(
            model, noise, STEPS, 6.0, how, "simple", positive, negative, samples, noise_mask=mask, seed=3
        )
    if how == "guider":
        sampler, sigmas, _ = flow_sampling(STEPS, 8.0)
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(6.0)
        return guider.sample(noise, samples, sampler, sigmas, denoise_mask=mask, seed=3)
    plan = {"steps": STEPS}
    if how == "cached":
        from comfy_extras.nodes_easycache import EasyCacheNode

        model, plan = EasyCacheNode.execute(model, 0.5, 0.15, 0.8, False)[0], {"steps": 8}
    elif how == "windows":
        from comfy_extras.nodes_context_windows import WanContextWindowsManualNode

        known = {entry.id for entry in WanContextWindowsManualNode.define_schema().inputs}
        model = WanContextWindowsManualNode.execute(
            model, context_length=9, context_overlap=4, context_schedule="standard_static", context_stride=1,
            closed_loop=False, fuse_method="pyramid", **({"freenoise": False} if "freenoise" in known else {}),
        )[0]
    elif how == "few steps":
        plan |= {"cfg": 1.0, "schedule": "CausVid"}
    return run_sampler(model, positive, negative, latent, SamplingPlan(seed=3, **plan))["samples"]


@pytest.mark.parametrize(
    "how", ["ours", "euler", "uni_pc", "euler_ancestral", "guider", "cached", "few steps", "windows"]
)
def test_kept_frames_stay_and_the_others_follow_them(model, encoded, begun, how):
    made, without = (sampled(model, encoded, latent, how) for latent in (begun, encoded.latent))
    given = begun["samples"]
    # ComfyUI's uni_pc ends at a noise level of 0.001.
    torch.testing.assert_close(made[:, :, :KEPT], given[:, :, :KEPT], rtol=1e-5, atol=0.02 if how == "uni_pc" else 1e-5)
    apart = (made[:, :, KEPT:] - without[:, :, KEPT:]).norm() / without[:, :, KEPT:].norm()
    assert made.isfinite().all() and apart > 1e-3


def test_a_run_without_noise_cannot_keep_a_part_and_says_so(model, encoded, begun):
    half = run_sampler(model, encoded.positive, encoded.negative, begun, SamplingPlan(0, STEPS, end_step=1))
    plan = SamplingPlan(0, STEPS, start_step=1)
    with pytest.raises(LumosXError, match="^latent: its noise_mask .*start_step"):
        run_sampler(model, encoded.positive, encoded.negative, half, plan)
    # A mask that lets noise everywhere keeps nothing.
    everywhere = {**half, "noise_mask": torch.ones_like(half["noise_mask"])}
    assert run_sampler(model, encoded.positive, encoded.negative, everywhere, plan)["samples"].isfinite().all()


def test_joined_clips_have_every_frame_once(clip):
    first, second = clip[:7], clip[2:]
    assert torch.equal(join_clips(first, second, 5), clip)
    assert torch.equal(join_clips(first, first, 0), torch.cat([first, first]))
    transparent = torch.cat([second, torch.zeros(9, HEIGHT, WIDTH, 1)], -1)
    assert torch.equal(join_clips(first, transparent, 5), clip)


@pytest.mark.parametrize(("frames", "use"), [(2, 1), (4, 5), (0, 1), (1029, 1025)])
def test_a_number_of_frames_that_no_latent_has_is_named(frames, use):
    with pytest.raises(LumosXError, match=f"^overlap_frames: {frames} .*use {use}"):
        check_overlap(frames)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"overlap_frames": 3}, "overlap_frames: 3 "),
    ({"overlap_frames": 13}, "overlap_frames: 13.*only 11 frames; use 9"),
    ({"length": 2}, "overlap_frames: 5 .*of the 5 of latent; use 1 or less"),
    ({"length": 1, "overlap_frames": 1}, "overlap_frames: 1 .*more frames"),
    ({"images": torch.rand(9, HEIGHT, HEIGHT, 3)}, "images: .*48x48.*64x48"),
    ({"images": torch.rand(HEIGHT, WIDTH, 3)}, "images: "), ({"images": torch.rand(0, HEIGHT, WIDTH, 3)}, "images: "),
    ({"images": torch.full((9, HEIGHT, WIDTH, 3), float("nan"))}, "images: "),
    ({"latent": {"samples": torch.zeros(1, 4, 6, 8)}}, "latent: its shape"),
    ({"latent": {"samples": torch.zeros(1, 48, 4, 6, 8)}}, "latent: its shape"), ({"latent": {}}, "latent: "),
    ({"mask": torch.full((1, 6, 8), float("nan"))}, "latent: its noise_mask"),
    ({"vae": type("Other", (), {"encode": lambda self, pixels: torch.zeros(1, 48, 2, 3, 4)})()}, "vae: "),
])
def test_what_does_not_fit_is_named(encoded, tiny, clip, change, sentence):
    latent = {"samples": encoded.latent["samples"][:, :, :change.get("length", FRAMES)]}
    if "mask" in change:
        latent["noise_mask"] = change["mask"]
    with pytest.raises(LumosXError, match=f"^{sentence}"):
        continue_clip(
            change.get("latent", latent), change.get("vae", tiny[2]), change.get("images", clip),
            change.get("overlap_frames", 5),
        )


@pytest.mark.parametrize(("first", "second", "overlap", "sentence"), [
    ((5, 6, 8, 3), (9, 6, 6, 3), 5, "second: .*6x6 .*8x6"), ((4, 6, 8, 3), (9, 6, 8, 3), 5, "overlap: 5 .*first has 4"),
    ((9, 6, 8, 3), (5, 6, 8, 3), 5, "overlap: 5 .*second has 5"), ((6, 8, 3), (5, 6, 8, 3), 0, "first: "),
    ((5, 6, 8, 3), (0, 6, 8, 3), 0, "second: "),
])
def test_clips_that_cannot_be_joined_are_named(first, second, overlap, sentence):
    with pytest.raises(LumosXError, match=f"^{sentence}"):
        join_clips(torch.zeros(first), torch.zeros(second), overlap)
