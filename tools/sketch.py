"""A pen for flat, smooth drawings: shapes are drawn four times larger and then reduced."""

from __future__ import annotations

import math
from collections.abc import Iterable

from PIL import Image, ImageChops, ImageDraw

from lumosx_core.tiny.world.geometry import WHITE, Colour, Point, blend

_SCALE = 4
_CURVE_STEPS = 12


def smooth(points: list[Point]) -> list[Point]:
    """A closed curve through the points (Catmull-Rom)."""
    curve = []
    for index in range(len(points)):
        before, start, end, after = (points[(index + offset) % len(points)] for offset in (-1, 0, 1, 2))
        curve.extend(_between(before, start, end, after, step / _CURVE_STEPS) for step in range(_CURVE_STEPS))
    return curve


def _between(before: Point, start: Point, end: Point, after: Point, t: float) -> Point:
    return tuple(
        0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        for p0, p1, p2, p3 in zip(before, start, end, after)
    )


class Canvas:
    """A canvas whose coordinates are pixels of the finished picture."""

    def __init__(self, width: int, height: int, background: Colour = WHITE) -> None:
        self.width = width
        self.height = height
        self._image = Image.new("RGB", (width * _SCALE, height * _SCALE), background)
        self._pen = ImageDraw.Draw(self._image)

    def polygon(self, points: Iterable[Point], fill: Colour) -> None:
        self._pen.polygon(_enlarge(points), fill=fill)

    def shape(self, points: list[Point], fill: Colour) -> None:
        """A filled closed curve through the points."""
        self.polygon(smooth(points), fill)

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, fill: Colour) -> None:
        """An ellipse around (x, y)."""
        self._pen.ellipse(_enlarge([(x - radius_x, y - radius_y), (x + radius_x, y + radius_y)]), fill=fill)

    def ring(self, x: float, y: float, radius: float, fill: Colour, width: float) -> None:
        """A circle's outline around (x, y)."""
        box = _enlarge([(x - radius, y - radius), (x + radius, y + radius)])
        self._pen.ellipse(box, outline=fill, width=round(width * _SCALE))

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour, radius: float = 0) -> None:
        """A rectangle with round corners."""
        self._pen.rounded_rectangle(_enlarge([(left, top), (right, bottom)]), radius * _SCALE, fill=fill)

    def stroke(self, points: list[Point], fill: Colour, width: float) -> None:
        """An open line with round ends and joints."""
        self._pen.line(_enlarge(points), fill=fill, width=round(width * _SCALE), joint="curve")
        for x, y in (points[0], points[-1]):
            self.ellipse(x, y, width / 2, width / 2, fill)

    def arc(self, x: float, y: float, radius_x: float, radius_y: float, start: float, end: float,
            fill: Colour, width: float) -> None:
        """A stroke along an ellipse; degrees run clockwise from three o'clock."""
        degrees = [start + (end - start) * step / 24 for step in range(25)]
        turned = [math.radians(degree) for degree in degrees]
        self.stroke([(x + radius_x * math.cos(a), y + radius_y * math.sin(a)) for a in turned], fill, width)

    def gradient(self, top: float, bottom: float, first: Colour, second: Colour) -> None:
        """A band over the full width that runs from one colour to the other."""
        rows = range(round(top * _SCALE), round(bottom * _SCALE))
        for index, row in enumerate(rows):
            self._pen.line([(0, row), (self._image.width, row)], fill=blend(first, second, index / len(rows)))

    def turn(self, degrees: float) -> None:
        """Rotate everything drawn so far about the centre, counter-clockwise; new corners are white."""
        self._image = self._image.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=WHITE)
        self._pen = ImageDraw.Draw(self._image)

    def finish(self) -> Image.Image:
        """The picture, anti-aliased."""
        return self._image.reduce(_SCALE)

    def cut_out(self, margin: int = 4) -> Image.Image:
        """The picture, cropped to what is not white plus a margin in pixels."""
        picture = self.finish()
        left, top, right, bottom = ImageChops.invert(picture).getbbox()
        return picture.crop((
            max(left - margin, 0), max(top - margin, 0),
            min(right + margin, self.width), min(bottom + margin, self.height),
        ))


def _enlarge(points: Iterable[Point]) -> list[Point]:
    return [(x * _SCALE, y * _SCALE) for x, y in points]
