"""The best of several videos of photographed people, and the noise of the one that is chosen."""

import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.host.scores import best_of as module
from lumosx_core.host.scores.best_of import ChoosingPlan, best_of
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scores.identity.models import FacesOnly, ModelNames
from support.face_videos import people_of_photograph, still_video

FRAMES = 5
PLAN = ChoosingPlan(ModelNames(embedder="dlib"), "colour", 2)


def image_of(frames):
    return torch.from_numpy(np.stack(frames).astype(np.float32) / 255)


def latent_of(count, **more):
    return {"samples": torch.arange(count).float()[:, None, None, None, None].expand(-1, 16, 2, 6, 8), **more}


@pytest.fixture(scope="module")
def pair():
    return people_of_photograph()[1:3]


def scene_of(pair, swap_clothes=False):
    colours = [(0.9, 0.1, 0.1), (0.1, 0.1, 0.9)]
    if swap_clothes:
        colours.reverse()
    return Scene(subjects=tuple(
        Subject(Reference(Kind.FACE, name, image_of([person.picture])), (
            Reference(Kind.ATTRIBUTE, f"{name}'s coat", torch.tensor(colour).expand(1, 32, 32, 3).contiguous()),
        )) for name, person, colour in zip(("woman", "man"), pair, colours)
    ))


@pytest.fixture(scope="module")
def videos(pair):
    """Somebody turns into the other; both are right; one is missing."""
    return image_of([
        *still_video(*pair, frames=FRAMES, swap_at=2), *still_video(*pair, frames=FRAMES),
        *still_video(*pair, frames=FRAMES, leaves_at=0),
    ])


@pytest.mark.slow
def test_the_video_with_the_fewest_errors_is_taken(pair, videos):
    latent = latent_of(3, batch_index=[4, 7, 9], noise_mask=torch.rand(3, 1, 2, 6, 8))
    before = {name: value.clone() if torch.is_tensor(value) else list(value) for name, value in latent.items()}
    scene = Scene(subjects=tuple(Subject(subject.face) for subject in scene_of(pair).subjects))
    chosen, frames, index, report = best_of(videos, latent, scene, PLAN)
    assert index == 1 and torch.equal(frames, videos[FRAMES:2 * FRAMES])
    assert chosen["batch_index"] == [7] and (chosen["samples"] == 1).all() and len(chosen["samples"]) == 1
    assert torch.equal(chosen["noise_mask"], latent["noise_mask"][1:2])
    assert all(torch.equal(latent[name], before[name]) for name in ("samples", "noise_mask"))
    lines = report.splitlines()
    assert "chosen" in lines[3] and lines[3].startswith("| 1 | 0 | 0 | 0.") and lines[4].startswith("| 2 | 1 |")
    assert lines[2].startswith("| 0 | ") and not lines[2].startswith("| 0 | 0")


@pytest.mark.slow
def test_worn_things_count_as_people_do(pair):
    """In the second video the coats are exchanged."""
    def clothed(frames, colours):
        frames = [frame.copy() for frame in frames]
        for frame in frames:
            frame[190:, 60:200], frame[190:, 280:420] = colours
        return frames

    red, blue = (230, 26, 26), (26, 26, 230)
    frames = still_video(*pair, frames=FRAMES, scale=0.7)
    images = image_of([*clothed(frames, (blue, red)), *clothed(frames, (red, blue))])
    _, _, index, report = best_of(images, latent_of(2), scene_of(pair), PLAN)
    assert index == 1 and report.splitlines()[2].startswith("| 0 | 0 | 2 |"), report
    _, _, index, _ = best_of(images, latent_of(2), scene_of(pair, swap_clothes=True), PLAN)
    assert index == 0


def test_without_an_embedder_faces_are_counted(monkeypatch, pair, videos, caplog):
    from lumosx_core.faces.centerface import CenterFace

    monkeypatch.setattr(module, "open_models", lambda *_: FacesOnly(CenterFace(), "nothing is installed."))
    images = torch.cat([videos[2 * FRAMES:], videos[:FRAMES]])
    _, _, index, report = best_of(images, latent_of(2), scene_of(pair), PLAN)
    assert index == 1 and "nothing is installed" in report and "number of faces" in caplog.text


def test_somebody_whose_picture_shows_no_face_is_not_compared(pair, videos, caplog):
    """The woman is missing in the first video; the robot is in none."""
    grey = Subject(Reference(Kind.FACE, "robot", torch.full((1, 64, 64, 3), 0.5)))
    woman = scene_of(pair).subjects[0]
    images = torch.cat([image_of(still_video(*pair[::-1], frames=FRAMES, leaves_at=0)), videos[FRAMES:2 * FRAMES]])
    _, _, index, report = best_of(images, latent_of(2), Scene(subjects=(woman, grey)), PLAN)
    assert index == 1 and "Warning: robot: no face" in report and "robot" in caplog.text
    _, _, index, report = best_of(videos[:2 * FRAMES], latent_of(2), Scene(subjects=(grey,)), PLAN)
    assert index == 0 and "number of faces" in report and "same score" in report


def test_one_video_needs_no_models(videos, pair):
    chosen, frames, index, _ = best_of(videos[:FRAMES], latent_of(1), scene_of(pair), ChoosingPlan())
    assert index == 0 and frames is not None and torch.equal(chosen["samples"], latent_of(1)["samples"])


@pytest.mark.parametrize(("images", "latent", "named"), [
    (torch.zeros(9, 8, 8, 3), latent_of(2), "images"), (torch.zeros(10, 8, 8), latent_of(2), "images"),
    (torch.zeros(10, 8, 8, 3), {}, "latent"),
    (torch.zeros(10, 8, 8, 3), {"samples": torch.zeros(2, 4, 8, 8)}, "latent"),
])
def test_what_does_not_fit_is_named(pair, images, latent, named):
    with pytest.raises(LumosXError, match=f"^{named}: "):
        best_of(images, latent, scene_of(pair), PLAN)


def test_a_sampler_with_the_same_seed_makes_the_chosen_row_again(tiny, encode, make_scene, pair):
    """In as many steps as before it is the very video, so in more steps it is that of the same noise."""
    model, encoded = relational_model(tiny[0], RelationalOptions()), encode(make_scene(), batch=3)
    plan = SamplingPlan(seed=5, steps=2, cfg=2.0)
    made = run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)
    for number in (0, 2):
        row = module._row(made, number, 3)
        again = run_sampler(model, encoded.positive, encoded.negative, row, plan)["samples"]
        torch.testing.assert_close(again, made["samples"][number:number + 1], rtol=1e-4, atol=1e-4)
