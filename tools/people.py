"""Friendly cartoon faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from lumosx_core.tiny.world.geometry import WHITE, Colour, blend, mirror, shade
from tools.sketch import Canvas

FACE_WIDTH = 224
FACE_HEIGHT = 272

_AXIS = FACE_WIDTH / 2
_EYE_X = 25
_EYE_Y = 132
_INK: Colour = (58, 40, 48)

_SKINS: tuple[Colour, ...] = ((250, 214, 186), (240, 190, 152), (206, 148, 106), (150, 98, 66), (108, 70, 50))
_HAIRS: tuple[Colour, ...] = ((46, 36, 40), (92, 56, 38), (150, 86, 46), (224, 178, 92), (186, 74, 44), (170, 168, 172))
_EYES: tuple[Colour, ...] = ((72, 116, 158), (86, 130, 84), (98, 66, 44), (52, 40, 40))
_BACKDROPS: tuple[Colour, ...] = ((176, 214, 232), (246, 208, 176), (206, 224, 186), (226, 204, 234), (250, 228, 160))


@dataclass(frozen=True)
class Look:
    """What tells one person from another.

    Attributes:
        skin, hair, eyes, backdrop: RGB colours, 0..255.
        long_hair: down to the shoulders, or short.
        beard, glasses, earrings: worn or not.
    """

    skin: Colour
    hair: Colour
    eyes: Colour
    backdrop: Colour
    long_hair: bool = False
    beard: bool = False
    glasses: bool = False
    earrings: bool = False


MAN = Look(_SKINS[0], _HAIRS[2], _EYES[0], _BACKDROPS[0], beard=True)
WOMAN = Look(_SKINS[3], _HAIRS[0], _EYES[2], _BACKDROPS[1], long_hair=True, earrings=True)


def random_look(seed: int) -> Look:
    """Some person; the same one for the same seed (0 or more)."""
    generator = np.random.default_rng(seed)

    def pick(colours: tuple[Colour, ...]) -> Colour:
        return colours[generator.integers(len(colours))]

    def toss() -> bool:
        return bool(generator.integers(2))

    long_hair = toss()
    return Look(
        skin=pick(_SKINS), hair=pick(_HAIRS), eyes=pick(_EYES), backdrop=pick(_BACKDROPS), long_hair=long_hair,
        beard=not long_hair and toss(), glasses=toss(), earrings=long_hair and toss(),
    )


def draw_face(look: Look) -> Image.Image:
    """Head and shoulders before a plain backdrop, RGB, 224 wide and 272 high."""
    sketch = Canvas(FACE_WIDTH, FACE_HEIGHT, look.backdrop)
    sketch.ellipse(_AXIS, 120, 132, 132, shade(look.backdrop, -0.25))
    if look.long_hair:
        _long_hair_behind(sketch, look.hair)
    _shoulders(sketch, look)
    _head(sketch, look)
    for side in (-1, 1):
        _eye(sketch, look, side)
    _nose_and_cheeks(sketch, look.skin)
    if look.beard:
        _beard(sketch, look)
    _mouth(sketch, look)
    (_long_hair_in_front if look.long_hair else _short_hair)(sketch, look.hair)
    if look.glasses:
        _glasses(sketch)
    return sketch.finish()


def _shape_both_sides(sketch: Canvas, right_half: list, fill: Colour) -> None:
    """A closed curve given by its right half, from top to bottom."""
    sketch.shape(right_half + mirror(reversed(right_half), _AXIS), fill)


def _shoulders(sketch: Canvas, look: Look) -> None:
    shirt = (236, 238, 242)
    _shape_both_sides(sketch, [(138, 218), (172, 232), (212, 254), (228, 310)], shirt)
    _shape_both_sides(sketch, [(136, 178), (136, 214), (146, 228), (120, 246)], shade(look.skin, 0.12))
    # The chin's shadow on the neck.
    _shape_both_sides(sketch, [(135, 176), (136, 206), (122, 221)], shade(look.skin, 0.3))


def _head(sketch: Canvas, look: Look) -> None:
    for side in (-1, 1):
        sketch.ellipse(_AXIS + side * 62, 142, 11, 17, shade(look.skin, 0.08))
        sketch.ellipse(_AXIS + side * 62, 142, 6, 11, shade(look.skin, 0.22))
        if look.earrings:
            sketch.ring(_AXIS + side * 65, 171, 9, (240, 190, 60), 3.5)
    jaw = 47 if look.long_hair else 52
    _shape_both_sides(
        sketch,
        [(134, 55), (162, 76), (173, 116), (170, 150), (_AXIS + jaw, 179), (139, 204), (121, 210)],
        look.skin,
    )


def _eye(sketch: Canvas, look: Look, side: int) -> None:
    x = _AXIS + side * _EYE_X
    sketch.ellipse(x, _EYE_Y, 13, 10.5, WHITE)
    sketch.ellipse(x, _EYE_Y - 0.5, 9, 9.6, look.eyes)
    sketch.ellipse(x, _EYE_Y - 0.5, 5.4, 5.8, (28, 22, 30))
    sketch.ellipse(x + 3, _EYE_Y - 3.5, 2.6, 2.6, WHITE)
    sketch.arc(x, _EYE_Y + 1, 13.5, 11.5, 194, 346, _INK, 3.4)
    if look.long_hair:
        outer = x + side * 12.5
        sketch.stroke([(outer, _EYE_Y - 4), (outer + side * 5, _EYE_Y - 8)], _INK, 2.6)
    thick = 4 if look.long_hair else 6
    sketch.arc(x, _EYE_Y - 8, 16, 14, 214, 322, shade(look.hair, 0.15), thick)


def _nose_and_cheeks(sketch: Canvas, skin: Colour) -> None:
    for side in (-1, 1):
        sketch.ellipse(_AXIS + side * 38, 161, 12, 8, blend(skin, (232, 92, 92), 0.2))
    sketch.arc(_AXIS, 153, 8, 7, 20, 160, shade(skin, 0.32), 3.4)


def _mouth(sketch: Canvas, look: Look) -> None:
    lips = (196, 74, 84) if look.long_hair else (150, 66, 62)
    smile = [(90, 175), (101, 178), (112, 179), (123, 178), (134, 175), (127, 189), (112, 195), (97, 189)]
    sketch.shape(smile, lips)
    sketch.shape([(94, 178), (112, 181), (130, 178), (124, 184), (112, 186), (100, 184)], WHITE)


def _beard(sketch: Canvas, look: Look) -> None:
    beard = shade(look.hair, 0.06)
    right = [(174, 120), (176, 150), (166, 188), (142, 212), (118, 219)]
    inner = [(118, 164), (138, 166), (154, 154), (164, 124)]
    outline = right + mirror(reversed(right), _AXIS) + mirror(reversed(inner), _AXIS) + inner
    sketch.shape(outline, beard)
    sketch.shape([(88, 175), (112, 168), (136, 175), (129, 193), (112, 200), (95, 193)], look.skin)
    sketch.shape([(84, 178), (96, 167), (112, 169), (128, 167), (140, 178), (126, 175), (112, 177), (98, 175)], beard)


def _short_hair(sketch: Canvas, hair: Colour) -> None:
    cap = [
        (48, 132), (44, 104), (50, 74), (70, 48), (102, 36), (138, 34), (164, 46), (180, 74), (182, 106), (176, 132),
        (170, 112), (162, 92), (140, 90), (112, 80), (84, 88), (66, 86), (58, 104), (53, 122),
    ]
    sketch.shape(cap, hair)
    quiff = [(70, 84), (78, 58), (104, 40), (140, 30), (170, 40), (176, 62), (156, 74), (124, 74), (98, 80)]
    sketch.shape(quiff, shade(hair, -0.14))
    sketch.stroke([(92, 66), (118, 54), (150, 50)], hair, 3)


def _long_hair_behind(sketch: Canvas, hair: Colour) -> None:
    _shape_both_sides(
        sketch,
        [(140, 28), (176, 52), (190, 100), (192, 150), (206, 196), (196, 236), (168, 250), (126, 240)],
        shade(hair, 0.12),
    )


def _long_hair_in_front(sketch: Canvas, hair: Colour) -> None:
    crown = [
        (124, 24), (160, 32), (184, 64), (192, 108), (190, 158), (200, 196), (190, 228), (172, 238), (176, 204),
        (172, 168), (172, 126), (160, 96), (134, 76), (122, 62),
    ]
    left = [
        (124, 24), (88, 24), (52, 44), (36, 84), (32, 132), (32, 170), (22, 204), (34, 232), (52, 238), (48, 204),
        (50, 168), (50, 134), (58, 110), (84, 92), (112, 74), (126, 58),
    ]
    sketch.shape(crown, hair)
    sketch.shape(left, hair)
    gloss = shade(hair, -0.2)
    sketch.stroke([(50, 96), (60, 72), (78, 54)], gloss, 4)
    sketch.stroke([(174, 102), (168, 78), (156, 60)], gloss, 4)


def _glasses(sketch: Canvas) -> None:
    for side in (-1, 1):
        sketch.ring(_AXIS + side * _EYE_X, _EYE_Y + 1, 20, _INK, 3.4)
        sketch.stroke([(_AXIS + side * 45, _EYE_Y - 2), (_AXIS + side * 60, _EYE_Y - 6)], _INK, 3)
    sketch.stroke([(_AXIS - 6, _EYE_Y - 3), (_AXIS, _EYE_Y - 6), (_AXIS + 6, _EYE_Y - 3)], _INK, 3)
