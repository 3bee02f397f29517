"""A script and who plays it, drawn: the frames of a clip, and its references in other views."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from .cast import (
    LEAST_DIFFERENCE,
    DrawnFace,
    Fill,
    Split,
    Surroundings,
    colour_name,
    random_face,
    random_fill,
    random_surroundings,
    split_of,
)
from .figure import (
    HEAD_Y,
    SLOTS,
    DrawnPerson,
    Pose,
    draw_clothes,
    draw_head,
    draw_person,
    draw_sleeves,
    draw_worn,
    hair_behind,
    hands_of,
)
from .geometry import WHITE, Colour, blend
from .pen import Pen
from .photo import gradient, grained, not_white
from .scenery import HEIGHT, WIDTH, draw_place, draw_thing, evening_light
from .script import Script, Wear

GROUND = 93.0
"""Where people stand, in units from the top of the frame."""
_MIDDLE_LIGHT = (150, 142, 135)
FACE_FRAME = (-30.0, -26.0, 30.0, 22.0)
"""Left, top, right and bottom of a picture of a face, in units from the middle of the head."""
FPS = 16
"""Frames of a second, as Wan2.1's videos have them."""
_WAVE, _STEP, _TURN, _JUMP = 12, 16, 32, 16
"""Frames after which somebody who waves, walks, turns or jumps is back in the same pose."""


@dataclass(frozen=True)
class Cast:
    """What a clip looks like.

    Attributes:
        people: one for each role.
        thing: the object's fill, if the script has one.
        surroundings: the place's colours.
    """

    people: tuple[DrawnPerson, ...]
    thing: Fill | None
    surroundings: Surroundings


@dataclass(frozen=True)
class Viewpoint:
    """From where a reference was taken.

    Attributes:
        turn: of a face, -1 to 1.
        degrees: rotation.
        mirrored: left and right exchanged.
        margin: room around the picture, as a part of its longer side.
        zoom: of a background, 1 or more.
        offset: of a background, 0 to 1 along the room that the zoom leaves.
        frame: what a picture of a face shows, as ``FACE_FRAME``.
        backdrop: the colours on the left and on the right of what is behind a face or a thing; None is the light for a
            face, and white for a thing.
        blur, grain: of a photograph; the radius, and the standard deviation of the brightness (of 255), in pixels.
    """

    turn: float = 0.0
    degrees: float = 0.0
    mirrored: bool = False
    margin: float = 0.05
    zoom: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    frame: tuple[float, float, float, float] = FACE_FRAME
    backdrop: tuple[Colour, Colour] | None = None
    blur: float = 0.0
    grain: float = 0.0


STRAIGHT = Viewpoint(margin=0.03)
"""The view of every reference that is drawn without chance."""


def draw_cast(random: np.random.Generator, script: Script, split: Split, alike: bool = False) -> Cast:
    """Who plays a script: people whose faces, under a hat too, and things in one place can be told apart from afar.

    Args:
        random: chance.
        script: what is played.
        split: whose faces and fills may come.
        alike: give all the same hair, so that only skin and paint tell their faces apart.
    """
    people: list[DrawnPerson] = []

    def draw_next() -> DrawnFace:
        face = random_face(random, split)
        if not alike or not people:
            return face
        first = people[0].face
        return replace(face, hair=first.hair, hair_style=first.hair_style)

    def fits(face: DrawnFace) -> bool:
        different = all((_differ_below_hair if alike else _differ)(face, one.face) for one in people)
        return different and split_of(face) is split

    for role in script.roles:
        face = _draw_until(draw_next, fits)
        worn: dict[str, Fill] = {}
        for wear in role.wears:
            others = [p.worn[kind] for p in people for kind in p.worn if SLOTS[kind] == SLOTS[wear.kind]]
            others = [] if wear.colour else others
            worn[wear.kind] = _draw_until(
                lambda wear=wear: _draw_coloured(random, split, wear.colour),
                lambda fill, others=others: all(_distinct(fill, other) for other in others),
            )
        people.append(DrawnPerson(face, worn))
    thing = _draw_coloured(random, split, script.thing_colour) if script.thing else None
    return Cast(tuple(people), thing, random_surroundings(random))


def draw_strangers(random: np.random.Generator, face: DrawnFace, count: int, split: Split) -> tuple[DrawnFace, ...]:
    """Faces that can be told from a face, as people of one clip can be told from each other."""
    return tuple(
        _draw_until(lambda: random_face(random, split), lambda other: _differ(face, other)) for _ in range(count)
    )


def draw_view(random: np.random.Generator) -> Viewpoint:
    """A view by chance."""
    return Viewpoint(
        turn=float(random.choice([-1.0, -0.5, 0.5, 1.0])), degrees=float(random.uniform(-15, 15)),
        mirrored=bool(random.integers(2)), margin=float(random.uniform(0.02, 0.25)),
        zoom=float(random.uniform(1.0, 1.12)), offset=(float(random.random()), float(random.random())),
    )


def draw_photographed_view(random: np.random.Generator) -> Viewpoint:
    """A view by chance; every other one varies as photographs do, in its frame, what is behind, and how sharp it is.

    A model that has seen only the others fails on a face that is cut out more tightly, or before a wall.
    """
    view = draw_view(random)
    if random.random() < 0.5:
        return view
    left, top, right, bottom = FACE_FRAME
    scale, width = random.uniform(0.6, 1.2), random.uniform(0.7, 1.1)
    x, y = random.uniform(-4, 4, 2)
    one, other = _colour(random), _colour(random)
    backdrop = (None, (one, one), (one, other))[int(random.integers(3))]
    return replace(
        view, turn=view.turn * random.random(), degrees=view.degrees * random.random(),
        frame=(scale * width * left + x, scale * top + y, scale * width * right + x, scale * bottom + y),
        backdrop=backdrop, blur=max(0.0, random.uniform(-0.8, 0.8)), grain=max(0.0, random.uniform(-8, 8)),
    )


def draw_frame(
    script: Script, cast: Cast, backdrop: Image.Image, frame: int, frames: int, zoom: float = 1
) -> Image.Image:
    """Frame ``frame`` of ``frames``, over its place without people."""
    pen = Pen(backdrop.size, zoom, background=backdrop)
    if cast.thing is not None:
        draw_thing(pen, script.thing, cast.thing, script.thing_x, GROUND)
    placed = zip(cast.people, positions(script, frame, frames))
    # Whoever is in front when two pass each other is drawn last.
    for person, (x, pose) in reversed(list(placed)):
        draw_person(pen, person, x, GROUND, pose)
    return pen.finish()


def draw_frames(
    script: Script, cast: Cast, frames: int, zoom: float = 1, chosen: Iterable[int] | None = None
) -> list[Image.Image]:
    """A clip of ``frames`` frames at ``FPS``, or the ``chosen`` ones of it."""
    backdrop = draw_place(script.place, cast.surroundings, zoom)
    return [
        draw_frame(script, cast, backdrop, frame, frames, zoom)
        for frame in (range(frames) if chosen is None else chosen)
    ]


def positions(script: Script, frame: int, frames: int) -> list[tuple[float, Pose]]:
    """Where each person is, and in which pose."""
    if not script.exchange:
        return [(role.x, pose_of(role.verb, frame)) for role in script.roles]
    left, right = script.roles[0].x, script.roles[1].x
    part = frame / max(1, frames - 1)
    pose = pose_of("walks", frame)
    return [(left + part * (right - left), pose), (right + part * (left - right), pose)]


def pose_of(verb: str, frame: int) -> Pose:
    """The pose of somebody who does something; it changes little from one frame to the next."""

    def swing(period: int) -> float:
        return math.sin(2 * math.pi * frame / period)

    if verb == "waves":
        return Pose(right_hand=0.82 + 0.2 * swing(_WAVE))
    if verb == "walks":
        stride = math.cos(2 * math.pi * frame / _STEP)
        return Pose(stride=stride, left_hand=0.09 * (1 - stride), right_hand=0.09 * (1 + stride))
    if verb == "turns":
        return Pose(turn=swing(_TURN))
    if verb == "jumps":
        height = (1 - math.cos(2 * math.pi * frame / _JUMP)) / 2
        return Pose(lift=8 * height, left_hand=0.3 * height, right_hand=0.3 * height)
    return Pose()


def draw_references(
    random: np.random.Generator | None, script: Script, cast: Cast, zoom: float = 2,
    views: Callable[[np.random.Generator], Viewpoint] = draw_view,
) -> Iterator[tuple[str, Image.Image]]:
    """Kind and picture of every reference in token order, each in a view of its own.

    Args:
        random: chance; None gives straight views.
        script, cast: of the clip.
        zoom: pixels of a unit.
        views: draws a view by chance.
    """

    def view() -> Viewpoint:
        return STRAIGHT if random is None else views(random)

    if script.place_shown:
        yield "background", view_of_place(script.place, cast.surroundings, view(), zoom)
    if script.thing and cast.thing and script.thing_shown:
        yield "object", view_of_thing(script.thing, cast.thing, view(), zoom)
    for number in script.subjects:
        role, person = script.roles[number], cast.people[number]
        yield "face", view_of_face(person.face, view(), zoom)
        for wear in visible_wear(role.wears):
            yield "attribute", view_of_wear(wear.kind, person.worn[wear.kind], view(), zoom)


def visible_wear(wears: tuple[Wear, ...]) -> tuple[Wear, ...]:
    """Those that a reference shows."""
    return tuple(wear for wear in wears if wear.shown)


def view_of_place(kind: str, surroundings: Surroundings, view: Viewpoint, zoom: float) -> Image.Image:
    """A place without people, a little nearer."""
    room = 1 - 1 / view.zoom
    origin = WIDTH * room * view.offset[0], HEIGHT * room * view.offset[1]
    picture = draw_place(kind, surroundings, zoom * view.zoom, origin)
    return picture.crop((0, 0, round(WIDTH * zoom), round(HEIGHT * zoom)))


def view_of_face(face: DrawnFace, view: Viewpoint, zoom: float) -> Image.Image:
    """Head and shoulders before the light; a mirrored one looks to the other side, and is lit from the same."""
    left, top, right, bottom = view.frame
    size = round((right - left) * zoom), round((bottom - top) * zoom)
    light = evening_light(size) if view.backdrop is None else gradient(size, *view.backdrop)
    pen = Pen(size, zoom, (left, HEAD_Y + top), light)
    hair_behind(pen, face, 0, 0)
    pen.box(-15, HEAD_Y + 15, 15, HEAD_Y + 40, (222, 220, 214), 5)
    pen.box(-3.5, HEAD_Y + 11, 3.5, HEAD_Y + 18, face.skin, 1.5)
    draw_head(pen, face, 0, HEAD_Y, -view.turn if view.mirrored else view.turn)
    behind = _MIDDLE_LIGHT if view.backdrop is None else blend(*view.backdrop, 0.5)
    return _photographed(_seen(pen.finish(), replace(view, mirrored=False), behind), view)


def view_of_wear(kind: str, fill: Fill, view: Viewpoint, zoom: float) -> Image.Image:
    """Something to wear, cut out on white."""
    pen = Pen((round(64 * zoom), round(76 * zoom)), zoom, (-32, -86))
    if SLOTS[kind] == "body":
        draw_sleeves(pen, kind, fill, 0, 0, hands_of(0, 0, Pose()))
        draw_clothes(pen, kind, fill, 0, 0)
    else:
        draw_worn(pen, kind, fill, 0, 0)
    return _cut_out(_seen(pen.finish(), view, WHITE), view)


def view_of_person(person: DrawnPerson, view: Viewpoint, zoom: float) -> Image.Image:
    """A whole figure with everything it wears, cut out on white."""
    pen = Pen((round(72 * zoom), round(102 * zoom)), zoom, (-36, -92))
    draw_person(pen, person, 0, 0, Pose(turn=view.turn))
    return _cut_out(_seen(pen.finish(), view, WHITE), view)


def view_of_thing(kind: str, fill: Fill, view: Viewpoint, zoom: float) -> Image.Image:
    """A thing, cut out on white."""
    pen = Pen((round(50 * zoom), round(60 * zoom)), zoom, (-25, -52))
    draw_thing(pen, kind, fill, 0, 0)
    return _cut_out(_seen(pen.finish(), view, WHITE), view)


def _seen(picture: Image.Image, view: Viewpoint, backdrop: tuple[int, int, int]) -> Image.Image:
    if view.mirrored:
        picture = ImageOps.mirror(picture)
    if view.degrees:
        picture = picture.rotate(view.degrees, Image.Resampling.BILINEAR, fillcolor=backdrop)
    return picture


def _cut_out(picture: Image.Image, view: Viewpoint) -> Image.Image:
    picture = picture.crop(ImageChops.invert(picture).getbbox())
    border = round(view.margin * max(picture.size))
    picture = ImageOps.expand(picture, max(border, 2), WHITE)
    if view.backdrop is not None:
        picture = Image.composite(picture, gradient(picture.size, *view.backdrop), not_white(picture))
    return _photographed(picture, view)


def _photographed(picture: Image.Image, view: Viewpoint) -> Image.Image:
    if view.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(view.blur))
    if view.grain:
        # The same picture has the same grain.
        picture = grained(picture, view.grain, picture.size)
    return picture


def _colour(random: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in random.integers(0, 256, 3))
    return red, green, blue


def _draw_coloured(random: np.random.Generator, split: Split, word: str) -> Fill:
    return random_fill(random, split, None if not word else lambda colour: colour_name(colour) == word)


def _draw_until(draw, accept):
    while True:
        drawn = draw()
        if accept(drawn):
            return drawn


def _differ(first: DrawnFace, second: DrawnFace) -> bool:
    hair = _far(first.hair, second.hair) and not first.hair_style == second.hair_style == "bald"
    return hair and _differ_below_hair(first, second)


def _differ_below_hair(first: DrawnFace, second: DrawnFace) -> bool:
    marked_alike = first.mark == second.mark and (
        first.mark == "none" or not _far(first.mark_colour, second.mark_colour)
    )
    return _far(first.skin, second.skin) or not marked_alike


def _distinct(first: Fill, second: Fill) -> bool:
    return _far(first.ground, second.ground) and _far(first.mean, second.mean)


def _far(first, second) -> bool:
    return max(abs(a - b) for a, b in zip(first, second)) >= LEAST_DIFFERENCE
