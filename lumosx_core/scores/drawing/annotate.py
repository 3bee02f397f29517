"""Frames with everybody's box, name and likeness drawn into them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ...media.drawing import BLACK, WHITE, font_of, label, pixel_box
from ..identity.score import likeness_of
from ..identity.summary import IdentityScores
from ..seen import SeenFrame
from .plot import colour_of

_NOBODY, _SWITCH = (150, 150, 150), (200, 20, 40)


def annotate_frame(pixels: np.ndarray, frame: SeenFrame, scores: IdentityScores) -> np.ndarray:
    """A watched frame, RGB [H, W, 3] uint8, with what was seen in it; the argument is not changed.

    Each face has the box of its subject's colour with name and likeness, a face taken for nobody a thin grey one. Who
    is missed, and who turns into whom in this frame, stands in the corner.
    """
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    size = max(11, round(min(picture.size) / 30))
    font = font_of(size)
    line = max(2, round(size / 7))
    taken = set(frame.shown)
    for number, face in enumerate(frame.faces):
        if number not in taken:
            draw.rectangle(pixel_box(face.box, picture.size), outline=_NOBODY, width=max(1, line // 2))
    for subject in scores.known:
        face = frame.face_of(subject)
        if face is not None:
            box = pixel_box(face.box, picture.size)
            draw.rectangle(box, outline=colour_of(subject), width=line)
            text = f"{scores.title(subject)}  {likeness_of(frame, subject):.2f}"
            label(draw, box[:2], text, colour_of(subject), WHITE, font, above=True)
    _corner(draw, frame, scores, font, size)
    return np.asarray(picture)


def _corner(draw: ImageDraw.ImageDraw, frame: SeenFrame, scores: IdentityScores, font, size: int) -> None:
    left, top = size // 2, size // 2
    label(draw, (left, top), f"frame {frame.index}", BLACK, WHITE, font)
    for event in scores.switches.events:
        if event.frame == frame.index:
            top += round(1.5 * size)
            text = f"switch: {scores.title(event.before)} -> {scores.title(event.after)}"
            label(draw, (left, top), text, _SWITCH, WHITE, font)
    for subject in scores.known:
        if frame.face_of(subject) is None:
            top += round(1.5 * size)
            label(draw, (left, top), f"{scores.title(subject)}  missed", colour_of(subject), WHITE, font)
