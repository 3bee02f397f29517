"""Portraits with light and shade, so that detectors made for photographs find a face in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .world.geometry import WHITE, Colour, Point, blend, mirror, shade

WIDTH, HEIGHT = 240, 300
_SMOOTH = 2
"""Drawn this much larger and then reduced, for smooth edges."""
_MIDDLE = WIDTH / 2
_SIDES = (-1, 1)
_BROW_WEIGHT = 0.3


@dataclass(frozen=True)
class Portrait:
    """What somebody looks like.

    Attributes:
        skin, hair, eyes, clothes: RGB, 0..255.
        long_hair: down to the shoulders, or short.
    """

    skin: Colour
    hair: Colour
    eyes: Colour
    clothes: Colour
    long_hair: bool = False


def draw_portrait(look: Portrait, backdrop: Image.Image) -> Image.Image:
    """Head and shoulders of one person.

    Args:
        backdrop: what is behind, ``WIDTH`` x ``HEIGHT``, RGB.

    Returns:
        An RGB picture of the same size.
    """
    canvas = _Canvas(backdrop)
    if look.long_hair:
        canvas.ellipse(look.hair, _MIDDLE, 140, 74, 105, blur=2)
    _draw_body(canvas, look)
    _draw_head(canvas, look)
    for side in _SIDES:
        _draw_eye(canvas, look, side)
    _draw_nose(canvas, look.skin)
    _draw_mouth(canvas, look.skin)
    return canvas.finish()


class _Canvas:
    """Layers of colour with soft edges; coordinates are pixels of the finished picture."""

    def __init__(self, backdrop: Image.Image):
        size = backdrop.width * _SMOOTH, backdrop.height * _SMOOTH
        self._image = backdrop.resize(size, Image.Resampling.BILINEAR)
        self.within: Image.Image | None = None

    def ellipse(
        self, colour: Colour, x: float, y: float, across: float, down: float, blur: float = 1, part: float = 1
    ) -> None:
        """An ellipse around (x, y); ``blur`` in pixels, ``part`` of it laid on."""
        box = [(x - across, y - down), (x + across, y + down)]
        self._lay(ImageDraw.ImageDraw.ellipse, box, colour, blur, part, fill=255)

    def polygon(self, colour: Colour, points: Iterable[Point], blur: float = 1, part: float = 1) -> None:
        """A filled outline."""
        self._lay(ImageDraw.ImageDraw.polygon, list(points), colour, blur, part, fill=255)

    def arc(self, colour: Colour, box: list[Point], degrees: tuple[int, int], width: float, blur: float = 0.6) -> None:
        """A part of an ellipse's outline."""
        start, end = degrees
        shape = ImageDraw.ImageDraw.arc
        self._lay(shape, box, colour, blur, 1, start=start, end=end, fill=255, width=round(width * _SMOOTH))

    def ellipse_mask(self, x: float, y: float, across: float, down: float) -> Image.Image:
        """An ellipse for ``within``, which keeps what is drawn inside of it."""
        box = [(x - across, y - down), (x + across, y + down)]
        return self._mask(ImageDraw.ImageDraw.ellipse, _enlarged(box), self._image.size, 1, {"fill": 255})

    def finish(self) -> Image.Image:
        """The picture."""
        return self._image.reduce(_SMOOTH)

    def _lay(
        self, shape: Callable, points: list[Point], colour: Colour, blur: float, part: float, **options: int
    ) -> None:
        """Only where the shape is: a blur over the whole canvas would take most of the time."""
        points, edge = _enlarged(points), 3 * blur * _SMOOTH + 2
        left, top = (max(0, int(min(values) - edge)) for values in zip(*points))
        right, bottom = (min(most, int(max(values) + edge)) for values, most in zip(zip(*points), self._image.size))
        moved = [(x - left, y - top) for x, y in points]
        mask = self._mask(shape, moved, (right - left, bottom - top), blur, options)
        if self.within is not None:
            mask = ImageChops.multiply(mask, self.within.crop((left, top, right, bottom)))
        self._image.paste(colour, (left, top, right, bottom), mask.point(lambda value: round(value * part)))

    @staticmethod
    def _mask(
        shape: Callable, points: list[Point], size: tuple[int, int], blur: float, options: dict[str, int]
    ) -> Image.Image:
        mask = Image.new("L", size, 0)
        shape(ImageDraw.Draw(mask), points, **options)
        return mask.filter(ImageFilter.GaussianBlur(blur * _SMOOTH))


def _enlarged(points: Iterable[Point]) -> list[Point]:
    return [(x * _SMOOTH, y * _SMOOTH) for x, y in points]


def _draw_body(canvas: _Canvas, look: Portrait) -> None:
    half = [(_MIDDLE, 240), (84, 240), (44, 256), (26, 300), (_MIDDLE, 300)]
    canvas.polygon(look.clothes, [*half, *reversed(mirror(half, _MIDDLE))], 1.5)
    collar = [(84, 240), (_MIDDLE, 262), (156, 240), (150, 236), (_MIDDLE, 254), (90, 236)]
    canvas.polygon(shade(look.skin, 0.2), [(95, 200), (145, 200), (149, 246), (_MIDDLE, 258), (91, 246)], 1.5)
    canvas.polygon(shade(look.clothes, 0.3), collar)
    canvas.ellipse(shade(look.skin, 0.5), _MIDDLE, 214, 28, 12, 5, 0.7)


def _draw_head(canvas: _Canvas, look: Portrait) -> None:
    skin, light = look.skin, blend(look.skin, WHITE, 0.3)
    canvas.ellipse(look.hair, _MIDDLE, 112, 66, 72, 1.2)
    for side in _SIDES:
        canvas.ellipse(shade(skin, 0.15), _MIDDLE + side * 57, 142, 8, 15)
    canvas.ellipse(skin, _MIDDLE, 138, 56, 72)
    canvas.within = canvas.ellipse_mask(_MIDDLE, 138, 56, 72)
    for side, part in ((-1, 0.35), (1, 0.55)):
        canvas.ellipse(shade(skin, 0.5), _MIDDLE + side * 62, 150, 18, 60, 9, part)
    canvas.ellipse(shade(skin, 0.4), _MIDDLE, 206, 36, 9, 6, 0.6)
    canvas.ellipse(light, _MIDDLE, 95, 36, 16, 10, 0.7)
    for side in _SIDES:
        canvas.ellipse(light, _MIDDLE + side * 30, 162, 14, 11, 8, 0.6)
        canvas.ellipse((205, 110, 95), _MIDDLE + side * 31, 167, 14, 9, 8, 0.25)
    canvas.within = None
    fringe = [
        (58, 124), (60, 80), (90, 48), (150, 48), (180, 80), (182, 124), (168, 96), (140, 80), (110, 84), (80, 92),
        (70, 108),
    ]
    canvas.polygon(look.hair, fringe, 1.5)


def _draw_eye(canvas: _Canvas, look: Portrait, side: int) -> None:
    x, y = _MIDDLE + side * 25, 134
    canvas.ellipse(shade(look.skin, 0.45), x, y - 2, 17, 10, 5, 0.65)
    canvas.ellipse((238, 236, 230), x, y, 11, 5, 0.6)
    canvas.ellipse(look.eyes, x, y, 5.4, 5.2, 0.5)
    canvas.ellipse((15, 12, 12), x, y, 2.6, 2.6, 0.3)
    canvas.ellipse(WHITE, x - 1.6, y - 1.8, 1.2, 1.2, 0.2)
    canvas.arc((35, 22, 20), [(x - 13, y - 7), (x + 13, y + 11)], (195, 345), 2.4)
    canvas.arc(shade(look.skin, 0.4), [(x - 12, y - 9), (x + 12, y + 7)], (25, 155), 1.2, 0.8)
    brow = [(-13, 118), (-2, 113.5), (16, 119), (15, 122), (-2, 118), (-13, 122.5)]
    canvas.polygon(shade(look.hair, _BROW_WEIGHT), [(x + side * across, down) for across, down in brow])


def _draw_nose(canvas: _Canvas, skin: Colour) -> None:
    middle = _MIDDLE
    bridge = [(middle - 4, 128), (middle + 4, 128), (middle + 9, 162), (middle - 9, 162)]
    canvas.polygon(blend(skin, WHITE, 0.3), bridge, 4, 0.6)
    flank = [(middle + 5, 132), (middle + 8, 132), (middle + 14, 166), (middle + 8, 166)]
    canvas.polygon(shade(skin, 0.35), flank, 3, 0.6)
    canvas.ellipse(blend(skin, WHITE, 0.12), middle, 166, 11, 5, 2, 0.6)
    canvas.ellipse(shade(skin, 0.5), middle, 173, 13, 3.6, 2, 0.7)
    for side in _SIDES:
        canvas.ellipse(shade(skin, 0.8), middle + side * 6, 171, 3, 1.8, 0.8, 0.9)


def _draw_mouth(canvas: _Canvas, skin: Colour) -> None:
    canvas.ellipse((178, 84, 80), _MIDDLE, 191, 20, 6, 1.2)
    canvas.ellipse((206, 118, 110), _MIDDLE, 195, 15, 4, 1.2, 0.8)
    canvas.arc((90, 35, 38), [(_MIDDLE - 21, 176), (_MIDDLE + 21, 193)], (20, 160), 2)
    canvas.ellipse(shade(skin, 0.4), _MIDDLE, 204, 13, 3, 2.5, 0.6)
