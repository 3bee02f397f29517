"""What finds the cuts of a video: an own measure of change, or PySceneDetect where it is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import LumosXError
from ..install_line import pip_command
from ..media.video import VideoFile
from ..packages import opencv
from .settings import FPS

CHANGE, SCENEDETECT = "change", "PySceneDetect"
FINDERS = (CHANGE, SCENEDETECT)

LONGEST_GAP = 5.0
"""Seconds; a file whose times jump further, or back, is read as if the next frame followed at once."""
_SMALL = (64, 36)
# Mean change of a channel, 0 to 255: how much a cut must change at least, and how many times as much as its neighbours.
_LEAST_CHANGE, _TIMES, _AROUND = 14.0, 3.0, 4


def steady(video: VideoFile) -> Iterator[tuple[float, np.ndarray]]:
    """Each frame after its second, from 0 on, always later than the one before."""
    before, now = None, 0.0
    for second, pixels in video.timed():
        if before is not None:
            passed = second - before
            now += passed if 0 < passed <= LONGEST_GAP else 1 / max(video.fps, 1.0)
        before = second
        yield now, pixels


class ChangeShots:
    """Cuts where a frame differs from the one before much more than its neighbours do; fades are not seen."""

    name = CHANGE

    def cuts(self, video: Path) -> tuple[list[float], float]:
        """As ``ShotFinder`` says."""
        seconds, changes, before = [], [], None
        for second, pixels in steady(VideoFile(video)):
            small = np.asarray(Image.fromarray(pixels).resize(_SMALL, Image.Resampling.BOX), np.float32)
            changes.append(0.0 if before is None else float(np.abs(small - before).mean()))
            seconds.append(second)
            before = small
        return [seconds[index] for index in peaks(changes)], seconds[-1]


def peaks(changes: Iterable[float]) -> list[int]:
    """The indices of values that are large, and far larger than the others around them."""
    values = np.asarray(list(changes), np.float64)
    found = []
    for index in np.flatnonzero(values >= _LEAST_CHANGE):
        around = values[max(0, index - _AROUND):index + _AROUND + 1]
        others = (around.sum() - values[index]) / max(len(around) - 1, 1)
        if values[index] >= _TIMES * others:
            found.append(int(index))
    return found


class SceneDetectShots:
    """PySceneDetect's AdaptiveDetector with its own settings.

    Raises:
        LumosXError: it is not installed, or cannot be imported.
    """

    def __init__(self) -> None:
        opencv("--shots: ")
        try:
            import scenedetect
        except ImportError as error:
            # Its dependencies would put a second OpenCV over the one that is there.
            line = f"{pip_command()} --no-deps scenedetect"
            raise LumosXError(
                f"--shots: PySceneDetect cannot be imported ({error}); run {line}, or choose --shots {CHANGE}."
            ) from error
        self._library = scenedetect
        self.name = f"{SCENEDETECT} {scenedetect.__version__}"

    def cuts(self, video: Path) -> tuple[list[float], float]:
        """As ``ShotFinder`` says."""
        # Its sentences about a broken file are its own.
        fps = VideoFile(video).fps
        try:
            scenes = self._library.detect(str(video.resolve()), self._library.AdaptiveDetector(), start_in_scene=True)
        except Exception as error:
            raise LumosXError(
                f"video: {video.name} is not read by PySceneDetect ({error}); convert it, or choose --shots {CHANGE}."
            ) from error
        if not scenes:
            raise LumosXError(f"video: {video.name} has no frame that PySceneDetect reads; convert it.")
        return [_seconds(start) for start, _ in scenes[1:]], _seconds(scenes[-1][1]) - 1 / fps


def _seconds(time: Any) -> float:
    # Before 0.7 there is only the method, which 0.7 warns of.
    return float(time.seconds if hasattr(time, "seconds") else time.get_seconds())


def open_shot_finder(name: str) -> ChangeShots | SceneDetectShots:
    """The finder of a name in ``FINDERS``."""
    return SceneDetectShots() if name == SCENEDETECT else ChangeShots()


def clip_ranges(cuts: Iterable[float], samples: int, least: float, most: float) -> list[tuple[int, int]]:
    """The clips between cuts, as ranges of samples at ``FPS``; longer ones in equal parts, shorter ones left out.

    A sample beside a cut is left out, since compression mixes both shots there.

    Args:
        cuts: in seconds.
        samples: of the whole video.
        least, most: seconds of a clip.
    """
    edges = [0, *(round(cut * FPS) for cut in cuts if 0 < round(cut * FPS) < samples), samples]
    found = []
    for start, end in zip(edges, edges[1:]):
        start, end = start + (start > 0), end - (end < samples)
        parts = max(1, -(-(end - start) // max(1, round(most * FPS))))
        bounds = [start + (end - start) * part // parts for part in range(parts + 1)]
        found += [(one, other) for one, other in zip(bounds, bounds[1:]) if other - one >= max(2, least * FPS)]
    return found
