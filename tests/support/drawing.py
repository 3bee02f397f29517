"""Clothes, a guitar and a park, drawn finer than the small world draws them."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image

from lumosx_core.tiny.world.geometry import WHITE, Colour, Point, blend, mirror, shade
from tools.sketch import Canvas

GREEN: Colour = (62, 140, 92)


def draw_jacket(colour: Colour) -> Image.Image:
    """An open jacket, seen from the front, cut out on white."""
    sketch = Canvas(300, 300)
    lining = [(122, 48), (150, 60), (178, 48), (182, 120), (178, 250), (122, 250), (118, 120)]
    sketch.shape(lining, shade(colour, 0.55))
    _jacket_half(sketch, colour, lambda points: points)
    _jacket_half(sketch, colour, lambda points: mirror(points, 150))
    return sketch.cut_out()


def _jacket_half(sketch: Canvas, colour: Colour, side: Callable[[list[Point]], list[Point]]) -> None:
    """Sleeve, front and lapel; ``side`` puts the left half's points where they belong."""
    dark, light = shade(colour, 0.28), shade(colour, -0.2)
    seam = [(86, 54), (60, 76), (42, 140), (26, 222), (44, 236), (64, 234), (80, 170), (98, 104)]
    sleeve = [(82, 56), (58, 82), (44, 140), (30, 220), (46, 229), (60, 228), (76, 168), (94, 110)]
    front = [(120, 40), (88, 52), (78, 90), (82, 160), (78, 252), (112, 258), (142, 252), (138, 150)]
    lapel = [(122, 38), (106, 46), (100, 76), (116, 84), (110, 96), (136, 142), (136, 84)]
    sketch.shape(side(seam), dark)
    sketch.shape(side(sleeve), colour)
    sketch.polygon(side([(25, 219), (64, 230), (61, 246), (22, 235)]), dark)
    sketch.shape(side(front), colour)
    sketch.polygon(side([(78, 246), (142, 248), (142, 264), (80, 262)]), dark)
    sketch.shape(side(lapel), light)
    sketch.stroke(side([(86, 206), (116, 196)]), dark, 5)
    sketch.stroke(side([(139, 140), (142, 190), (142, 248)]), (226, 190, 96), 3)


def draw_dress(colour: Colour) -> Image.Image:
    """A sleeveless summer dress with a belt, cut out on white."""
    sketch = Canvas(260, 340)
    axis = 130
    dark, light = blend(colour, (214, 110, 30), 0.4), shade(colour, -0.35)
    strap = [(98, 30), (102, 58), (104, 80)]
    sketch.stroke(strap, colour, 11)
    sketch.stroke(mirror(strap, axis), colour, 11)
    left = [(112, 72), (94, 60), (88, 92), (94, 128), (98, 154)]
    sketch.polygon([(axis, 80), *left, *mirror(reversed(left), axis)], colour)
    sketch.shape([(96, 62), (88, 92), (94, 128), (100, 152), (110, 150), (106, 100)], dark)
    hem = [(34, 290), (58, 304), (82, 296), (106, 310), (130, 300), (154, 310), (178, 296), (202, 304), (226, 290)]
    sketch.shape([(100, 152), (130, 156), (160, 152), (196, 220), *reversed(hem), (64, 220)], colour)
    for x, bottom in ((58, 300), (106, 306), (154, 306), (202, 300)):
        top = axis + (x - axis) * 0.24
        sketch.polygon([(top - 2, 166), (top + 2, 166), (x + 11, bottom - 5), (x, bottom), (x - 11, bottom - 5)], dark)
    sketch.box(97, 146, 163, 162, (150, 84, 52), 4)
    sketch.box(122, 144, 138, 164, (246, 226, 150), 3)
    for x, y in ((78, 236), (130, 200), (182, 236), (130, 262), (92, 274), (170, 274), (118, 112), (146, 102)):
        sketch.ellipse(x, y, 5, 5, light)
    return sketch.cut_out()


def draw_guitar(colour: Colour) -> Image.Image:
    """An acoustic guitar, leaning, cut out on white."""
    sketch = Canvas(400, 400)
    axis = 200
    dark, wood = shade(colour, 0.35), (122, 78, 50)

    def body(growth: float) -> list:
        right = [(218, 200), (246, 212), (250, 240), (240, 258), (258, 284), (264, 318), (244, 352), (212, 362)]
        grown = [(x + growth, y + (growth if y > 280 else -growth if y < 220 else 0)) for x, y in right]
        return grown + mirror(reversed(grown), axis)

    sketch.shape(body(5), dark)
    sketch.shape(body(0), colour)
    upper = [(160, 216), (178, 208), (170, 236), (166, 258)]
    lower = [(154, 276), (150, 300), (142, 318), (146, 284), (162, 256), (154, 236)]
    sketch.shape(upper + lower, shade(colour, -0.35))
    sketch.ellipse(axis, 262, 27, 27, (240, 206, 140))
    sketch.ellipse(axis, 262, 22, 22, (44, 32, 40))
    sketch.box(190, 84, 210, 252, wood, 2)
    for fret in range(9):
        sketch.box(190, 96 + 16 * fret, 210, 98 + 16 * fret, (224, 206, 176))
    sketch.polygon([(188, 88), (182, 34), (191, 28), (209, 28), (218, 34), (212, 88)], shade(wood, 0.3))
    for side in (-1, 1):
        for y in (42, 56, 70):
            sketch.ellipse(axis + side * 20, y, 5, 4, (236, 220, 186))
    sketch.box(172, 312, 228, 324, wood, 4)
    for offset in (-6, -2, 2, 6):
        sketch.stroke([(axis + offset, 60), (axis + offset, 318)], (246, 238, 220), 1)
    sketch.turn(-24)
    return sketch.cut_out()


def draw_park(width: int = 832, height: int = 480) -> Image.Image:
    """A park on a sunny day, without people, over the full frame.

    Args:
        width, height: in pixels; the drawing is made for 832x480 and reduced or enlarged to fit.
    """
    sketch = Canvas(832, 480)
    sketch.gradient(0, 300, (104, 184, 236), (220, 240, 250))
    for radius, colour in ((70, (196, 224, 226)), (56, (232, 234, 196)), (42, (255, 224, 110))):
        sketch.ellipse(590, 88, radius, radius, colour)
    for x, y, size in ((150, 84, 1.0), (378, 60, 0.75), (478, 138, 0.55)):
        _cloud(sketch, x, y, size)
    far = [(-60, 300), (90, 224), (260, 262), (430, 214), (640, 258), (800, 222), (900, 300), (420, 380)]
    near = [(-80, 320), (120, 272), (380, 288), (620, 266), (920, 310), (900, 420), (-60, 420)]
    sketch.shape(far, (150, 200, 150))
    sketch.shape(near, (122, 186, 110))
    for x, y, size in ((96, 292, 0.62), (250, 282, 0.45), (590, 278, 0.5), (470, 284, 0.36)):
        _tree(sketch, x, y, size)
    sketch.polygon([(0, 330), (832, 318), (832, 480), (0, 480)], (112, 178, 88))
    path = [(446, 322), (452, 324), (432, 362), (520, 420), (620, 500), (300, 500), (360, 410), (402, 362)]
    sketch.shape(path, (234, 214, 172))
    _tree(sketch, 742, 396, 1.3)
    _bench(sketch, 196, 372)
    _flowers(sketch)
    picture = sketch.finish()
    return picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.LANCZOS)


def _cloud(sketch: Canvas, x: float, y: float, size: float) -> None:
    for offset_x, offset_y, radius in ((-46, 6, 24), (-16, -8, 34), (22, -2, 30), (52, 8, 20)):
        sketch.ellipse(x + size * offset_x, y + size * offset_y, size * radius, size * radius, WHITE)
    sketch.box(x - size * 68, y + size * 4, x + size * 70, y + size * 30, WHITE, size * 13)


def _tree(sketch: Canvas, x: float, ground: float, size: float) -> None:
    """A tree that stands on (x, ground)."""
    def at(points):
        return [(x + size * dx, ground + size * dy) for dx, dy in points]

    sketch.shape(at([(-10, -100), (10, -100), (12, -30), (24, 4), (0, 0), (-24, 4), (-12, -30)]), (128, 88, 60))
    leaves = ((62, 142, 80), (84, 164, 92), (110, 184, 104))
    for colour, shift in zip(leaves, (0, 10, 22)):
        shrink = 1 - shift / 60
        for dx, dy, radius in ((-44, -130, 42), (0, -172, 52), (46, -134, 42), (0, -122, 46)):
            sketch.ellipse(
                x + size * (dx * shrink - shift * 0.6), ground + size * (dy - shift),
                size * radius * shrink, size * radius * shrink, colour,
            )


def _bench(sketch: Canvas, x: float, y: float) -> None:
    """A park bench whose seat is centred on (x, y)."""
    wood, iron = (178, 112, 66), (70, 72, 84)
    sketch.ellipse(x, y + 44, 104, 9, (92, 156, 74))
    for offset in (-74, 74):
        sketch.stroke([(x + offset, y - 48), (x + offset, y + 42)], iron, 7)
        sketch.stroke([(x + offset * 0.9, y + 6), (x + offset * 0.94, y + 46)], iron, 7)
    for row in (-46, -28, -10):
        sketch.box(x - 92, y + row, x + 92, y + row + 12, wood, 4)
    sketch.box(x - 98, y + 6, x + 98, y + 20, shade(wood, -0.15), 5)


def _flowers(sketch: Canvas) -> None:
    """Blades and flowers in the grass, in a fixed scatter that leaves the path free."""
    petals = ((250, 110, 130), WHITE, (250, 210, 80), (190, 130, 220))
    for index in range(44):
        x = 832 * math.modf(index * 0.61803)[0]
        y = 424 + 50 * math.modf(index * 0.7548)[0]
        if 280 < x < 640:
            continue
        sketch.stroke([(x, y + 9), (x + 1, y)], (70, 134, 66), 2.5)
        for corner in range(5):
            angle = math.tau * corner / 5
            sketch.ellipse(x + 4 * math.cos(angle), y + 4 * math.sin(angle), 3, 3, petals[index % len(petals)])
        sketch.ellipse(x, y, 2.4, 2.4, (240, 170, 50))
