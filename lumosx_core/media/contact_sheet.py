"""Rows of small pictures under titles: what was grouped with what, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .drawing import BLACK, Colour, font_of

MOST_ROWS, MOST_PICTURES = 24, 12
COLUMNS = 6
CELL = 112
_GAP, _TITLE, _FRAME = 8, 24, 4
_GROUND = (245, 245, 245)


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One row.

    Attributes:
        title: stands above it.
        pictures: RGB [H, W, 3] uint8, of any size; those past ``MOST_PICTURES`` are left out, and the title says so.
        colour: of the frame around the framed picture.
        framed: which picture gets a frame; it is never left out. None for no frame.
    """

    title: str
    pictures: Sequence[np.ndarray]
    colour: Colour = BLACK
    framed: int | None = None


def draw_sheet(rows: Sequence[SheetRow]) -> np.ndarray:
    """All rows as one RGB picture [H, W, 3] uint8; rows past ``MOST_ROWS`` are counted in a last line."""
    shown, left_out = rows[:MOST_ROWS], len(rows) - MOST_ROWS
    places = [_shown_of(row) for row in shown]
    heights = [_TITLE + -(-len(kept) // COLUMNS) * (CELL + _GAP) for kept in places]
    size = _GAP + COLUMNS * (CELL + _GAP), sum(heights) + _GAP + (_TITLE if left_out > 0 else 0)
    sheet = Image.new("RGB", size, _GROUND)
    draw, font, top = ImageDraw.Draw(sheet), font_of(16), _GAP
    for row, kept, height in zip(shown, places, heights):
        more = len(row.pictures) - len(kept)
        draw.text((_GAP, top), row.title + (f" (and {more} more)" if more else ""), fill=BLACK, font=font)
        for place, index in enumerate(kept):
            line, column = divmod(place, COLUMNS)
            corner = _GAP + column * (CELL + _GAP), top + _TITLE + line * (CELL + _GAP)
            _paste(sheet, draw, row, index, corner)
        top += height
    if left_out > 0:
        draw.text((_GAP, sheet.height - _TITLE), f"And {left_out} more rows.", fill=BLACK, font=font)
    return np.asarray(sheet)


def _shown_of(row: SheetRow) -> list[int]:
    """The pictures of a row that are drawn, the framed one first."""
    order = [] if row.framed is None else [row.framed]
    order += [index for index in range(len(row.pictures)) if index != row.framed]
    return order[:MOST_PICTURES]


def _paste(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, row: SheetRow, index: int, corner: tuple[int, int]
) -> None:
    small = Image.fromarray(row.pictures[index])
    small.thumbnail((CELL - 2 * _FRAME,) * 2)
    x, y = (start + (CELL - side) // 2 for start, side in zip(corner, small.size))
    sheet.paste(small, (x, y))
    if index == row.framed:
        left, top = corner
        draw.rectangle((left, top, left + CELL - 1, top + CELL - 1), outline=row.colour, width=_FRAME)
