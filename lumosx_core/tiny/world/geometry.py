"""Colours and points of the drawn world."""

from __future__ import annotations

from collections.abc import Iterable

Colour = tuple[int, int, int]
Point = tuple[float, float]

WHITE: Colour = (255, 255, 255)


def blend(first: Colour, second: Colour, amount: float) -> Colour:
    """``first`` at amount 0, ``second`` at amount 1."""
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(first, second))
    return red, green, blue


def shade(colour: Colour, amount: float) -> Colour:
    """Darker by ``amount`` in 0..1, or lighter where it is negative."""
    return blend(colour, (35, 25, 50) if amount > 0 else WHITE, abs(amount))


def mirror(points: Iterable[Point], axis: float) -> list[Point]:
    """The points on the other side of the vertical line x = axis."""
    return [(2 * axis - x, y) for x, y in points]
