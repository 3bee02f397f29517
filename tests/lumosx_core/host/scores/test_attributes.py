"""Attribute and motion scores of an IMAGE batch, with faces that are really found and told apart."""

import json

import comfy.model_management
import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.host.scores.attributes import score_image_attributes, score_image_motion
from lumosx_core.media import tensor_from_pil
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.scores.attributes.score import AttributePlan
from support.drawing import draw_dress, draw_jacket
from support.dressed import dressed_frame
from support.face_videos import people_of_photograph
from support.transformers_folders import write_dino
from tools.stand_ins import hide_for

pytestmark = pytest.mark.slow

JACKET, DRESS = draw_jacket((62, 140, 92)), draw_dress((250, 204, 66))


@pytest.fixture(scope="module")
def faces():
    """Two people of a photograph, as PIL pictures."""
    first, _, second, *_ = people_of_photograph()
    return Image.fromarray(first.picture), Image.fromarray(second.picture)


@pytest.fixture(scope="module")
def scene(faces):
    return Scene(None, (), tuple(
        Subject(Reference(Kind.FACE, f"person {number}", tensor_from_pil(face)),
                (Reference(Kind.ATTRIBUTE, phrase, tensor_from_pil(thing)),))
        for number, (face, phrase, thing) in enumerate(zip(faces, ("green jacket", "yellow dress"), (JACKET, DRESS)), 1)
    ))


@pytest.fixture(scope="module")
def images(faces):
    """Four frames; in the last two they wear each other's clothes."""
    frames = [dressed_frame(faces, order) for order in [(JACKET, DRESS)] * 2 + [(DRESS, JACKET)] * 2]
    return torch.from_numpy(np.stack(frames)).float() / 255


def score(images, scene, every=1, **plan):
    plan = AttributePlan(**{"by": "colour", **plan}, every=every)
    return score_image_attributes(images, scene, plan, "automatic", "CenterFace")


def test_clothes_that_change_hands_are_seen(images, scene):
    before = images.clone()
    report, text, annotated, plot = score(images, scene)
    values = json.loads(text)
    assert values["watched_frames"] == [0, 1, 2, 3] and values["seen"] == [4, 4]
    for attribute in values["attributes"]:
        assert attribute["win_rate"] == 0.5 and attribute["leakage"] > 0.05
    assert annotated.shape == images.shape and annotated.dtype == torch.float32 and not torch.equal(annotated, images)
    assert "| green jacket | 1 person 1 |" in report and torch.equal(images, before)
    assert plot.shape == (1, 420, 1000, 3) and plot.dtype == torch.float32 and 0 <= plot.min() < plot.max() <= 1


def test_every_nth_frame(images, scene):
    report, text, annotated, _ = score(images, scene, every=3)
    assert json.loads(text)["watched_frames"] == [0, 3] and len(annotated) == 2
    report, text, *_ = score(images[:2], scene)
    assert [attribute["verdict"] for attribute in json.loads(text)["attributes"]] == ["on the right person"] * 2


def test_networks_in_the_models_folder_are_used(images, scene, tmp_path, monkeypatch):
    write_dino(tmp_path / "lumosx")
    monkeypatch.setattr("folder_paths.models_dir", str(tmp_path))
    # As ComfyUI runs nodes.
    with torch.inference_mode():
        report, text, *_ = score(images[:1], scene, by="everything there is")
    values = json.loads(text)
    assert list(values["measures"]) == ["colour", "DINO-I"]
    note, = values["notes"]
    assert note.startswith("CLIP-I and CLIP-T left out") and str(tmp_path / "lumosx" / "clip-vit-large-patch14") in note


def test_what_cannot_be_done_is_reported_before_any_frame_is_watched(scene):
    none = torch.zeros(0, 16, 16, 3)
    with pytest.raises(LumosXError, match="by: CLIP has no weights"):
        score(none, scene, by="CLIP")
    with pytest.raises(LumosXError, match="locate: OWLv2 has no weights"):
        score(none, scene, locate="OWLv2 inside the person")
    with pytest.raises(LumosXError, match="relations: there is no object"):
        score(none, Scene(None, (), (Subject(scene.subjects[0].face),)))
    with pytest.raises(LumosXError, match="images: the video has no frames"):
        score(none, scene)


def test_people_must_be_distinguished(scene, tmp_path, monkeypatch):
    hide_for(monkeypatch, ["dlib", "face_recognition_models"])
    monkeypatch.setattr("folder_paths.models_dir", str(tmp_path))
    with pytest.raises(LumosXError, match="^embedder: no embedder.* is installed; run .* pip install dlib-bin"):
        score(torch.zeros(0, 16, 16, 3), scene)


def test_an_interrupt_stops_the_loop(images, scene):
    comfy.model_management.interrupt_current_processing(True)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        score(images, scene)


def test_motion_of_a_still_and_a_moving_video():
    texture = np.kron(np.random.default_rng(0).random((40, 60, 3)), np.ones((8, 8, 1)))
    still = torch.from_numpy(np.stack([texture[:128, :192]] * 12)).float()
    panned = torch.from_numpy(np.stack([texture[:128, 4 * index:4 * index + 192] for index in range(12)])).float()
    assert [score_image_motion(video, 16.0)[2] for video in (still, panned)] == [False, True]
    report, text, _, plot = score_image_motion(panned, 16.0)
    assert json.loads(text)["strengths"] == pytest.approx([8] * 3, rel=0.1) and "a stand-in for RAFT" in report
    assert plot.shape == (1, 420, 1000, 3)
    with pytest.raises(LumosXError, match="images: 9 frames are too few"):
        score_image_motion(still[:9], 16.0)
