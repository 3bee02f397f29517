"""Which video shows which case, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import LumosXError

VIDEO_ENDINGS = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif")
# What the release puts after a sample's name (strength, height, width), and what ComfyUI does (a running number).
_KNOWN_SUFFIX = re.compile(r"(_sp[^_]*_\d+x\d+|_\d{5}_?)+\Z")
# Any other addition; one that begins with a digit may be another case's name, as 002_1 is besides 002.
_OTHER_SUFFIX = re.compile(r"[\W_]+[^\W\d_].*", re.DOTALL)
# The release cuts a sample's name when it makes it a file name.
_LONGEST_NAME = 150


def pair_videos(cases: Mapping[str, str], videos: Sequence[Path]) -> dict[str, Path | LumosXError]:
    """For each case its video, or why it has none.

    A video is a case's if its name without the ending is the case's folder or sample name, perhaps with a suffix such
    as "_sp1_480x832", "_00001_" or "-final". The first characters alone do not count: "10_a" is not a video of case 1.

    Args:
        cases: sample name by folder name.
        videos: files.
    """
    names = {folder: {folder, sample[:_LONGEST_NAME]} for folder, sample in cases.items()}
    surely = {video: [case for case in cases if _named(video.stem, names[case])] for video in videos}
    loosely = {
        video: [] if surely[video] or _KNOWN_SUFFIX.search(video.stem)
        else [case for case in cases if _extended(video.stem, names[case])]
        for video in videos
    }
    return {case: _video_of(case, surely, loosely) for case in cases}


def _video_of(
    case: str, surely: Mapping[Path, Sequence[str]], loosely: Mapping[Path, Sequence[str]]
) -> Path | LumosXError:
    found = [video for video, cases in surely.items() if case in cases]
    table = surely if found else loosely
    found = found or [video for video, cases in loosely.items() if case in cases]
    if not found:
        return LumosXError(f"video: no file is named after case {case}; name it {case}.mp4, or by its sample name.")
    if len(found) > 1:
        return LumosXError(
            f"video: {found[0].name} and {found[1].name} are both named after case {case}; leave one of them there."
        )
    others = [other for other in table[found[0]] if other != case]
    if others:
        return LumosXError(
            f"video: {found[0].name} is named after case {case} as well as case {others[0]}; name it after one of them."
        )
    return found[0]


def _named(stem: str, names: set[str]) -> bool:
    return any(stem == name or (stem.startswith(name) and _KNOWN_SUFFIX.fullmatch(stem[len(name):])) for name in names)


def _extended(stem: str, names: set[str]) -> bool:
    return any(stem.startswith(name) and _OTHER_SUFFIX.fullmatch(stem[len(name):]) for name in names)
