"""Clips that are no use whoever is in them: still, blank, with black borders or with words over the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..media.video import VideoFile
from ..packages import opencv
from .backends import Backends
from .settings import Settings
from .shots import CLIP
from .work import Rejected, Result, stage

_LOOKED = 16
# Of grey values, 0 to 255.
_BLANK_SPREAD, _BLACK = 4.0, 20
# Letters are bright, stay where they are, and have many edges side by side in the lower part of the picture.
_BRIGHT, _STEADY, _LOWER = 200, 12, 0.6
_LEAST_EDGES, _LEAST_LINES, _MEASURED_WIDTH = 24, 6, 640


@stage("filters", "clip", ("least_motion", "most_border", "refuse_subtitles"))
def filters(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Measure a clip, and reject it if it moves too little, is blank, has borders or subtitles."""
    grey = _grey_frames(folder / CLIP)
    spread = float(grey.std(axis=(1, 2)).mean())
    motion = float(np.abs(np.diff(grey, axis=0)).mean()) if len(grey) > 1 else 0.0
    border, edges = border_share(grey), subtitle_lines(grey)
    if spread < _BLANK_SPREAD:
        raise Rejected("blank", f"Its pictures have hardly any contrast: {spread:.1f} of 255.")
    if motion < settings.least_motion:
        raise Rejected("still", f"It changes by {motion:.2f} of 255, below {settings.least_motion:g}.")
    if border > settings.most_border:
        raise Rejected("black borders", f"Black borders take {border:.0%} of a side.")
    if settings.refuse_subtitles and edges >= _LEAST_LINES:
        raise Rejected("subtitles", "Bright letters stand still in its lower part.")
    return {"spread": spread, "motion": motion, "border": border, "subtitle_lines": edges}


def _grey_frames(clip: Path) -> np.ndarray:
    """[n, h, w] float32, 0 to 255: up to ``_LOOKED`` frames at equal distances, reduced to ``_MEASURED_WIDTH``."""
    cv2, video = opencv(), VideoFile(clip)
    step = max(1, -(-video.__length_hint__() // _LOOKED))
    found = []
    for number, pixels in enumerate(video):
        if number % step == 0:
            scale = min(1.0, _MEASURED_WIDTH / pixels.shape[1])
            size = round(pixels.shape[1] * scale), max(1, round(pixels.shape[0] * scale))
            found.append(cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA))
    return np.stack(found).astype(np.float32)


def border_share(grey: np.ndarray) -> float:
    """The largest share of a side that two opposite black borders take; 0 if only one side has one.

    Args:
        grey: frames [n, h, w], 0 to 255.
    """
    brightest = grey.max(0)
    shares = []
    for axis in (0, 1):
        lit = np.flatnonzero(brightest.max(1 - axis) > _BLACK)
        if len(lit) == 0:
            return 1.0
        first, last = int(lit[0]), brightest.shape[axis] - 1 - int(lit[-1])
        shares.append((first + last) / brightest.shape[axis] if min(first, last) > 0 else 0.0)
    return max(shares)


def subtitle_lines(grey: np.ndarray) -> int:
    """The most rows below each other that look like letters: bright, still, and with many edges.

    Args:
        grey: frames [n, h, w], 0 to 255, of which the lower part is looked at.
    """
    lower = grey[:, int(_LOWER * grey.shape[1]):]
    still = (lower.max(0) - lower.min(0) < _STEADY) & (lower.min(0) > _BRIGHT)
    edges = np.abs(np.diff(still.astype(np.int8), axis=1)).sum(1) >= _LEAST_EDGES
    longest = run = 0
    for is_text in edges:
        run = run + 1 if is_text else 0
        longest = max(longest, run)
    return longest
