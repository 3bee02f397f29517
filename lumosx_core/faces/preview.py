"""A photo with its faces numbered, so that a number can be picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..media.drawing import BLACK, font_of, label, pixel_box
from ..packages import opencv
from .face import Face

LONGEST_SIDE = 2048
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
    font = font_of(size)
    line = max(2, size // 8)
    # Picked ones last, so that no other box covers their numbers.
    for number, face in sorted(faces, key=lambda entry: entry[0] in picked):
        colour = PICKED if number in picked else LEFT_OUT
        box = pixel_box(face.box, picture.size)
        draw.rectangle(box, outline=colour, width=line)
        for x, y in face.landmarks.tolist():
            draw.ellipse((x - line, y - line, x + line, y + line), fill=colour)
        label(draw, box[:2], str(number), colour, BLACK, font, above=True)
    return np.asarray(picture)


def shrunk(pixels: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] uint8 with its long side at most LONGEST_SIDE; itself when it is no longer."""
    height, width = pixels.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return pixels
    cv2 = opencv()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def moved_to(face: Face, size: tuple[int, int], shrunk_size: tuple[int, int]) -> Face:
    """A face of a picture where it is after ``shrunk``; sizes are (height, width)."""
    scale = np.array([shrunk_size[1] / size[1], shrunk_size[0] / size[0]])
    left, top, right, bottom = (np.array(face.box) * np.tile(scale, 2)).tolist()
    return Face((left, top, right, bottom), face.score, face.landmarks * scale)
