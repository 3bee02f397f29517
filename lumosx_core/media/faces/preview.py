"""A photo with its faces numbered, so that a number can be picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .face import Face

PICKED, LEFT_OUT = (60, 230, 60), (150, 150, 150)
_BLACK = (0, 0, 0)


def draw_faces(pixels: np.ndarray, faces: Sequence[tuple[int, Face]], picked: Sequence[int]) -> np.ndarray:
    """A copy of an RGB picture [H, W, 3] uint8 with a box, a number and the landmarks of each face.

    Args:
        faces: number and face.
        picked: the numbers whose faces are drawn in colour; the others are grey.
    """
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    size = max(14, round(max(picture.size) / 28))
    font = ImageFont.load_default(size=size)
    line = max(2, size // 8)
    # Picked ones last, so that no other box lies on their numbers.
    for number, face in sorted(faces, key=lambda entry: entry[0] in picked):
        colour = PICKED if number in picked else LEFT_OUT
        box = _inside(face.box, picture.size)
        draw.rectangle(box, outline=colour, width=line)
        for x, y in face.landmarks.tolist():
            draw.ellipse((x - line, y - line, x + line, y + line), fill=colour)
        _label(draw, box[:2], str(number), colour, font)
    return np.asarray(picture)


def _label(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, colour: tuple[int, int, int], font) -> None:
    """Black letters on the colour, on top of the box's upper left corner, or in it where there is no room above."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = max(2, (bottom - top) // 4)
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0, min(place[0], draw.im.size[0] - width))
    y = place[1] - height if place[1] >= height else place[1]
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + pad - left, y + pad - top), text, fill=_BLACK, font=font)


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(side) for side in box)
    left, top = min(max(left, 0), size[0] - 1), min(max(top, 0), size[1] - 1)
    return left, top, max(left, min(right, size[0] - 1)), max(top, min(bottom, size[1] - 1))
