"""The templates' pictures: names that saved workflows know, and something in them to find and to cut out."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from lumosx_core.faces.centerface import CenterFace
from lumosx_core.faces.crop import Margins, crop_box
from lumosx_core.media.cutouts import Box, cut_out, estimated_mask
from lumosx_core.tiny import demo_pictures as drawn
from lumosx_core.tiny.portrait import Portrait, draw_portrait

NAMES = {
    "lumosx_demo_two_people.jpg", "lumosx_demo_portrait.jpg",
    *(f"lumosx_demo_{name}.png" for name in (
        "man", "jacket", "hat", "woman", "dress", "guitar", "park", "jacket_on_a_chair", "whole_man", "whole_woman",
    )),
}


@pytest.fixture(scope="module")
def pictures():
    return {name: draw() for name, draw in drawn.demo_pictures().items()}


def pixels(picture):
    return np.asarray(picture)


def test_saved_workflows_know_these_names(pictures):
    assert set(pictures) == NAMES


def test_each_is_another_picture_and_none_is_upright(pictures):
    assert len({picture.tobytes() for picture in pictures.values()}) == len(NAMES)
    assert all(picture.mode == "RGB" and picture.width >= picture.height for picture in pictures.values())


def test_they_are_the_same_every_time(pictures):
    assert all(draw().tobytes() == pictures[name].tobytes() for name, draw in drawn.demo_pictures().items())


@pytest.mark.parametrize("scale", [0.5, 1, 2])
def test_a_detector_finds_both_people(pictures, scale):
    snapshot = pictures[drawn.TWO_PEOPLE]
    size = round(snapshot.width * scale), round(snapshot.height * scale)
    faces = CenterFace().detect(pixels(snapshot.resize(size)))
    assert len(faces) == 2 and all(face.score > 0.55 for face in faces)
    left, right = sorted(face.box[0] for face in faces)
    assert left < size[0] / 2 < right


def test_a_detector_finds_each_face_in_its_crop_too(pictures):
    """Scores look for the face in the reference once more."""
    snapshot, detector = pictures[drawn.TWO_PEOPLE], CenterFace()
    for face in detector.detect(pixels(snapshot)):
        [found] = detector.detect(pixels(snapshot.crop(crop_box(face, Margins(), *snapshot.size))))
        assert found.score > 0.58


def test_a_detector_finds_the_person_of_the_portrait_large_enough_for_lynx(pictures):
    [face] = CenterFace().detect(pixels(pictures[drawn.PORTRAIT]))
    assert face.width >= 64


@pytest.mark.parametrize("skin", [(250, 214, 186), (108, 70, 50)])
def test_a_detector_finds_one_face_of_any_skin(skin):
    backdrop = Image.new("RGB", (240, 300), (150, 160, 150))
    portrait = draw_portrait(Portrait(skin, (40, 30, 30), (90, 60, 40), (80, 80, 120)), backdrop)
    assert len(CenterFace().detect(pixels(portrait))) == 1


def test_the_jacket_can_be_cut_out_by_the_templates_box(pictures):
    square = ImageOps.fit(pictures[drawn.JACKET_ON_A_CHAIR], (512, 512))
    image = torch.from_numpy(pixels(square).copy())[None].float() / 255
    made = cut_out(image, estimated_mask(image, Box(32, 32, 448, 448)))
    assert made.warnings == ()
    red = (made.image[..., 0] - made.image[..., 1]) > 0.3
    assert red.float().mean() > 0.4
