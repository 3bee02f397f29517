"""A video cut into clips of one shot each, at LumosX's rate; the first stage, whose folder is that of the video."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import LumosXError
from ..media.video import VideoFile, write_video
from ..packages import opencv
from .backends import Backends
from .settings import FPS, Settings
from .shot_finders import clip_ranges, steady
from .work import Rejected, Result, digest, result_of, stage, write_mark

CLIP = "clip.mp4"
MOST_CLIPS = 4096
"""Of one video."""


@stage("shots", "source", ("shots", "least_seconds", "most_seconds", "least_side", "longest_side"))
def shots(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Cut a video: ``NNNN/clip.mp4``, and ``NNNN/clip.json`` that says from where it is."""
    source = result_of(folder, "source")
    try:
        video = VideoFile(Path(source["video"]))
        if min(video.size) < settings.least_side:
            raise Rejected("too small", f"It has {video.size[0]}x{video.size[1]} pixels; its short side is below "
                           f"{settings.least_side}.")
        cuts, last = backends.shots.cuts(video.path)
        samples = int(last * FPS + 1e-3) + 1
    except LumosXError as error:
        raise Rejected("unreadable video", str(error)) from error
    ranges = clip_ranges(cuts, samples, settings.least_seconds, settings.most_seconds)[:MOST_CLIPS]
    if not ranges:
        raise Rejected("too short", f"It has no shot of {settings.least_seconds:g} seconds or more.")
    try:
        _cut(folder, video, ranges, settings.longest_side, source)
    except LumosXError as error:
        raise Rejected("unreadable video", str(error)) from error
    names = [f"{number:04}" for number in range(1, len(ranges) + 1)]
    clips = [{"folder": name, "start": start / FPS, "end": end / FPS} for name, (start, end) in zip(names, ranges)]
    return {
        "clips": clips,
        "files": [f"{name}/{file}" for name in names for file in (CLIP, "clip.json")],
    }


def sampled(video: VideoFile, longest_side: int | None) -> Iterator[np.ndarray]:
    """The frames that are shown at each 16th of a second, whatever the rate of the file, and if it varies.

    Args:
        longest_side: pixels to reduce larger frames to; None leaves them as they are.
    """
    taken, before, second = 0, None, 0.0
    for second, pixels in steady(video):
        while before is not None and taken / FPS < second - 1e-6:
            yield before
            taken += 1
        before = pixels if longest_side is None else _reduced(pixels, longest_side)
    if before is not None and taken / FPS <= second + 1e-6:
        yield before


def _cut(folder: Path, video: VideoFile, ranges: list[tuple[int, int]], longest_side: int, source: Result) -> None:
    frames = enumerate(sampled(video, longest_side))
    for number, (start, end) in enumerate(ranges, 1):
        clip = folder / f"{number:04}"
        clip.mkdir(exist_ok=True)
        own = (pixels for index, pixels in itertools.islice(_from(frames, start), end - start))
        write_video(own, clip / CLIP, FPS)
        result = {"video": source["video"], "start": start / FPS, "frames": end - start, "files": [CLIP]}
        write_mark(clip, "clip", {"key": digest(source, longest_side, start, end), "result": result})


def _from(frames: Iterator[tuple[int, np.ndarray]], start: int) -> Iterator[tuple[int, np.ndarray]]:
    """The frames from a number on, without taking one more than is asked for."""
    for index, pixels in frames:
        if index >= start:
            yield index, pixels


def _reduced(pixels: np.ndarray, longest_side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return pixels
    size = max(2, round(width * scale)), max(2, round(height * scale))
    return opencv().resize(pixels, size, interpolation=opencv().INTER_AREA)
