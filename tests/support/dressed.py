"""Frames with people whose clothes hang below their faces, and detectors that know where the faces are."""

from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.faces.face import Face
from lumosx_core.scores.seen import SeenFrame

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "cases"
WIDTH, HEIGHT = 832, 480
PLACES = (230, 600)
_FACE_HEIGHT, _FACE_TOP = 130, 40
_CLOTHES_WIDTH = 300
_GROUND = 245


def face_in(middle, width=100, height=_FACE_HEIGHT):
    """The box that a detector finds: eyes, nose and mouth, not hair and neck."""
    left, right = middle - 0.38 * width, middle + 0.38 * width
    box = (left, _FACE_TOP + 0.2 * height, right, _FACE_TOP + 0.95 * height)
    return Face(box, 0.9, np.zeros((5, 2)))


def dressed_frame(faces, clothes, ground=(120, 140, 110), shift=0):
    """A frame [H, W, 3] uint8 of people side by side: PIL faces, and below each the PIL cut-out of what it wears."""
    frame = Image.new("RGB", (WIDTH, HEIGHT), ground)
    for middle, face, thing in zip(PLACES, faces, clothes):
        middle += shift
        face = face.convert("RGB").resize((100, _FACE_HEIGHT))
        thing = thing.convert("RGB").resize((_CLOTHES_WIDTH, round(thing.height * _CLOTHES_WIDTH / thing.width)))
        mask = Image.fromarray(((np.asarray(thing).min(axis=2) < _GROUND) * 255).astype(np.uint8))
        frame.paste(thing, (middle - _CLOTHES_WIDTH // 2, _FACE_TOP + _FACE_HEIGHT - 12), mask)
        frame.paste(face, (middle - 50, _FACE_TOP))
    return np.array(frame)


def seen_at(index, shown=(0, 1), shift=0):
    """Both people recognised, or those whose number is not None."""
    faces = tuple(face_in(middle + shift) for middle in PLACES)
    return SeenFrame(index, faces, np.eye(2, dtype=np.float32), tuple(shown))
