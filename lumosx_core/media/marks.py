"""Boxes and outlines with a label each, drawn so that labels are read and hide no face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .drawing import WHITE, Box, Colour, Font, pixel_box
from .fonts import Fonts

_LETTERS = 24
"""Of a picture's shorter side, one part is the height of letters: 20 pixels at 480."""
_SMALLEST = 10
_LONGEST = 0.45
"""Of a picture's width: the longest label; a longer text is cut."""
_FACE, _LABEL, _FAR, _STAYS = 4.0, 12.0, 0.06, 0.5
"""What a place costs: hiding faces and labels, as parts of the label; each further place; and what the last frame's
place is better, so that labels do not jump."""
_GRID = 24
"""Rows and columns of the places that are tried where every place at the box hides something."""


@dataclass(frozen=True, eq=False)
class Mark:
    """One thing that is marked in a picture.

    Attributes:
        key: the same in every frame of a video.
        text: of its label.
        colour: of both.
        box: around it.
        outline: [H, W] bool, what it covers; its edge is drawn in place of the box.
        face: whether labels should keep off it.
    """

    key: object
    text: str
    colour: Colour
    box: Box
    outline: np.ndarray | None = None
    face: bool = False


class MarkPainter:
    """Draws marks into the frames of one video, one after the other.

    Args:
        size: width and height of the frames, in pixels.

    Attributes:
        labels: where the labels of the last frame are, in the order of its marks.
        without_letters: texts for which no installed font has the letters; only their Latin letters are drawn.

    Raises:
        LumosXError: Pillow is older than 10.1.
    """

    def __init__(self, size: tuple[int, int]):
        self._size = size
        self._letters = max(_SMALLEST, round(min(size) / _LETTERS))
        self._line = max(2, round(self._letters / 7))
        self._fonts = Fonts(self._letters)
        self._labels: dict[str, tuple[str, Font]] = {}
        self._places: dict[object, int] = {}
        self.labels: list[Box] = []
        self.without_letters: list[str] = []

    def paint(self, pixels: np.ndarray, marks: Sequence[Mark]) -> np.ndarray:
        """A frame, RGB [H, W, 3] uint8, with its marks; the argument is not changed."""
        picture = Image.fromarray(pixels)
        draw = ImageDraw.Draw(picture)
        for mark in marks:
            if mark.outline is not None:
                _draw_edge(picture, mark.outline, mark.colour, self._line)
            else:
                box = pixel_box(mark.box, self._size)
                # A light line inside, since the colour alone is lost on dark clothes.
                draw.rectangle(_shrunk(box, self._line), outline=WHITE, width=1)
                draw.rectangle(box, outline=mark.colour, width=self._line)
        self.labels = self._placed(marks)
        for mark, place in zip(marks, self.labels):
            self._draw_label(draw, mark, place)
        return np.asarray(picture)

    def _placed(self, marks: Sequence[Mark]) -> list[Box]:
        faces = [mark.box for mark in marks if mark.face]
        taken: list[Box] = []
        for mark in marks:
            width, height = self._ground(mark.text)
            number, (x, y) = self._best(mark, width, height, faces, taken)
            self._places[mark.key] = number
            taken.append((x, y, x + width, y + height))
        return taken

    def _best(
        self, mark: Mark, width: int, height: int, faces: Sequence[Box], taken: Sequence[Box]
    ) -> tuple[int, tuple[int, int]]:
        """The number and the left upper corner of a label's place."""
        def hidden(x: int, y: int) -> float:
            place = (x, y, x + width, y + height)
            parts = _FACE * sum(_common(place, face) for face in faces)
            return (parts + _LABEL * sum(_common(place, other) for other in taken)) / (width * height)

        last, found = self._places.get(mark.key), []
        room = max(0, self._size[0] - width), max(0, self._size[1] - height)
        for number, (left, top) in enumerate(_candidates(pixel_box(mark.box, self._size), width, height, mark)):
            x, y = round(min(max(left, 0), room[0])), round(min(max(top, 0), room[1]))
            cost = hidden(x, y)
            found.append((cost + _FAR * number - _STAYS * (number == last), number, (x, y), cost))
        _, number, place, cost = min(found)
        if not cost:
            return number, place
        rows, columns = (np.linspace(0, side, _GRID).round().astype(int).tolist() for side in room[::-1])
        middle = (mark.box[0] + mark.box[2] - width) / 2, (mark.box[1] + mark.box[3] - height) / 2
        grid = ((hidden(x, y), abs(x - middle[0]) + abs(y - middle[1]), (x, y)) for y in rows for x in columns)
        least, _, elsewhere = min(grid)
        return (number, place) if cost <= least else (-1, elsewhere)

    def _ground(self, text: str) -> tuple[int, int]:
        shown, font = self._label(text)
        left, _, right, _ = font.getbbox(shown)
        return round(right - left) + 2 * self._pad, self._letters + 2 * self._pad

    @property
    def _pad(self) -> int:
        return max(2, self._letters // 5)

    def _draw_label(self, draw: ImageDraw.ImageDraw, mark: Mark, place: Box) -> None:
        left, top, right, bottom = place
        shown, font = self._label(mark.text)
        end = _nearest(place, mark.box)
        start = _nearest(mark.box, place)
        if abs(end[0] - start[0]) + abs(end[1] - start[1]) > bottom - top:
            draw.line((*start, *end), fill=mark.colour, width=self._line)
        draw.rectangle((left, top, right - 1, bottom - 1), fill=mark.colour)
        draw.text(((left + right) / 2, (top + bottom) / 2), shown, fill=WHITE, font=font, anchor="mm")

    def _label(self, text: str) -> tuple[str, Font]:
        """A text as it is drawn, and in which font."""
        if text not in self._labels:
            font = self._fonts.with_letters_of(text)
            shown = text
            if font is None:
                self.without_letters.append(text)
                shown = _latin(text)
                font = self._fonts.with_letters_of(shown)
            assert font is not None
            self._labels[text] = _cut(shown, font, _LONGEST * self._size[0]), font
        return self._labels[text]


def _latin(text: str) -> str:
    """The letters of a text that every font has; a question mark if there are none."""
    return " ".join("".join(letter for letter in text if " " < letter <= "~" or letter.isspace()).split()) or "?"


def _cut(text: str, font: Font, longest: float) -> str:
    if font.getlength(text) <= longest:
        return text
    for letters in range(len(text) - 1, 0, -1):
        shorter = text[:letters].rstrip() + "..."
        if font.getlength(shorter) <= longest:
            return shorter
    return text[:1]


def _candidates(box: tuple[int, int, int, int], width: int, height: int, mark: Mark) -> Iterator[tuple[float, float]]:
    """Left and top of the places where a label may be, the best first."""
    left, top, right, bottom = box
    middle = (left + right - width) / 2
    if not mark.face:
        # On the thing itself there is no doubt which one is meant.
        yield middle, (top + bottom - height) / 2
    above, below = top - height - 1, bottom + 2
    for x in (left, middle, right - width):
        yield x, above
    for x in (left, middle, right - width):
        yield x, below
    for y in (top, bottom - height):
        yield right + 2, y
        yield left - width - 2, y
    for step in (1, 2):
        yield middle, above - step * height
        yield middle, below + step * height


def _nearest(box: Box, other: Box) -> tuple[float, float]:
    """The point of a box that is nearest to the middle of another one."""
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return min(max(x, box[0]), box[2]), min(max(y, box[1]), box[3])


def _common(first: Box, second: Box) -> float:
    """Pixels that two boxes share."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    return max(0.0, across) * max(0.0, down)


def _shrunk(box: tuple[int, int, int, int], line: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    line = min(line, (right - left) // 2, (bottom - top) // 2)
    return left + line, top + line, right - line, bottom - line


def _draw_edge(picture: Image.Image, covered: np.ndarray, colour: Colour, line: int) -> None:
    """Draw the edge of what is covered, in place."""
    mask = Image.fromarray(covered.astype(np.uint8) * 255)
    outer = np.asarray(mask.filter(ImageFilter.MaxFilter(2 * line + 1)))
    light = np.asarray(mask.filter(ImageFilter.MinFilter(3)))
    picture.paste(WHITE, mask=Image.fromarray(np.asarray(mask) - light))
    picture.paste(colour, mask=Image.fromarray(outer - np.asarray(mask)))
