"""Dynamic degree: how much of a video moves.

The frames and thresholds are those of the release's benchmark, which took them from VBench. Without the first 5 frames,
every round(fps / 8)-th is looked at; m_k is the mean of the largest 5 % of the flow's lengths between two neighbours.
With n frames looked at the video is dynamic if at least round(n / 4) of the m_k exceed 6 min(H, W) / 256 pixels;
``round`` is Python's, to the even number. The flow itself is OpenCV DIS instead of RAFT.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import length_hint

import numpy as np

from ..errors import LumosXError
from ..packages import opencv
from .table import markdown_table
from .watching import Tick

STAND_IN = "flow by OpenCV DIS, a stand-in for RAFT: not comparable with published numbers"
VERSION = 1
"""Of the JSON's form."""

_SKIPPED = 5
_RATE = 8
_LARGEST = 0.05
# Of a picture whose short side is 256 pixels.
_THRESHOLD, _SHORT_SIDE = 6, 256
_LEAST_SIDE = 16
# round(n / 4) is 0 for fewer, and then a still picture would count as dynamic.
_LEAST_LOOKED = 3


@dataclass(frozen=True)
class MotionScore:
    """How much a video moves.

    Attributes:
        fps: frames in a second.
        step: every how many frames one was looked at.
        size: height and width in pixels.
        strengths: m_k of every pair of neighbours that were looked at, in pixels.
    """

    fps: float
    step: int
    size: tuple[int, int]
    strengths: tuple[float, ...]

    @property
    def looked(self) -> int:
        """How many frames were looked at."""
        return len(self.strengths) + 1

    @property
    def frames(self) -> tuple[int, ...]:
        """The number of each pair's later frame, from 0."""
        return tuple(_SKIPPED + self.step * number for number in range(1, self.looked))

    @property
    def threshold(self) -> float:
        """Pixels that a moving pair exceeds."""
        return _THRESHOLD * min(self.size) / _SHORT_SIDE

    @property
    def moving(self) -> int:
        """Pairs beyond the threshold."""
        return sum(strength > self.threshold for strength in self.strengths)

    @property
    def needed(self) -> int:
        """Moving pairs that make a video dynamic."""
        return round(self.looked / 4)

    @property
    def dynamic(self) -> bool:
        """Whether enough of it moves."""
        return self.moving >= self.needed

    def as_json(self) -> dict:
        """Strict JSON."""
        return {
            "version": VERSION, "dynamic": self.dynamic, "method": STAND_IN, "fps": self.fps,
            "first_frame": _SKIPPED, "every_nth_frame": self.step, "frames_watched": self.looked,
            "threshold": self.threshold, "moving_pairs": self.moving, "needed_pairs": self.needed,
            "median": float(np.median(self.strengths)), "strengths": list(self.strengths),
        }

    def report(self) -> str:
        """Markdown."""
        header = ("dynamic", "moving pairs", "needed", "of", "threshold, px", "median, px", "largest, px")
        table = markdown_table(header, [(
            "yes" if self.dynamic else "no", self.moving, self.needed, len(self.strengths), self.threshold,
            float(np.median(self.strengths)), max(self.strengths),
        )])
        return "\n\n".join([
            "## Dynamic degree", table,
            f"- {STAND_IN[0].upper()}{STAND_IN[1:]}.\n- {self.looked} frames were used: one of {self.step} at "
            f"{self.fps:g} frames per second, without the first {_SKIPPED}. A pair of neighbours moves if the largest "
            "5 % of its flow exceed the threshold on average.",
        ])


def motion_score(frames: Iterable[np.ndarray], fps: float, tick: Tick = lambda done, total: None) -> MotionScore:
    """Watch a video and tell whether it moves.

    Args:
        frames: RGB [H, W, 3] uint8, one after the other, all of one size.
        fps: frames in a second.
        tick: see ``watching.watch``.

    Raises:
        LumosXError: a rate that is none, frames below 16 pixels or of different sizes, or too few frames.
    """
    if not 0 < fps < float("inf"):
        raise LumosXError(f"fps: {fps} must be a number above 0; type the frames per second of the video, 16 for "
            "LumosX.")
    step = max(1, round(fps / _RATE))
    total = max(0, -(-(length_hint(frames) - _SKIPPED) // step))
    strengths, size, before, count = [], (0, 0), None, 0
    for count, pixels in enumerate(frames, 1):
        if count <= _SKIPPED or (count - 1 - _SKIPPED) % step:
            continue
        tick(len(strengths), total)
        grey, size = _grey(pixels), pixels.shape[:2]
        if min(size) < _LEAST_SIDE:
            raise LumosXError(
                f"images: {size[1]} x {size[0]} pixels are too small for optical flow; use {_LEAST_SIDE} or more per "
                "side."
            )
        if before is not None and before.shape != grey.shape:
            raise LumosXError(
                f"images: frame {count} has {size[1]} x {size[0]} pixels and an earlier one {before.shape[1]} x "
                f"{before.shape[0]}; use frames of one size."
            )
        if before is not None:
            strengths.append(pair_strength(flow_between(before, grey)))
        before = grey
    least = _SKIPPED + (_LEAST_LOOKED - 1) * step + 1
    if count < least:
        raise LumosXError(
            f"images: {count} frames are too few to measure motion; at {fps:g} frames per second use {least} or more."
        )
    tick(len(strengths) + 1, len(strengths) + 1)
    return MotionScore(fps, step, size, tuple(strengths))


def flow_between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """[H, W, 2] float32: by how many pixels x and y each point moves between two grey pictures [H, W] uint8."""
    cv2 = opencv()
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, None)


def pair_strength(flow: np.ndarray) -> float:
    """The mean of the largest 5 % of the lengths of a flow [H, W, 2], in pixels."""
    lengths = np.sort(np.linalg.norm(flow.astype(np.float64), axis=2), axis=None)
    return float(lengths[-max(1, int(_LARGEST * lengths.size)):].mean())


def _grey(pixels: np.ndarray) -> np.ndarray:
    cv2 = opencv()
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
