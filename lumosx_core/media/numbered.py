"""Pictures with clear numbers, one by one or on one sheet, for whoever is asked about them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw

from .drawing import BLACK, WHITE, font_of
from .pictures import letterbox, pil_from_tensor, tensor_from_pil

SIDE, BAND, GAP = 384, 56, 8
"""Pixels: the side of each picture, the height of the band with its number, and what lies between pictures."""
WIDEST = 4
"""Pictures side by side on a sheet."""


def numbered_batch(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """Each picture on white below a band with its number.

    Args:
        pictures: IMAGEs [1, H, W, 3] in [0, 1] of any sizes, at least one.

    Returns:
        An IMAGE [N, SIDE + BAND, SIDE, 3].
    """
    return torch.cat([tensor_from_pil(_tile(picture, number)) for number, picture in enumerate(pictures, 1)])


def numbered_sheet(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """All pictures as one IMAGE [1, H, W, 3], in rows of up to ``WIDEST``, as ``numbered_batch`` draws each."""
    columns = min(WIDEST, math.ceil(math.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    high, wide = SIDE + BAND + GAP, SIDE + GAP
    sheet = Image.new("RGB", (GAP + columns * wide, GAP + rows * high), BLACK)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        sheet.paste(_tile(picture, index + 1), (GAP + column * wide, GAP + row * high))
    return tensor_from_pil(sheet)


def _tile(picture: torch.Tensor, number: int) -> Image.Image:
    tile = Image.new("RGB", (SIDE, SIDE + BAND), BLACK)
    ImageDraw.Draw(tile).text((SIDE // 2, BAND // 2), str(number), fill=WHITE, font=font_of(BAND - 12), anchor="mm")
    tile.paste(letterbox(pil_from_tensor(picture), SIDE, SIDE), (0, BAND))
    return tile
