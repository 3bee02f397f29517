"""Boxes and words in pictures."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lumosx_core.media.drawing import BLACK, label, pixel_box

RED, GREY = (200, 0, 0), (90, 90, 90)


@pytest.mark.parametrize(
    ("box", "drawn"),
    [
        ((2.4, 3.6, 8, 9), (2, 4, 8, 9)), ((-5, -5, 50, 50), (0, 0, 19, 9)), ((-9, -9, -5, -5), (0, 0, 0, 0)),
        ((30, 30, 40, 40), (19, 9, 19, 9)),
    ],
)
def test_boxes_end_at_the_edge(box, drawn):
    assert pixel_box(box, (20, 10)) == drawn


def ground(place, above):
    """Left, top, right, bottom of a label's red ground in a picture of 200 x 100."""
    picture = Image.new("RGB", (200, 100), GREY)
    label(ImageDraw.Draw(picture), place, "word", RED, BLACK, ImageFont.load_default(size=12), above)
    rows, columns = (np.asarray(picture) == RED).all(-1).nonzero()
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_words_stand_at_their_place_or_on_it():
    left, top, _, bottom = ground((20, 50), above=False)
    assert (left, top) == (20, 50) and bottom < 80
    left, top, _, bottom = ground((20, 50), above=True)
    assert (left, bottom) == (20, 50) and top > 20


def test_words_stay_inside_the_picture():
    assert ground((20, 3), above=True)[1] == 3
    left, _, right, _ = ground((190, 50), above=False)
    assert left < 190 and right == 199


def test_words_stand_on_a_place_from_exactly_their_height_on():
    _, top, _, bottom = ground((20, 50), above=True)
    height = bottom - top
    assert ground((20, height), above=True)[1] == 0 and ground((20, height - 1), above=True)[1] == height - 1


@pytest.mark.parametrize("size", [4, 12, 60])
def test_words_have_a_quarter_of_their_height_around_them_and_2_pixels_at_least(size):
    picture, font = Image.new("RGB", (400, 200), GREY), ImageFont.load_default(size=size)
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = draw.textbbox((0, 0), "wo", font=font)
    label(draw, (5, 7), "wo", RED, RED, font)
    rows, columns = (np.asarray(picture) == RED).all(-1).nonzero()
    pad = max(2, int((bottom - top) // 4))
    assert (rows.min(), columns.min()) == (7, 5)
    assert rows.max() - rows.min() == pytest.approx(bottom - top + 2 * pad, abs=1)
    assert columns.max() - columns.min() == pytest.approx(right - left + 2 * pad, abs=1)
