"""The drawn pictures that the workflow templates load: the demo case's, and two snapshots to take pictures out of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PIL import Image, ImageOps

from .demo_case import CAST, SCRIPT, ZOOM
from .portrait import HEIGHT, WIDTH, Portrait, draw_portrait
from .world.cast import Fill
from .world.clip import STRAIGHT, Viewpoint, draw_references, view_of_person, view_of_wear
from .world.figure import DrawnPerson
from .world.geometry import WHITE
from .world.photo import grained, not_white

_PREFIX = "lumosx_demo_"
MAN, JACKET, HAT = (f"{_PREFIX}{name}.png" for name in ("man", "jacket", "hat"))
WOMAN, DRESS = (f"{_PREFIX}{name}.png" for name in ("woman", "dress"))
GUITAR, PARK = (f"{_PREFIX}{name}.png" for name in ("guitar", "park"))
PORTRAIT = f"{_PREFIX}portrait.jpg"
TWO_PEOPLE, JACKET_ON_A_CHAIR = f"{_PREFIX}two_people.jpg", f"{_PREFIX}jacket_on_a_chair.png"
WHOLE_MAN, WHOLE_WOMAN = (f"{_PREFIX}whole_{name}.png" for name in ("man", "woman"))
"""Whole figures, for PolyVivid."""
_OF_THE_CASE = (PARK, GUITAR, MAN, JACKET, HAT, WOMAN, DRESS)
"""In the order in which the case's references are drawn."""

_SHAPE = 4 / 3
_GRAIN = 7.0
_WALL, _FLOOR, _CHAIR = (186, 190, 184), (148, 128, 108), (120, 84, 58)
_LOOKS = (
    Portrait((224, 172, 140), (70, 45, 30), (80, 110, 140), (62, 112, 150)),
    Portrait((150, 98, 70), (30, 24, 24), (60, 40, 30), (206, 172, 70), long_hair=True),
)


def demo_pictures() -> Mapping[str, Callable[[], Image.Image]]:
    """File name to what draws that picture (RGB); the names are those of the constants above."""
    return {
        **{name: lambda place=place: _of_the_case(place) for place, name in enumerate(_OF_THE_CASE)},
        **{name: lambda place=place: draw_whole_person(place) for place, name in enumerate((WHOLE_MAN, WHOLE_WOMAN))},
        TWO_PEOPLE: draw_two_people,
        PORTRAIT: draw_one_person,
        JACKET_ON_A_CHAIR: draw_jacket_on_a_chair,
    }


def _of_the_case(place: int) -> Image.Image:
    """One of the case's pictures; upright ones get white sides, since Load Image grows with a picture's height."""
    return _not_upright([picture for _, picture in draw_references(None, SCRIPT, CAST, ZOOM)][place])


def _not_upright(picture: Image.Image) -> Image.Image:
    if picture.height <= picture.width:
        return picture
    return ImageOps.pad(picture, (round(picture.height * _SHAPE), picture.height), color=WHITE)


def draw_whole_person(place: int) -> Image.Image:
    """One of the case's people as a whole figure, in a sweater with the colours of their clothes."""
    person = CAST.people[place]
    fill = next(iter(person.worn.values()))
    return _not_upright(view_of_person(DrawnPerson(person.face, {"sweater": fill}), STRAIGHT, ZOOM))


def draw_two_people() -> Image.Image:
    """Two people side by side, as a snapshot; face detectors find both."""
    return _snapshot(640, _LOOKS, (64, 336))


def draw_one_person() -> Image.Image:
    """The second of them alone."""
    return _snapshot(480, _LOOKS[1:], (120,))


def draw_portraits() -> list[Image.Image]:
    """Each of the two people alone, upright: head and shoulders."""
    return [_snapshot(300, (look,), (30,)) for look in _LOOKS]


def _snapshot(width: int, looks: Sequence[Portrait], lefts: Sequence[int]) -> Image.Image:
    picture = Image.new("RGB", (width, 400), _WALL)
    # Light comes from the upper left.
    glow = Image.radial_gradient("L").resize((900, 700)).crop((200, 250, 840, 650))
    picture.paste((120, 122, 118), (0, 0), glow)
    for look, left in zip(looks, lefts):
        place = (left, picture.height - HEIGHT)
        backdrop = picture.crop((*place, left + WIDTH, picture.height))
        picture.paste(draw_portrait(look, backdrop), place)
    # Without the grain of a photograph detectors are less sure, above all of a face cut out.
    return grained(picture, _GRAIN, 1)


def draw_jacket_on_a_chair() -> Image.Image:
    """A red jacket that hangs over a chair: something to cut out."""
    picture = Image.new("RGB", (640, 480), _WALL)
    picture.paste(_FLOOR, (0, 390, 640, 480))
    for left, top, right, bottom in ((180, 150, 204, 470), (436, 150, 460, 470), (180, 150, 460, 176)):
        picture.paste(_CHAIR, (left, top, right, bottom))
    jacket = view_of_wear("jacket", Fill((196, 40, 44), (196, 40, 44), "plain", 9), Viewpoint(margin=0.0), 7)
    jacket = ImageOps.contain(jacket, (330, 300))
    picture.paste(jacket, (320 - jacket.width // 2, 130), not_white(jacket))
    return picture
