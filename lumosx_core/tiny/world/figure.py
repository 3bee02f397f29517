"""People of the drawn world: in a pose and dressed, or as reference pictures of a face and of things to wear."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .cast import DrawnFace, Fill
from .geometry import Colour, Point, mirror, shade
from .pen import Pen

SLOTS = {
    "hat": "head", "cap": "head", "glasses": "eyes", "scarf": "neck", "tie": "neck",
    "jacket": "body", "dress": "body", "shirt": "body", "coat": "body", "sweater": "body",
}
"""What can be worn, and where; nobody wears two things in one place."""

HEAD_Y, HEAD_X, HEAD_RADIUS = -61.0, 13.0, 14.5
_SHOULDER_Y, _HIP_Y = -47.0, -21.0
_INK: Colour = (44, 34, 42)
_UNDRESSED: Colour = (222, 220, 214)
_TROUSERS: Colour = (84, 88, 104)


@dataclass(frozen=True)
class DrawnPerson:
    """A face and what belongs to it.

    Attributes:
        face: who.
        worn: fill of each thing worn, by its kind (a key of ``SLOTS``).
    """

    face: DrawnFace
    worn: Mapping[str, Fill] = field(default_factory=dict)


@dataclass(frozen=True)
class Pose:
    """How somebody stands.

    Attributes:
        turn: where the face looks, -1 (left) to 1 (right).
        left_hand, right_hand: height of each hand, 0 hanging to 1 raised.
        stride: -1 to 1, how far the legs are apart and which is in front.
        lift: units above the ground.
    """

    turn: float = 0.0
    left_hand: float = 0.0
    right_hand: float = 0.0
    stride: float = 0.0
    lift: float = 0.0


def draw_person(pen: Pen, person: DrawnPerson, x: float, ground: float, pose: Pose) -> None:
    """A whole figure whose feet stand on (x, ground)."""
    top = ground - pose.lift
    hair_behind(pen, person.face, x, top)
    _legs(pen, x, top, pose)
    _body(pen, person, x, top, pose)
    draw_head(pen, person.face, x, top + HEAD_Y, pose.turn)
    for kind, fill in person.worn.items():
        if SLOTS[kind] != "body":
            draw_worn(pen, kind, fill, x, top, pose.turn)


def draw_head(pen: Pen, face: DrawnFace, x: float, y: float, turn: float) -> None:
    """A head around (x, y) without what is behind it."""
    pen.ellipse(x, y, HEAD_X, HEAD_RADIUS, face.skin)
    shift = 4.0 * turn
    _mark(pen, face, x + shift, y)
    _hair_in_front(pen, face, x, y)
    for side in (-1, 1):
        eye_x = x + shift + side * 5.2
        pen.ellipse(eye_x, y + 1, 3.3, 3.2, (255, 255, 255))
        pen.ellipse(eye_x + turn, y + 1.2, 2.3, 2.5, face.eyes)
        pen.ellipse(eye_x + turn, y + 1.2, 1.0, 1.1, _INK)
    pen.line([(x + shift - 3.4, y + 8.4), (x + shift, y + 9.6), (x + shift + 3.4, y + 8.4)], 1.3, (150, 54, 60))


def draw_worn(pen: Pen, kind: str, fill: Fill, x: float, ground: float, turn: float = 0.0) -> None:
    """Something worn by a figure on (x, ground) that is not clothing of the body."""
    _WORN[kind](pen, fill, x, ground + HEAD_Y, turn)


def draw_clothes(pen: Pen, kind: str, fill: Fill, x: float, ground: float) -> None:
    """The body of a piece of clothing without its sleeves."""
    top, hem = ground + _SHOULDER_Y - 2, ground + {"dress": -8.0, "coat": -7.0}.get(kind, _HIP_Y + 2)
    waist, wide = {"dress": (9.0, 17.0), "coat": (13.0, 14.5)}.get(kind, (11.5, 12.0))
    half = [(x, top), (x + 9, top), (x + 13, top + 4), (x + waist, ground + _HIP_Y - 8), (x + wide, hem), (x, hem)]
    pen.polygon(half + mirror(reversed(half), x), fill)
    if kind in ("jacket", "coat"):
        pen.polygon([(x - 4.5, top), (x + 4.5, top), (x, ground - 30)], (250, 250, 250))
        pen.line([(x, ground - 30), (x, hem - 1)], 1.4, shade(fill.ground, 0.5))
    elif kind == "shirt":
        pen.polygon([(x - 6, top), (x, top + 7), (x + 6, top)], shade(fill.ground, -0.55))
    elif kind == "sweater":
        pen.box(x - 6, top - 2, x + 6, top + 2, shade(fill.ground, 0.25), 2)
    elif kind == "dress":
        pen.box(x - 9.5, ground - 31, x + 9.5, ground - 28, shade(fill.ground, 0.45))


def draw_sleeves(pen: Pen, kind: str, fill: Fill, x: float, ground: float, hands: tuple[Point, Point]) -> None:
    """Both sleeves towards the hands; a dress has none."""
    for side, hand in zip((-1, 1), hands):
        shoulder = x + side * 11.5, ground + _SHOULDER_Y + 2
        reach = {"dress": 0.0, "shirt": 0.5}.get(kind, 0.85)
        if reach:
            end_x, end_y = (a + reach * (b - a) for a, b in zip(shoulder, hand))
            pen.line([shoulder, (end_x, end_y)], 6.4, fill.ground)


def hands_of(x: float, ground: float, pose: Pose) -> tuple[Point, Point]:
    """Where the left and the right hand of a figure are, as one sees them."""
    found = []
    for side, raised in ((-1, pose.left_hand), (1, pose.right_hand)):
        angle = math.radians(-78 + 140 * raised)
        shoulder_x, shoulder_y = x + side * 11.5, ground + _SHOULDER_Y + 2
        found.append((shoulder_x + side * 22 * math.cos(angle), shoulder_y - 22 * math.sin(angle)))
    return found[0], found[1]


def _legs(pen: Pen, x: float, ground: float, pose: Pose) -> None:
    for side in (-1, 1):
        foot_x = x + side * 5.5 + 5 * pose.stride * side
        foot_y = ground - max(0.0, side * pose.stride) * 5
        pen.line([(x + side * 5, ground + _HIP_Y), (foot_x, foot_y - 3)], 7, _TROUSERS)
        pen.ellipse(foot_x + side, foot_y - 2.2, 5, 2.8, _INK)


def _body(pen: Pen, person: DrawnPerson, x: float, ground: float, pose: Pose) -> None:
    clothes = {kind: fill for kind, fill in person.worn.items() if SLOTS[kind] == "body"}
    hands = hands_of(x, ground, pose)
    for side, hand in zip((-1, 1), hands):
        pen.line([(x + side * 11.5, ground + _SHOULDER_Y + 2), hand], 4.6, person.face.skin)
        pen.ellipse(*hand, 3.1, 3.1, person.face.skin)
    kind, fill = next(iter(clothes.items()), ("sweater", Fill(_UNDRESSED, _UNDRESSED, "plain", 8)))
    draw_sleeves(pen, kind, fill, x, ground, hands)
    draw_clothes(pen, kind, fill, x, ground)
    pen.box(x - 3.5, ground + HEAD_Y + 11, x + 3.5, ground + _SHOULDER_Y, shade(person.face.skin, 0.15), 1.5)


def hair_behind(pen: Pen, face: DrawnFace, x: float, ground: float) -> None:
    """What of the hair is behind the head of a figure on (x, ground)."""
    y = ground + HEAD_Y
    if face.hair_style == "long":
        pen.box(x - 16.5, y - 12, x + 16.5, y + 20, shade(face.hair, 0.12), 9)
    elif face.hair_style == "round":
        pen.ellipse(x, y - 3, 20, 19, face.hair)
    elif face.hair_style == "bun":
        pen.ellipse(x, y - 17, 6.5, 6, face.hair)


def _hair_in_front(pen: Pen, face: DrawnFace, x: float, y: float) -> None:
    if face.hair_style == "bald":
        return
    if face.hair_style == "spikes":
        for step in range(-2, 3):
            pen.polygon([(x + 5 * step - 4, y - 8), (x + 6 * step, y - 20), (x + 5 * step + 4, y - 8)], face.hair)
    brow = -5.5 if face.hair_style in ("short", "spikes") else -4.0
    crown = [
        (x + 14.5 * math.cos(angle), y + 16 * math.sin(angle))
        for angle in (math.radians(degrees) for degrees in range(196, 345, 8))
    ]
    pen.polygon([*crown, (x + 9, y + brow), (x - 2, y + brow - 2.5), (x - 9, y + brow)], face.hair)
    if face.hair_style == "long":
        for side in (-1, 1):
            inner, outer = sorted((x + side * 12, x + side * 16.5))
            pen.box(inner, y - 8, outer, y + 17, face.hair, 2)


def _mark(pen: Pen, face: DrawnFace, x: float, y: float) -> None:
    if face.mark == "cheeks":
        for side in (-1, 1):
            pen.ellipse(x + side * 8, y + 6.2, 3.3, 2.7, face.mark_colour)
    elif face.mark == "band":
        pen.box(x - 9, y + 3.4, x + 9, y + 6.6, face.mark_colour, 1)
    elif face.mark == "chin":
        pen.ellipse(x, y + 11.4, 5.5, 3, face.mark_colour)
    elif face.mark == "mask":
        pen.box(x - 11, y - 3.6, x + 11, y + 5.4, face.mark_colour, 4)


def _hat(pen: Pen, fill: Fill, x: float, y: float, turn: float) -> None:
    pen.box(x - 10, y - 23, x + 10, y - 8, fill, 3)
    pen.box(x - 19, y - 10.5, x + 19, y - 6.5, shade(fill.ground, 0.2), 2)


def _cap(pen: Pen, fill: Fill, x: float, y: float, turn: float) -> None:
    dome = [
        (x + 15 * math.cos(angle), y - 7 + 13 * math.sin(angle))
        for angle in (math.radians(degrees) for degrees in range(180, 361, 9))
    ]
    pen.polygon(dome, fill)
    # The peak points to the right but for a head turned left; half turned, it points at us.
    ahead = 1 + 2 * min(turn, 0.0)
    seen = 10 * (1 - abs(ahead))
    pen.box(x + 21 * min(ahead, 0) - seen, y - 9, x + 21 * max(ahead, 0) + seen, y - 5.5, fill.figure, 1.5)


def _glasses(pen: Pen, fill: Fill, x: float, y: float, turn: float) -> None:
    shift = 4.0 * turn
    for side in (-1, 1):
        lens_x = x + shift + side * 5.8
        pen.box(lens_x - 5.2, y - 3.4, lens_x + 5.2, y + 5.4, fill.ground, 2.5)
        pen.box(lens_x - 3.6, y - 1.8, lens_x + 3.6, y + 3.8, fill.figure, 1.8)
    pen.line([(x + shift - 2, y), (x + shift + 2, y)], 1.8, fill.ground)


def _scarf(pen: Pen, fill: Fill, x: float, y: float, turn: float) -> None:
    pen.box(x + 1, y + 15, x + 11, y + 40, fill, 2)
    pen.box(x - 14, y + 10, x + 14, y + 21, fill, 4.5)


def _tie(pen: Pen, fill: Fill, x: float, y: float, turn: float) -> None:
    pen.polygon([(x - 5.5, y + 13), (x + 5.5, y + 13), (x + 4.5, y + 19), (x - 4.5, y + 19)], shade(fill.ground, 0.3))
    pen.polygon([(x - 5, y + 19), (x + 5, y + 19), (x + 8.5, y + 37), (x, y + 43), (x - 8.5, y + 37)], fill)


_WORN = {"hat": _hat, "cap": _cap, "glasses": _glasses, "scarf": _scarf, "tie": _tie}

