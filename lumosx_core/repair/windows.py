"""Windows to cut out of a video: one of a steady size around a face, in each stretch of frames that shows it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..models.latents import LatentSpec
from .tracks import LONGEST_GAP, Box

_STILL = 1.5
"""A window may be this much larger if it then need not move."""
_SMOOTHING = 4.0
"""Standard deviation in frames of the path of a window that moves."""
OVERLAP = 8
"""Frames that two neighbouring parts of a long stretch share; they fade into each other."""


@dataclass(frozen=True)
class Stretch:
    """Frames that show a face without a gap.

    Attributes:
        start: the first one.
        boxes: of the face in each of them.
    """

    start: int
    boxes: tuple[Box, ...]

    @property
    def frames(self) -> range:
        """Their numbers."""
        return range(self.start, self.start + len(self.boxes))


@dataclass(frozen=True)
class Window:
    """What is cut out: a rectangle of one size, wherever it is.

    Attributes:
        width, height: in pixels of the video.
        corners: left and top in each frame, whole pixels inside the video.
    """

    width: int
    height: int
    corners: tuple[tuple[int, int], ...]

    def sampled_size(self, longer: int, spec: LatentSpec) -> tuple[int, int]:
        """Width and height to sample it in: the longer side about ``longer``, both whole numbers of tokens."""
        scale = longer / max(self.width, self.height)
        return spec.nearest_token_side(self.width * scale), spec.nearest_token_side(self.height * scale)


def stretches(boxes: Mapping[int, Box]) -> list[Stretch]:
    """The stretches in which a face is seen. Short gaps are filled with boxes in between.

    Args:
        boxes: by the number of the frame.
    """
    found: list[Stretch] = []
    numbers = sorted(boxes)
    for number in numbers:
        last = found[-1].frames[-1] if found else None
        if last is None or number - last > LONGEST_GAP + 1:
            found.append(Stretch(number, (boxes[number],)))
            continue
        parts = [(step - last) / (number - last) for step in range(last + 1, number + 1)]
        between = tuple(_between(boxes[last], boxes[number], part) for part in parts)
        found[-1] = Stretch(found[-1].start, (*found[-1].boxes, *between))
    return found


def parts_of(count: int, most: int) -> list[range]:
    """Cut ``count`` frames into parts of at most ``most`` that overlap.

    Args:
        most: above twice ``OVERLAP``.
    """
    if count <= most:
        return [range(count)]
    number = math.ceil((count - OVERLAP) / (most - OVERLAP))
    starts = [round(index * (count - most) / (number - 1)) for index in range(number)]
    return [range(start, start + most) for start in starts]


def window_around(boxes: Sequence[Box], width: int, height: int, padding: float) -> Window:
    """The window of a stretch: still where that costs little, else along a smooth path.

    Args:
        boxes: of the face.
        width, height: of the video.
        padding: around the largest box on each side, as a share of its longer side.
    """
    sides = np.array([[right - left, bottom - top] for left, top, right, bottom in boxes])
    middles = np.array([[(left + right) / 2, (top + bottom) / 2] for left, top, right, bottom in boxes])
    around = 2 * padding * float(sides.max())
    side = max(1, math.ceil(float(sides.max()) + around))
    low, high = (middles - sides / 2).min(0), (middles + sides / 2).max(0)
    still = math.ceil(float((high - low).max()) + around)
    if still <= _STILL * side:
        side, path = max(side, still), np.broadcast_to((low + high) / 2, middles.shape)
    else:
        path = _smoothed(middles)
    size = np.array([min(side, width), min(side, height)])
    # The face stays inside even where the smooth path would leave it behind.
    path = path.clip(middles + sides / 2 - size / 2, middles - sides / 2 + size / 2)
    corners = np.rint(path - size / 2).astype(int).clip(0, np.array([width, height]) - size)
    return Window(int(size[0]), int(size[1]), tuple((int(left), int(top)) for left, top in corners))


def gaps_of(found: Sequence[Stretch], count: int) -> Iterator[range]:
    """The frames of a video of ``count`` frames that no stretch has."""
    start = 0
    for stretch in found:
        if stretch.start > start:
            yield range(start, stretch.start)
        start = stretch.frames.stop
    if start < count:
        yield range(start, count)


def _between(first: Box, second: Box, part: float) -> Box:
    left, top, right, bottom = (a + (b - a) * part for a, b in zip(first, second))
    return left, top, right, bottom


def _smoothed(path: np.ndarray) -> np.ndarray:
    """[n, 2] along a Gaussian; the ends are repeated."""
    reach = math.ceil(3 * _SMOOTHING)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SMOOTHING) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(one, weights / weights.sum(), mode="valid") for one in padded.T], axis=1)
