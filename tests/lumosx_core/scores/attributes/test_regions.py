"""The part of a frame that belongs to each person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.faces.face import Face
from lumosx_core.scores.attributes.regions import cut, person_regions, picture_windows, squared
from lumosx_core.scores.seen import SeenFrame


def frame(*boxes, shown=None):
    faces = tuple(Face(box, 0.9, np.zeros((5, 2))) for box in boxes)
    shown = tuple(range(len(boxes))) if shown is None else shown
    return SeenFrame(0, faces, np.zeros((len(boxes), len(shown)), np.float32), shown)


def boxes_of(seen, height=1000, width=1000):
    return [None if region is None else region.box for region in person_regions(seen, height, width)]


def test_a_person_is_three_faces_wide_and_five_high_below_the_chin():
    assert boxes_of(frame((400, 100, 440, 150))) == [(360, 70, 480, 400)]


def test_the_picture_ends_it():
    assert boxes_of(frame((0, 10, 100, 110)), 300, 200) == [(0, 0, 200, 300)]


def test_neighbours_share_nothing():
    left, right = boxes_of(frame((300, 100, 400, 200), (480, 120, 580, 220)))
    assert left[2] == right[0] == 440
    assert left[0] == 200 and right[2] == 680


def test_a_small_neighbour_behind_a_large_face_takes_not_more_than_half_of_it():
    large, small = boxes_of(frame((300, 100, 700, 500), (640, 200, 680, 250)))
    assert large[2] == small[0] and 500 <= large[2] <= 660


def test_one_above_the_other_is_cut_across():
    upper, lower = boxes_of(frame((400, 100, 440, 150), (400, 170, 440, 220)))
    assert upper[3] == lower[1] == 160
    assert (upper[0], upper[2]) == (lower[0], lower[2]) == (360, 480)


def test_faces_as_far_aside_as_above_are_cut_beside_each_other():
    upper, lower = boxes_of(frame((400, 100, 440, 150), (500, 200, 540, 250)))
    assert upper[2] == lower[0] == 470 and upper[3] == 400


def test_a_bystander_keeps_what_he_wears_and_who_is_not_seen_has_no_region():
    seen = frame((300, 100, 400, 200), (420, 100, 520, 200), shown=(0, None))
    assert boxes_of(seen) == [(200, 40, 410, 700), None]


def test_a_face_beyond_the_picture_has_no_region():
    assert boxes_of(frame((2000, 100, 2040, 150))) == [None]


FACES = st.tuples(st.floats(-50, 300), st.floats(-50, 300), st.floats(1, 200), st.floats(1, 200)).map(
    lambda face: (face[0], face[1], face[0] + face[2], face[1] + face[3])
)


@given(st.lists(FACES, max_size=4, unique_by=lambda box: (box[0] + box[2], box[1] + box[3])))
def test_regions_lie_in_the_picture_and_never_overlap(boxes):
    covered = np.zeros((240, 200), int)
    for region in person_regions(frame(*boxes), 240, 200):
        if region is not None:
            left, top, right, bottom = region.box
            assert 0 <= left < right <= 200 and 0 <= top < bottom <= 240
            covered[top:bottom, left:right] += 1
            for part in ("whole", "head", "hair", "face", "neck", "torso", "legs"):
                window = region.window(part)
                if window is not None:
                    assert left <= window[0] < window[2] <= right and top <= window[1] < window[3] <= bottom
    assert covered.max(initial=0) <= 1


def test_parts_of_a_person():
    region, = person_regions(frame((400, 100, 440, 150)), 1000, 1000)
    assert region.window("whole") == region.box
    assert region.window("head") == (400, 70, 440, 115)
    assert region.window("hair") == (386, 70, 454, 150)
    assert region.window("face") == (396, 100, 444, 150)
    assert region.window("neck") == (392, 150, 448, 180)
    assert region.window("torso") == (380, 150, 460, 275)
    assert region.window("legs") == (360, 275, 480, 400)
    close, = person_regions(frame((400, 100, 440, 150)), 200, 1000)
    assert close.window("torso") == (380, 150, 460, 200) and close.window("legs") is None


@pytest.mark.parametrize(("height", "width"), [(480, 832), (832, 480), (100, 100), (1, 1), (7, 300)])
def test_windows_cover_the_picture(height, width):
    covered = np.zeros((height, width), int)
    windows = picture_windows(height, width)
    for left, top, right, bottom in windows:
        assert right - left == bottom - top > 0
        assert covered[top:bottom, left:right].shape == (bottom - top, right - left)
        covered[top:bottom, left:right] += 1
    assert covered.min() >= 1 and len(windows) == len(set(windows))


SMALLER = [(left, top, left + 2, top + 2) for left in (0, 1) for top in (0, 1)]


def test_what_is_squared_keeps_its_pixels_in_the_middle():
    pixels = np.random.default_rng(0).integers(0, 200, (6, 3, 3), dtype=np.uint8)
    square = squared(pixels)
    assert square.shape == (6, 6, 3)
    assert (cut(square, (1, 0, 4, 6)) == pixels).all() and (square[:, [0, 4, 5]] == 255).all()


@pytest.mark.parametrize(("height", "width", "windows"), [
    (1, 1, [(0, 0, 1, 1)]), (2, 1, [(0, 0, 1, 1), (0, 1, 1, 2)]), (3, 3, [(0, 0, 3, 3), *SMALLER]),
])
def test_windows_of_a_small_picture(height, width, windows):
    assert sorted(picture_windows(height, width)) == sorted(windows)
