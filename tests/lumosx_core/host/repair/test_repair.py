"""Repairing faces with the small models: windows, masks, people, and what is said about what is left out."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.one_person import WholeScene
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.repair import following
from lumosx_core.host.repair.repair import Whose, repair_faces
from lumosx_core.host.repair.resampling import RepairPlan, Tools, _latent_mask
from lumosx_core.host.sampling.sampler import SamplingPlan
from lumosx_core.models.lumosx import RelationalOptions

FRAMES, HEIGHT, WIDTH = 6, 48, 64
PLAN = RepairPlan(SamplingPlan(seed=3, steps=1, cfg=1.0, shift=5.0, denoise=0.5), crop_size=32, feather=2)


@pytest.fixture(scope="module")
def scene(make_scene):
    return make_scene()


@pytest.fixture(scope="module")
def tools(tiny, scene, encode):
    encoded = encode(scene)
    model = relational_model(tiny[0], RelationalOptions())
    return Tools(model, tiny[2], WholeScene(scene, encoded.positive, encoded.negative))


@pytest.fixture(scope="module")
def images():
    return torch.rand(FRAMES, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(4))


def mask_of(*frames, left=10):
    mask = torch.zeros(FRAMES, HEIGHT, WIDTH)
    for frame in frames:
        mask[frame, 12:24, left:left + 12] = 1
    return mask


def test_only_what_the_mask_says_changes_and_frames_without_a_face_stay(images, scene, tools, caplog):
    """Six frames are not 4 n + 1; the mask covers the first five."""
    before = images.clone()
    made, new, preview, report = repair_faces(images, scene, Whose(2, mask=mask_of(*range(5))), tools, PLAN)
    assert torch.equal(images, before) and made.shape == images.shape and new.shape == images.shape[:3]
    changed = (made != images).any(-1)
    assert not (changed & (new == 0)).any() and torch.equal(made[5], images[5]) and new[5].max() == 0
    assert changed[:5, 12:24, 10:22].float().mean() > 0.9 and made.min() >= 0 and made.max() <= 1
    assert "woman on the right: repaired" in report and "frame 5" in report and "frame 5" in caplog.text
    assert preview.shape[0] == 1 and preview.shape[3] == 3 and preview.std() > 0


def test_one_mask_counts_for_every_frame_and_the_reference_matters(images, scene, tools):
    mask = mask_of(0)[:1]
    first, *_ = repair_faces(images, scene, Whose(1, mask=mask), tools, PLAN)
    second, *_ = repair_faces(images, scene, Whose(2, mask=mask), tools, PLAN)
    assert (first != images).any(-1).flatten(1).any(1).all() and not torch.equal(first, second)
    again, *_ = repair_faces(images, scene, Whose(1, mask=mask), tools, PLAN)
    assert torch.equal(again, first)


def test_long_videos_are_sampled_in_parts(scene, tools):
    images = torch.rand(22, HEIGHT, WIDTH, 4, generator=torch.Generator().manual_seed(5))
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[0, 12:24, 10:22] = 1
    plan = RepairPlan(PLAN.sampling, crop_size=32, feather=2, most_frames=17)
    made, new, _, report = repair_faces(images, scene, Whose(1, mask=mask), tools, plan)
    assert (made != images).any(-1).flatten(1).any(1).all() and torch.equal(made[..., 3], images[..., 3])
    assert torch.equal(made[new == 0], images[new == 0]) and "frames 0 to 21" in report


def test_an_empty_mask_changes_nothing_and_says_so(images, scene, tools, caplog):
    made, new, preview, report = repair_faces(images, scene, Whose(1, mask=mask_of()), tools, PLAN)
    assert torch.equal(made, images) and not new.any() and preview.ndim == 4
    assert "man on the left: no face" in report and "man on the left: no face" in caplog.text


@pytest.mark.parametrize(("whose", "named"), [
    (Whose(0, mask=mask_of(0)), "person"), (Whose(3, mask=mask_of(0)), "person"), (Whose(3), "person"),
    (Whose(1, mask=torch.zeros(FRAMES, HEIGHT, WIDTH + 1)), "mask"),
    (Whose(1, mask=torch.zeros(FRAMES - 1, HEIGHT, WIDTH)), "mask"),
    (Whose(1, mask=torch.full((1, HEIGHT, WIDTH), float("nan"))), "mask"),
])
def test_what_does_not_fit_is_named(images, scene, tools, whose, named):
    with pytest.raises(LumosXError, match=f"^{named}: "):
        repair_faces(images, scene, whose, tools, PLAN)


def test_images_that_are_none_are_named(images, scene, tools):
    for wrong in (images[0], images[:0], torch.full_like(images, float("inf"))):
        with pytest.raises(LumosXError, match="^images: "):
            repair_faces(wrong, scene, Whose(1), tools, PLAN)


def test_an_interrupt_stops_it(images, scene, tools):
    import comfy.model_management

    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        repair_faces(images, scene, Whose(1, mask=mask_of(0)), tools, PLAN)
    assert not comfy.model_management.processing_interrupted()


def test_the_latent_mask_covers_every_frame_that_a_latent_frame_stands_for():
    weights = torch.zeros(9, 32, 32)
    weights[0, 0, 0] = weights[5, 31, 31] = 0.1
    mask = _latent_mask(weights, torch.zeros(1, 16, 3, 4, 4))
    assert mask.shape == (1, 1, 3, 4, 4) and mask.sum() == 2 and mask[0, 0, 0, 0, 0] == mask[0, 0, 2, 3, 3] == 1
    # Frames that repeat the last one to fill up are masked as it is.
    assert _latent_mask(weights[:6], torch.zeros(1, 16, 3, 4, 4))[0, 0, 2, 3, 3] == 1


class TestWithoutAnythingThatTellsFacesApart:
    @pytest.fixture(autouse=True)
    def faces_only(self, monkeypatch):
        from lumosx_core.faces.centerface import CenterFace
        from lumosx_core.scores.identity.models import FacesOnly

        monkeypatch.setattr(following, "open_models", lambda *_: FacesOnly(CenterFace(), "nothing is installed."))

    def test_several_people_are_not_given_faces_by_order(self, images, scene, tools, caplog):
        made, new, _, report = repair_faces(images, scene, Whose(), tools, PLAN)
        assert torch.equal(made, images) and not new.any() and report.count("Warning: ") == 1
        assert "2 people cannot be told apart (nothing is installed)" in report and "told apart" in caplog.text

    def test_the_only_face_is_the_only_persons(self, astronaut, six):
        from lumosx_core.scores.people import Person

        small = torch.nn.functional.interpolate(astronaut.movedim(-1, 1), scale_factor=0.5).movedim(1, -1)
        ann = [Person("ann", None)]
        found = following.find_people(small.expand(3, -1, -1, -1), ann, Whose().names)
        assert list(found.boxes[0]) == [0, 1, 2] and found.notes == ()
        found = following.find_people(six, ann, Whose().names)
        assert found.boxes == {0: {}} and "ann: frame 0" in found.notes[0]
