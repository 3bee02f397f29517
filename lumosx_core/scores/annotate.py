"""Frames with everybody's box, name and likeness drawn into them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .identity import likeness_of
from .plot import colour_of
from .seen import SeenFrame
from .summary import IdentityScores

_NOBODY = (150, 150, 150)
_WHITE = (255, 255, 255)
_BLACK = (0, 0, 0)


def annotate_frame(pixels: np.ndarray, frame: SeenFrame, scores: IdentityScores) -> np.ndarray:
    """A watched frame, RGB [H, W, 3] uint8, with what was seen in it; the given one stays as it is.

    Each face has the box of its subject's colour with name and likeness, a face taken for nobody a thin grey one. Who
    is missed, and who turns into whom in this frame, stands in the corner.
    """
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    size = max(11, round(min(picture.size) / 30))
    font = ImageFont.load_default(size=size)
    line = max(2, round(size / 7))
    taken = set(frame.shown)
    for number, face in enumerate(frame.faces):
        if number not in taken:
            draw.rectangle(_inside(face.box, picture.size), outline=_NOBODY, width=max(1, line // 2))
    for subject in scores.known:
        face = frame.face_of(subject)
        if face is not None:
            box = _inside(face.box, picture.size)
            draw.rectangle(box, outline=colour_of(subject), width=line)
            _label(draw, _above(box, size), f"{scores.title(subject)}  {likeness_of(frame, subject):.2f}",
                   colour_of(subject), font)
    _corner(draw, frame, scores, font, size)
    return np.asarray(picture)


def _corner(draw: ImageDraw.ImageDraw, frame: SeenFrame, scores: IdentityScores, font, size: int) -> None:
    place = [size // 2, size // 2]
    _label(draw, tuple(place), f"frame {frame.index}", _BLACK, font)
    for event in scores.switches.events:
        if event.frame == frame.index:
            place[1] += round(1.5 * size)
            text = f"switch: {scores.title(event.before)} -> {scores.title(event.after)}"
            _label(draw, tuple(place), text, (200, 20, 40), font)
    for subject in scores.known:
        if frame.face_of(subject) is None:
            place[1] += round(1.5 * size)
            _label(draw, tuple(place), f"{scores.title(subject)}  missed", colour_of(subject), font)


def _label(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, colour: tuple[int, int, int], font) -> None:
    """White letters on the colour, pushed inside the picture from the right."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = max(2, (bottom - top) // 4)
    width = right - left + 2 * pad
    x = max(0, min(place[0], draw.im.size[0] - width))
    y = max(0, place[1])
    draw.rectangle((x, y, x + width, y + bottom - top + 2 * pad), fill=colour)
    draw.text((x + pad - left, y + pad - top), text, fill=_WHITE, font=font)


def _above(box: tuple[int, int, int, int], size: int) -> tuple[int, int]:
    """Over the box, or inside it where there is no room above."""
    height = round(1.5 * size)
    return box[0], box[1] - height if box[1] >= height else box[1]


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(side) for side in box)
    left, top = min(max(left, 0), size[0] - 1), min(max(top, 0), size[1] - 1)
    return left, top, max(left, min(right, size[0] - 1)), max(top, min(bottom, size[1] - 1))
