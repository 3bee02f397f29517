"""Places and things of the drawn world."""

from __future__ import annotations

from PIL import Image

from .cast import Fill, Surroundings
from .geometry import WHITE, Point, blend, shade
from .pen import Pen
from .photo import gradient

WIDTH, HEIGHT = 128, 96
"""A frame, in units of the world."""
_HORIZON = 62.0
_LIGHT = 0.35
"""How much of every place's colour is the light's."""
_WARM, _COOL = (255, 214, 120), (44, 70, 150)

PLACES = ("park", "beach", "street", "room", "field", "mountain")
THINGS = ("lamp", "guitar", "chair", "bag", "table")


def draw_place(kind: str, colours: Surroundings, zoom: float = 1.0, origin: Point = (0.0, 0.0)) -> Image.Image:
    """A whole frame of a place without people.

    Args:
        kind: one of ``PLACES``.
        colours: what it looks like.
        zoom: pixels of a unit.
        origin: the world's point in the upper left corner, to draw a part of the place.
    """
    pen = Pen((round(WIDTH * zoom), round(HEIGHT * zoom)), zoom, origin, blend(colours.far, WHITE, 0.2))
    pen.box(-40, _HORIZON, WIDTH + 40, HEIGHT + 40, colours.near)
    _PLACES[kind](pen, colours, 24 * colours.shift)
    picture = pen.finish()
    return Image.blend(picture, evening_light(picture.size), _LIGHT)


def evening_light(size: tuple[int, int]) -> Image.Image:
    """What lights every place and every face of the world, warm from the left and cool from the right.

    It tells a model where it is: positions in the rotary embedding are relative, so without something that is the same
    in all pictures it would have to find out from people and things.
    """
    return gradient(size, _WARM, _COOL)


def draw_thing(pen: Pen, kind: str, fill: Fill, x: float, ground: float) -> None:
    """A thing that stands on (x, ground), about 34 high and 24 wide."""
    _THINGS[kind](pen, fill, x, ground)


def _park(pen: Pen, colours: Surroundings, shift: float) -> None:
    for x, size in ((2 + shift, 1.0), (62 - shift / 2, 0.7), (104 + shift / 2, 1.1)):
        pen.box(x - 3 * size, 40, x + 3 * size, _HORIZON + 6 * size, shade(colours.second, 0.5))
        pen.ellipse(x, 34 - 4 * size, 15 * size, 17 * size, colours.first)


def _beach(pen: Pen, colours: Surroundings, shift: float) -> None:
    pen.box(-40, 44, WIDTH + 40, _HORIZON + 2, colours.first)
    pen.ellipse(18 + 3.6 * shift, 22, 11, 11, colours.second)


def _street(pen: Pen, colours: Surroundings, shift: float) -> None:
    for index, (left, top) in enumerate(((-8, 22), (24, 6), (58, 28), (90, 12))):
        wall = colours.first if index % 2 else colours.second
        pen.box(left + shift / 2, top, left + 30 + shift / 2, _HORIZON, wall)
        for row in range(3):
            for column in range(2):
                x, y = left + 6 + 12 * column + shift / 2, top + 5 + 12 * row
                pen.box(x, y, x + 6, y + 7, shade(wall, -0.6))


def _room(pen: Pen, colours: Surroundings, shift: float) -> None:
    pen.box(10 + shift, 8, 42 + shift, 42, (250, 250, 250))
    pen.box(13 + shift, 11, 39 + shift, 39, colours.first)
    pen.box(76 + shift / 2, 10, 112 + shift / 2, 34, colours.second, 3)
    pen.box(-40, _HORIZON - 3, WIDTH + 40, _HORIZON, shade(colours.near, 0.4))


def _field(pen: Pen, colours: Surroundings, shift: float) -> None:
    pen.ellipse(20 + 2 * shift, 70, 70, 24, colours.first)
    pen.ellipse(110 - shift, 72, 60, 22, colours.second)
    for row in range(4):
        pen.box(-40, 70 + 7 * row, WIDTH + 40, 72 + 7 * row, shade(colours.near, 0.25))


def _mountain(pen: Pen, colours: Surroundings, shift: float) -> None:
    for peak, top, half, fill in ((30 + shift, 8, 46, colours.first), (96 - shift, 20, 40, colours.second)):
        pen.polygon([(peak - half, _HORIZON), (peak, top), (peak + half, _HORIZON)], fill)
        pen.polygon([(peak - 9, top + 11), (peak, top), (peak + 9, top + 11)], (250, 250, 250))


_PLACES = {
    "park": _park, "beach": _beach, "street": _street, "room": _room, "field": _field, "mountain": _mountain,
}


def _lamp(pen: Pen, fill: Fill, x: float, ground: float) -> None:
    pen.box(x - 1.6, ground - 20, x + 1.6, ground - 2, (70, 66, 72))
    pen.box(x - 8, ground - 3, x + 8, ground, (70, 66, 72), 1.5)
    pen.polygon([(x - 6, ground - 36), (x + 6, ground - 36), (x + 12, ground - 18), (x - 12, ground - 18)], fill)


def _guitar(pen: Pen, fill: Fill, x: float, ground: float) -> None:
    pen.box(x - 1.8, ground - 40, x + 1.8, ground - 14, (112, 72, 46))
    pen.box(x - 3.2, ground - 43, x + 3.2, ground - 37, (60, 44, 40), 1)
    pen.ellipse(x, ground - 20, 8.5, 7.5, fill.ground)
    pen.ellipse(x, ground - 9, 12, 9, fill)
    pen.ellipse(x, ground - 13, 3.2, 3.2, (44, 34, 42))


def _chair(pen: Pen, fill: Fill, x: float, ground: float) -> None:
    for side in (-1, 1):
        pen.line([(x + side * 9, ground - 34), (x + side * 9, ground - 1)], 2.6, (84, 60, 48))
    pen.box(x - 10, ground - 35, x + 10, ground - 20, fill, 2)
    pen.box(x - 12, ground - 17, x + 12, ground - 10, fill, 2)


def _bag(pen: Pen, fill: Fill, x: float, ground: float) -> None:
    pen.ring(x, ground - 19, 7.5, 2.4, (64, 50, 46))
    pen.box(x - 13, ground - 20, x + 13, ground, fill, 4)


def _table(pen: Pen, fill: Fill, x: float, ground: float) -> None:
    for side in (-1, 1):
        pen.line([(x + side * 10, ground - 20), (x + side * 11, ground - 1)], 3, (84, 60, 48))
    pen.box(x - 14, ground - 24, x + 14, ground - 12, fill, 2)


_THINGS = {"lamp": _lamp, "guitar": _guitar, "chair": _chair, "bag": _bag, "table": _table}
