"""Where in a frame the clothes of each person are, derived from the faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...faces.face import Face
from ..seen import SeenFrame

PixelBox = tuple[int, int, int, int]

WHOLE, HEAD, HAIR, FACE, NECK, TORSO, LEGS = "whole", "head", "hair", "face", "neck", "torso", "legs"

# In face widths and face heights; a grown body is about three faces wide and seven high, arms down.
_HALF_WIDTH, _ABOVE, _BELOW = 1.5, 0.6, 5.0
_EYES, _NECK, _WAIST = 0.3, 0.6, 2.5
# How far each part reaches beside the face; the others are as wide as the region.
_ASIDE = {HEAD: 0.0, HAIR: 0.35, FACE: 0.1, NECK: 0.2, TORSO: 0.5}
_WHITE = 255


@dataclass(frozen=True, eq=False)
class Region:
    """The part of a frame that belongs to one person.

    Attributes:
        box: left, top, right, bottom in whole pixels, inside the frame and never empty.
        face: the face that it was derived from.
    """

    box: PixelBox
    face: Face

    def window(self, part: str) -> PixelBox | None:
        """A part of the region; None if the frame cuts it off.

        Args:
            part: "whole"; "head" above the eyes; "hair" down to the chin, with what is beside the face; "face" with the
                ears; "neck" for what hangs around it; "torso"; or "legs".
        """
        left, top, right, bottom = self.box
        face_left, face_top, face_right, chin = self.face.box
        width, height = self.face.width, self.face.height
        waist = chin + _WAIST * height
        rows = {
            HEAD: (top, face_top + _EYES * height), HAIR: (top, chin), FACE: (face_top, chin),
            NECK: (chin, chin + _NECK * height), TORSO: (chin, waist), LEGS: (waist, bottom),
        }
        if part in rows:
            top, bottom = max(top, rows[part][0]), min(bottom, rows[part][1])
        if part in _ASIDE:
            left, right = max(left, face_left - _ASIDE[part] * width), min(right, face_right + _ASIDE[part] * width)
        return _whole_pixels((left, top, right, bottom))


def person_regions(frame: SeenFrame, height: int, width: int) -> tuple[Region | None, ...]:
    """The region of each subject in a frame of height x width pixels; None for one who is not seen.

    Three faces wide, from above the hair to five face heights below the chin, and no further than half the way to the
    next face, known or not, so that nobody shares a jacket.
    """
    faces = [frame.face_of(subject) for subject in range(len(frame.shown))]
    return tuple(
        None if face is None
        else _region(face, [other for other in frame.faces if other is not face], height, width) for face in faces
    )


def cut(pixels: np.ndarray, box: PixelBox) -> np.ndarray:
    """The pixels [h, w, 3] of a box in a picture [H, W, 3]."""
    left, top, right, bottom = box
    return pixels[top:bottom, left:right]


def squared(pixels: np.ndarray) -> np.ndarray:
    """A picture [h, w, 3] uint8 in the middle of a white square: CLIP and DINOv2 see the middle square only."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), _WHITE, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top:top + height, left:left + width] = pixels
    return square


def picture_windows(height: int, width: int) -> list[PixelBox]:
    """Squares that cover a picture of height x width pixels, for a thing that may be anywhere in it.

    As large as the picture allows, and two thirds of that; neighbours overlap by half at least.
    """
    found = []
    for side in (min(height, width), max(1, min(height, width) * 2 // 3)):
        corners = [(left, top) for top in _starts(height, side) for left in _starts(width, side)]
        found += [(left, top, left + side, top + side) for left, top in corners]
    return list(dict.fromkeys(found))


def _starts(length: int, side: int) -> list[int]:
    gaps = -(-2 * (length - side) // side)
    return [(length - side) * step // max(gaps, 1) for step in range(gaps + 1)]


def _region(face: Face, others: list[Face], height: int, width: int) -> Region | None:
    middle = face.centre[0]
    box = [
        max(0, middle - _HALF_WIDTH * face.width), max(0, face.box[1] - _ABOVE * face.height),
        min(width, middle + _HALF_WIDTH * face.width), min(height, face.box[3] + _BELOW * face.height),
    ]
    for other in others:
        _cut_at(box, face, other)
    left, top, right, bottom = box
    found = _whole_pixels((left, top, right, bottom))
    return None if found is None else Region(found, face)


def _cut_at(box: list[float], face: Face, other: Face) -> None:
    """End a box, in place, half the way to another face: to its side, or above or below where that is further off."""
    distances = [theirs - ours for ours, theirs in zip(face.centre, other.centre)]
    axis = 0 if abs(distances[0]) >= abs(distances[1]) else 1
    low, high = (face, other) if distances[axis] > 0 else (other, face)
    line = (low.box[axis + 2] + high.box[axis]) / 2
    # Of a large and a small face that overlap, the middle of the gap may be beyond one of them.
    line = min(max(line, low.centre[axis]), high.centre[axis])
    if low is face:
        box[axis + 2] = min(box[axis + 2], line)
    else:
        box[axis] = max(box[axis], line)


def _whole_pixels(box: tuple[float, float, float, float]) -> PixelBox | None:
    left, top, right, bottom = (int(round(edge)) for edge in box)
    return (left, top, right, bottom) if right > left and bottom > top else None
