"""Where a video reads its references, as pictures: colours over its frames, and a grid with a row for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .drawing import WHITE, Colour, font_of, label

PEOPLE: tuple[Colour, ...] = (
    (44, 103, 207), (179, 83, 12), (138, 69, 198), (189, 47, 112), (106, 106, 0), (163, 58, 58),
)
THING: Colour = (15, 118, 110)
PLACE: Colour = (91, 100, 114)
"""The board's colours, see web/lumosx.css."""
_COVER = 0.75
"""How much of a frame a colour hides where a reference is read most."""
_COLUMNS, _SIDE, _GAP = 6, 160, 6
_LONGEST_NAME = 40


@dataclass(frozen=True)
class ReadReference:
    """One reference and where it is read.

    Attributes:
        name: its phrase.
        colour: its person's.
        picture: RGB [H, W, 3] uint8.
        heat: [frames, rows, columns] float32, 0 to 1: how much more it is read in a place than in the middle one.
        fills: whether it is what the whole picture shows, as a background; it is left out where others are seen.
    """

    name: str
    colour: Colour
    picture: np.ndarray
    heat: np.ndarray
    fills: bool = False


def heat_of(shares: np.ndarray) -> np.ndarray:
    """Shares of attention [frames, rows, columns] as 0 to 1: the median, which every place has, becomes 0."""
    above = np.clip(shares - np.median(shares), 0, None)
    most = above.max(initial=0.0)
    return (above / most if most > 0 else above).astype(np.float32)


def overlay(frames: Sequence[np.ndarray], read: Sequence[ReadReference], stride: int) -> Iterator[np.ndarray]:
    """Each frame RGB [H, W, 3] uint8 with the colours of what is read in it; the frames are not changed.

    Args:
        frames: of the video.
        read: its references.
        stride: frames of a latent frame, apart from the first, which stands for one.
    """
    shown = [one for one in read if not one.fills] or list(read)
    for number in range(len(frames)):
        pixels = np.asarray(frames[number])
        yield coloured(pixels, shown, -(-number // stride))


def coloured(pixels: np.ndarray, read: Sequence[ReadReference], latent_frame: int) -> np.ndarray:
    """A frame with the colour of each reference where it is read in one latent frame."""
    size = pixels.shape[1], pixels.shape[0]
    heats = np.stack([_resized(one.heat[min(latent_frame, len(one.heat) - 1)], size) for one in read])
    weights = heats**2
    colours = np.asarray([one.colour for one in read], np.float32)
    mixed = np.einsum("rhw,rc->hwc", weights, colours) / np.maximum(weights.sum(0), 1e-6)[..., None]
    cover = _COVER * heats.max(0)[..., None]
    return ((1 - cover) * pixels + cover * mixed).round().clip(0, 255).astype(np.uint8)


def grid(frames: Sequence[np.ndarray], read: Sequence[ReadReference], stride: int) -> np.ndarray:
    """A row for each reference, RGB [H, W, 3] uint8: its picture and name, then where it is read in some frames."""
    height, width = frames[0].shape[:2]
    cell = _SIDE * width // max(width, height), _SIDE * height // max(width, height)
    columns = min(_COLUMNS, len(frames))
    chosen = [round(place * (len(frames) - 1) / max(1, columns - 1)) for place in range(columns)]
    line = cell[1] + _GAP
    sheet = Image.new("RGB", (_SIDE + _GAP + columns * (cell[0] + _GAP), len(read) * line), (24, 24, 27))
    draw, font = ImageDraw.Draw(sheet), font_of(13)
    for row, one in enumerate(read):
        top = row * line
        picture = Image.fromarray(one.picture)
        picture.thumbnail((_SIDE, cell[1]))
        sheet.paste(picture, ((_SIDE - picture.width) // 2, top + (cell[1] - picture.height) // 2))
        for column, number in enumerate(chosen):
            made = coloured(np.asarray(frames[number]), [one], -(-number // stride))
            small = Image.fromarray(made).resize(cell, Image.Resampling.BILINEAR)
            sheet.paste(small, (_SIDE + _GAP + column * (cell[0] + _GAP), top))
        # On top, so that the name is read whole.
        label(draw, (2, top + 2), _short(one.name), one.colour, WHITE, font)
    return np.asarray(sheet)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME - 1].rstrip() + "…"


def _resized(heat: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
