"""Frames with each person's region and what was located drawn into them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ...media.drawing import font_of
from ..attributes.owners import FrameView
from .plot import colour_of

_NOBODYS = (120, 120, 120)
_WHITE = (255, 255, 255)


def mark_regions(pixels: np.ndarray, view: FrameView, people: Sequence[str]) -> np.ndarray:
    """A watched frame, RGB [H, W, 3] uint8, with the regions that were compared; the argument is not changed.

    Each person's region has a thick box in the person's colour, what was located in it a thin one; objects are grey.
    """
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    size = max(11, round(min(picture.size) / 30))
    font = font_of(size)
    line = max(2, round(size / 7))

    def mark(box, colour, width, text):
        left, top, right, bottom = box
        draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=width)
        draw.text((left + 2 * line, top + line), text, _WHITE, font, stroke_width=line, stroke_fill=colour)

    for person, region in enumerate(view.regions):
        if region is not None:
            mark(region.box, colour_of(person), line, f"{person + 1} {people[person]}")
    for person, phrase, place in view.located:
        mark(place.box, _NOBODYS if person is None else colour_of(person), max(1, line // 2),
             f"{phrase} {place.score:.2f}")
    return np.array(picture)
