"""The preview: whose number is where, in colour or grey."""

import numpy as np
import pytest

from lumosx_core.faces.face import Face
from lumosx_core.faces.preview import LEFT_OUT, PICKED, draw_faces, moved_to, shrunk

BLUE = (10, 20, 90)


def photo(width=400, height=300):
    return np.full((height, width, 3), BLUE, np.uint8)


def face(left, top, right, bottom):
    points = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
    return Face((left, top, right, bottom), 0.9, points * (right - left, bottom - top) + (left, top))


def places(pixels, colour):
    """Rows and columns of a colour: top, left, bottom, right."""
    rows, columns = (pixels == colour).all(-1).nonzero()
    return rows.min(), columns.min(), rows.max(), columns.max()


def test_picked_faces_are_in_colour_and_others_grey():
    drawn = draw_faces(photo(), [(1, face(50, 80, 120, 200)), (2, face(250, 90, 330, 210))], (2,))
    _, left, bottom, right = places(drawn, LEFT_OUT)
    assert (left, right, bottom) == (50, 120, 200)
    top, left, bottom, right = places(drawn, PICKED)
    assert (left, right, bottom) == (250, 330, 210)
    # The number stands on top of the box.
    assert 60 < top < 90


@pytest.mark.parametrize("picked", [1, 2])
def test_no_box_covers_that_of_a_picked_face(picked):
    alone = draw_faces(photo(), [(picked, face(60, 90, 160, 220))], (picked,))
    both = draw_faces(photo(), [(1, face(60, 90, 160, 220)), (2, face(60, 90, 160, 220))], (picked,))
    assert np.array_equal((both == PICKED).all(-1), (alone == PICKED).all(-1))


def test_landmarks_are_marked():
    one = face(50, 80, 150, 200)
    drawn = draw_faces(photo(), [(1, one)], (1,))
    for x, y in one.landmarks.round().astype(int):
        assert tuple(drawn[y, x]) == PICKED


def test_the_photo_itself_stays_as_it_is():
    pixels = photo()
    draw_faces(pixels, [(1, face(50, 80, 120, 200))], (1,))
    assert (pixels == BLUE).all()


@pytest.mark.parametrize("size", [(400, 300), (2000, 1500)])
def test_numbers_differ_and_grow_with_the_photo(size):
    box = face(50, 80, 120, 200)
    one, two = (draw_faces(photo(*size), [(number, box)], (number,)) for number in (1, 2))
    differing = (one != two).any(-1).nonzero()
    height = np.ptp(differing[0]) + 1
    assert height > max(size) / 60


@pytest.mark.parametrize(
    "box", [(-30, -30, 60, 90), (350, 250, 480, 390), (-10, -10, 500, 500), (395, 0, 399, 299), (-90, -90, -10, -10)]
)
def test_boxes_at_the_edge_are_drawn_inside(box):
    drawn = draw_faces(photo(), [(12, face(*box))], (12,))
    assert drawn.shape == (300, 400, 3) and (drawn == PICKED).all(-1).any()


def test_large_photos_are_shrunk_and_faces_with_them():
    """A thin frame drawn where the face was is found where the face is."""
    pixels, one = photo(4096, 3000), face(1000, 900, 1400, 1500)
    pixels[890:1510, 990:1410] = 255
    small = shrunk(pixels)
    assert small.shape == (1500, 2048, 3)
    moved = moved_to(one, pixels.shape[:2], small.shape[:2])
    assert moved.box == (500, 450, 700, 750) and moved.score == one.score
    np.testing.assert_allclose(moved.landmarks, one.landmarks / 2)
    top, left, bottom, right = places(small, (255, 255, 255))
    assert (left, top, right, bottom) == pytest.approx(moved.box, abs=6)
    # A number is as readable as in a photo of that size.
    one, two = (draw_faces(small, [(number, moved)], (number,)) for number in (1, 2))
    assert np.ptp((one != two).any(-1).nonzero()[0]) + 1 > 2048 / 60


def test_others_stay_as_they_are():
    pixels = photo(2048, 100)
    assert shrunk(pixels) is pixels
    assert shrunk(photo(5000, 1)).shape == (1, 2048, 3)


def test_a_tiny_photo():
    assert draw_faces(photo(3, 2), [(1, face(0, 0, 2, 2))], ()).shape == (2, 3, 3)
