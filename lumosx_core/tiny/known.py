"""What the small models know: a size, a length, and drawn pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..media import letterbox
from .world.scenery import HEIGHT, WIDTH

SIZE = (WIDTH, HEIGHT)
MOST_FRAMES = 33
_SAME, _SHARE = 2, 0.9
# Of 366 drawings none is below the first; of 26 photographs of people and parts of them 25 are, and above the second.
_FLAT, _SHADES = 0.7, 90


def looks_like_a_photograph(picture: Image.Image) -> bool:
    """Whether a picture has too many shades, and too little of one colour side by side, for a drawing of the world."""
    fitted = letterbox(picture.convert("RGB"), *SIZE)
    steps = np.abs(np.diff(np.asarray(fitted).astype(np.int32), axis=1)).max(-1)
    return bool((steps <= _SAME).mean() < _FLAT) and _shades(fitted) > _SHADES


def _shades(picture: Image.Image) -> int:
    """How many levels of brightness it takes to have nearly all pixels."""
    counts = sorted(picture.convert("L").histogram(), reverse=True)
    return int(np.searchsorted(np.cumsum(counts), _SHARE * sum(counts))) + 1
