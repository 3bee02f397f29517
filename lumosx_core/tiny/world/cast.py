"""Who and what there is: faces, things to wear, objects and places, from a space too large to learn by heart.

Every draw belongs to a split. A face, or a fill of two colours and a pattern, is dealt to one split by a checksum of
what it is, so that the splits share none.
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Callable
from dataclasses import astuple, dataclass
from enum import Enum
from itertools import product
from typing import TypeVar

import numpy as np

from .geometry import Colour

_HUES = 18
_TONES = ((1.0, 0.92), (0.55, 1.0), (0.85, 0.55))
"""Saturation and value: full, light and dark."""

PATTERNS = ("plain", "rows", "bars", "dots", "checks")
HAIR_STYLES = ("short", "long", "round", "bun", "spikes", "bald")
FACE_MARKS = ("none", "cheeks", "band", "mask", "chin")
SKINS: tuple[Colour, ...] = ((250, 214, 186), (240, 190, 152), (206, 148, 106), (150, 98, 66), (108, 70, 50))
LEAST_DIFFERENCE = 60
"""Colours of one pair differ by at least this much in some channel, or the pattern would not be seen."""


class Split(Enum):
    """Which worlds a draw may serve, with its share of the space in tenths."""

    TRAIN = range(0, 8)
    VALIDATION = range(8, 9)
    HELD_OUT = range(9, 10)


def palette() -> tuple[Colour, ...]:
    """All colours of the world."""
    colours: list[Colour] = []
    for hue, (saturation, value) in product(range(_HUES), _TONES):
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue / _HUES, saturation, value))
        colours.append((red, green, blue))
    return (*colours, (246, 246, 246), (140, 140, 146), (38, 36, 44))


PALETTE = palette()


@dataclass(frozen=True)
class Fill:
    """What a surface looks like.

    Attributes:
        ground, figure: colours of the surface and of the pattern on it.
        pattern: one of ``PATTERNS``.
        period: of the pattern, in units of a figure that is 84 high.
    """

    ground: Colour
    figure: Colour
    pattern: str
    period: int

    @property
    def mean(self) -> Colour:
        """The colour of the surface from afar."""
        part = {"plain": 0.0, "dots": 0.28}.get(self.pattern, 0.5)
        red, green, blue = (round((1 - part) * a + part * b) for a, b in zip(self.ground, self.figure))
        return red, green, blue


@dataclass(frozen=True)
class DrawnFace:
    """What tells one person from another.

    Attributes:
        skin, hair, eyes, mark_colour: RGB, 0..255.
        hair_style: one of ``HAIR_STYLES``.
        mark: paint on the face, one of ``FACE_MARKS``.
    """

    skin: Colour
    hair: Colour
    eyes: Colour
    hair_style: str
    mark: str
    mark_colour: Colour


@dataclass(frozen=True)
class Surroundings:
    """The colours of a place: sky or wall, ground, and two for what stands there; and where that stands, 0 to 1."""

    far: Colour
    near: Colour
    first: Colour
    second: Colour
    shift: float


Drawn = TypeVar("Drawn", Fill, DrawnFace)


def split_of(drawn: Fill | DrawnFace) -> Split:
    """The split that a fill or a face belongs to."""
    tenth = zlib.crc32(repr(astuple(drawn)).encode()) % 10
    return next(split for split in Split if tenth in split.value)


def random_fill(random: np.random.Generator, split: Split, ground: Callable[[Colour], bool] | None = None) -> Fill:
    """A fill of this split; ``ground`` says which colours its surface may have."""
    grounds = [colour for colour in PALETTE if ground is None or ground(colour)]

    def attempt() -> Fill | None:
        first, second = _pick(random, grounds), _pick(random, PALETTE)
        if np.abs(np.subtract(first, second)).max() < LEAST_DIFFERENCE:
            return None
        return Fill(first, second, _pick(random, PATTERNS), int(random.integers(8, 12)))

    return _draw(attempt, split)


def random_face(random: np.random.Generator, split: Split) -> DrawnFace:
    """A face of this split."""

    def attempt() -> DrawnFace:
        return DrawnFace(
            skin=_pick(random, SKINS), hair=_pick(random, PALETTE), eyes=_pick(random, PALETTE),
            hair_style=_pick(random, HAIR_STYLES), mark=_pick(random, FACE_MARKS), mark_colour=_pick(random, PALETTE),
        )

    return _draw(attempt, split)


def random_surroundings(random: np.random.Generator) -> Surroundings:
    """A place; its colours are pairs of no split, since places have no pattern."""
    return Surroundings(*(_pick(random, PALETTE) for _ in range(4)), shift=float(random.random()))


def _draw(attempt: Callable[[], Drawn | None], split: Split) -> Drawn:
    while True:
        drawn = attempt()
        if drawn is not None and split_of(drawn) is split:
            return drawn


def _pick(random: np.random.Generator, choices):
    return choices[int(random.integers(len(choices)))]


def colour_name(colour: Colour) -> str:
    """The word for a colour of the world."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
    if value < 0.3:
        return "black"
    if saturation < 0.15:
        return "white" if value > 0.8 else "grey"
    names = ((25, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (255, "blue"), (290, "purple"), (335, "pink"))
    degrees = 360 * hue
    name = next((name for end, name in names if degrees < end), "red")
    return "brown" if name == "orange" and value < 0.7 else name
