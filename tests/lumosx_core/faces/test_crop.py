"""Crops: the release's margins, whole pixels, and upright ones."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.faces.crop import RELEASE_DOWN, RELEASE_UP, Margins, crop_box, upright_crop
from lumosx_core.faces.face import Face
from lumosx_core.faces.quality import tilt

# The release's own: no side margins.
RELEASE = Margins(RELEASE_UP, RELEASE_DOWN, 0.0)
positions = st.floats(-50, 250)
sides = st.floats(0.5, 200)


def face(box, landmarks=None):
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    places = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.75), (0.65, 0.75)])
    points = places * (width, height) + (left, top) if landmarks is None else landmarks
    return Face(box, 0.9, points)


def test_margins_are_those_of_the_release():
    """Up by 17 % of the height, then down by 3 % of what is 117 % high now."""
    left, top, right, bottom = crop_box(face((1000, 1000, 2000, 3000)), RELEASE, 9999, 9999)
    assert (left, right) == (1000, 2000)
    assert (top, bottom) == (1000 - 340, 3000 + round(0.03 * 2340))


def test_sides_are_shares_of_the_width():
    assert crop_box(face((100, 100, 200, 300)), Margins(0, 0, 0.25), 999, 999) == (75, 100, 225, 300)


@given(positions, positions, sides, sides, st.integers(1, 200), st.integers(1, 200), st.floats(0, 2))
def test_a_crop_is_whole_pixels_of_the_picture(left, top, width, height, picture_width, picture_height, margin):
    margins = Margins(margin, margin, margin)
    box = crop_box(face((left, top, left + width, top + height)), margins, picture_width, picture_height)
    assert 0 <= box[0] < box[2] <= picture_width and 0 <= box[1] < box[3] <= picture_height
    assert all(isinstance(side, int) for side in box)


def test_level_eyes_leave_every_pixel_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    level = face((30.0, 40.0, 60.0, 80.0))
    left, top, right, bottom = crop_box(level, Margins(), 120, 100)
    np.testing.assert_array_equal(upright_crop(pixels, level, Margins()), pixels[top:bottom, left:right])


@pytest.mark.parametrize("degrees", (-45, -30, -15, 15, 30, 45))
def test_a_tilted_face_stands_upright_afterwards(detector, astronaut, degrees):
    straight = upright_crop(astronaut, detector.detect(astronaut)[0], Margins())
    turn = cv2.getRotationMatrix2D((225.0, 120.0), degrees, 1)
    tilted = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    crop = upright_crop(tilted, detector.detect(tilted)[0], Margins())
    along, down = np.subtract(*detector.detect(crop)[0].landmarks[1::-1])
    # Landmarks of a tilted face are not as exact.
    assert abs(math.degrees(math.atan2(down, along))) < abs(degrees) / 4
    # The same cut as from the straight photo, but for what the detector makes of a tilted face.
    np.testing.assert_allclose(crop.shape, straight.shape, rtol=0.12)


@given(st.floats(-math.pi, math.pi), st.booleans())
def test_the_mouth_is_below_the_eyes_however_the_face_lies(angle, sorts):
    """Whether a detector names the eyes as they stand in the picture or in the face."""
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    points = np.array([(-20, 0), (20, 0), (0, 20), (-14, 36), (14, 36)]) @ turn + 100
    if sorts and points[0, 0] > points[1, 0]:
        points = points[[1, 0, 2, 4, 3]]
    pixels = np.zeros((200, 200, 3), np.uint8)
    for colour, (x, y) in zip(((255, 0, 0), (0, 255, 0)), (points[:2].mean(0), points[3:].mean(0))):
        cv2.circle(pixels, (round(x), round(y)), 4, colour, -1)
    crop = upright_crop(pixels, Face((60.0, 60.0, 140.0, 140.0), 0.9, points), Margins(2, 2, 2))
    (eyes_x, eyes_y), (mouth_x, mouth_y) = (
        np.argwhere(crop[..., channel] > 128).mean(0)[::-1] for channel in range(2)
    )
    assert mouth_y - eyes_y == pytest.approx(36, abs=2) and mouth_x - eyes_x == pytest.approx(0, abs=2)


@pytest.mark.parametrize("quarters", (1, 2, 3))
def test_a_photo_on_its_side_or_head_gives_an_upright_face(detector, astronaut, quarters):
    lying = np.ascontiguousarray(np.rot90(astronaut, quarters))
    faces = detector.detect(upright_crop(lying, detector.detect(lying)[0], Margins()))
    assert tilt(faces[0].landmarks) < 35


def test_what_lies_outside_repeats_the_edge(detector, astronaut):
    """Nothing black comes in, although the turned picture does not reach the corners."""
    bright = np.full((120, 100, 3), 200, np.uint8)
    tilted = face((10.0, 10.0, 90.0, 110.0), np.array([(30, 40), (60, 70), (45, 60), (40, 90), (60, 95)], float))
    crop = upright_crop(bright, tilted, Margins())
    assert crop.min() == crop.max() == 200 and crop.shape[2] == 3


def test_upright_crops_end_where_the_turned_picture_ends():
    pixels = np.zeros((50, 40, 3), np.uint8)
    assert upright_crop(pixels, face((0.0, 0.0, 40.0, 50.0)), Margins(2, 2, 2)).shape == (50, 40, 3)


def test_hair_and_ears_stay(detector, astronaut):
    """Read off by eye: the ears end at x 172 and 282."""
    left, top, right, bottom = crop_box(detector.detect(astronaut)[0], Margins(), 512, 512)
    assert left < 172 and right > 282
