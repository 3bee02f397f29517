"""A photo with its faces numbered, so that a number can be picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..drawing import BLACK, inside, label
from .face import Face

PICKED, LEFT_OUT = (60, 230, 60), (150, 150, 150)


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
        box = inside(face.box, picture.size)
        draw.rectangle(box, outline=colour, width=line)
        for x, y in face.landmarks.tolist():
            draw.ellipse((x - line, y - line, x + line, y + line), fill=colour)
        label(draw, box[:2], str(number), colour, BLACK, font, above=True)
    return np.asarray(picture)
