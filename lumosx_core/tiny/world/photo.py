"""What photographs have, for drawn pictures: light from one side, grain, and something to cut out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageOps

from .geometry import Colour

_NEARLY_WHITE = 8
"""What is darker than white by no more than this is white."""


def gradient(size: tuple[int, int], left: Colour, right: Colour) -> Image.Image:
    """A picture that changes evenly from one colour to the other."""
    return ImageOps.colorize(Image.linear_gradient("L").rotate(90), left, right).resize(size)


def grained(picture: Image.Image, grain: float, seed: int | Sequence[int]) -> Image.Image:
    """A picture with noise in its brightness.

    Args:
        grain: the standard deviation, of 255.
        seed: the same one gives the same noise.
    """
    noise = np.random.default_rng(seed).normal(0, grain, (picture.height, picture.width, 1))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def not_white(picture: Image.Image) -> Image.Image:
    """A mask (L) of 255 where a picture shows something before white."""
    return ImageChops.invert(picture.convert("L")).point(lambda value: 255 if value > _NEARLY_WHITE else 0)
