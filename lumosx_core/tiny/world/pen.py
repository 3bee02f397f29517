"""A pen for figures and places: units of the world on a canvas of any zoom, plain and patterned surfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PIL import Image, ImageDraw

from .cast import Fill
from .geometry import Colour, Point

_SMOOTH = 2
"""Drawn this much larger and then reduced, for smooth edges."""


class Pen:
    """Draws into a canvas whose upper left corner is ``origin`` in the world's units.

    Args:
        size: width and height in pixels.
        zoom: pixels of a unit.
        origin: the point of the world in the upper left corner.
        background: a colour, or a picture of the same size, to draw on.
    """

    def __init__(
        self, size: tuple[int, int], zoom: float = 1.0, origin: Point = (0.0, 0.0),
        background: Colour | Image.Image = (255, 255, 255),
    ):
        self._zoom, self._origin = zoom * _SMOOTH, origin
        large = size[0] * _SMOOTH, size[1] * _SMOOTH
        if isinstance(background, Image.Image):
            self._image = background.resize(large, Image.Resampling.BILINEAR)
        else:
            self._image = Image.new("RGB", large, background)
        self._draw = ImageDraw.Draw(self._image)

    def polygon(self, points: Iterable[Point], fill: Colour | Fill) -> None:
        """A filled outline."""
        self._surface(lambda draw, colour, points: draw.polygon(points, fill=colour), self._place(points), fill)

    def ellipse(self, x: float, y: float, radius_x: float, radius_y: float, fill: Colour | Fill) -> None:
        """An ellipse around (x, y)."""
        corners = self._place([(x - radius_x, y - radius_y), (x + radius_x, y + radius_y)])
        self._surface(lambda draw, colour, points: draw.ellipse(points, fill=colour), corners, fill)

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour | Fill, radius: float = 0) -> None:
        """A rectangle with round corners."""
        corners, round_by = self._place([(left, top), (right, bottom)]), radius * self._zoom
        self._surface(lambda draw, colour, points: draw.rounded_rectangle(points, round_by, fill=colour), corners, fill)

    def line(self, points: Iterable[Point], width: float, fill: Colour) -> None:
        """An open line with round ends."""
        placed, thick = self._place(points), width * self._zoom
        self._draw.line(placed, fill=fill, width=max(1, round(thick)), joint="curve")
        for x, y in (placed[0], placed[-1]):
            self._draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=fill)

    def ring(self, x: float, y: float, radius: float, width: float, fill: Colour) -> None:
        """A circle's outline around (x, y)."""
        corners = self._place([(x - radius, y - radius), (x + radius, y + radius)])
        self._draw.ellipse(corners, outline=fill, width=max(1, round(width * self._zoom)))

    def finish(self) -> Image.Image:
        """The picture."""
        return self._image.reduce(_SMOOTH)

    def _place(self, points: Iterable[Point]) -> list[Point]:
        left, top = self._origin
        return [((x - left) * self._zoom, (y - top) * self._zoom) for x, y in points]

    def _surface(self, shape: Callable, points: list[Point], fill: Colour | Fill) -> None:
        if not isinstance(fill, Fill):
            shape(self._draw, fill, points)
        elif fill.pattern == "plain":
            shape(self._draw, fill.ground, points)
        else:
            self._patterned(shape, points, fill)

    def _patterned(self, shape: Callable, points: list[Point], fill: Fill) -> None:
        """The pattern starts at the shape's own corner, so that it goes along when the shape moves."""
        left, top = int(min(x for x, _ in points)), int(min(y for _, y in points))
        right, bottom = max(x for x, _ in points), max(y for _, y in points)
        size = int(right - left) + 2, int(bottom - top) + 2
        mask = Image.new("L", size)
        shape(ImageDraw.Draw(mask), 255, [(x - left, y - top) for x, y in points])
        self._image.paste(_texture(fill, size, fill.period * self._zoom), (left, top), mask)


def _texture(fill: Fill, size: tuple[int, int], period: float) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size, fill.ground)
    draw = ImageDraw.Draw(image)
    half = period / 2
    columns, rows = int(width / period) + 2, int(height / period) + 2
    if fill.pattern == "rows":
        for row in range(rows):
            draw.rectangle((0, row * period + half, width, (row + 1) * period - 1), fill=fill.figure)
    elif fill.pattern == "bars":
        for column in range(columns):
            draw.rectangle((column * period + half, 0, (column + 1) * period - 1, height), fill=fill.figure)
    elif fill.pattern == "dots":
        for row in range(rows):
            for column in range(-1, columns):
                # Large and far apart, since small ones in the places of squares look like those.
                x, y = (column + 0.2 + 0.5 * (row % 2)) * period, (row + 0.2) * period
                draw.ellipse((x, y, x + 0.6 * period, y + 0.6 * period), fill=fill.figure)
    else:
        for row in range(2 * rows):
            for column in range(row % 2, 2 * columns, 2):
                x, y = column * half, row * half
                draw.rectangle((x, y, x + half - 1, y + half - 1), fill=fill.figure)
    return image
