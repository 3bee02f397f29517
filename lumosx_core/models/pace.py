"""How long a forward took on this machine, kept in a small file, and what that means for the next video."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import write_aside
from ..scene.duration import Expected, Size

MOST_RUNS = 64
"""Kept at once; the oldest make room."""
FARTHEST = 4.0
"""By how much the work of a video may differ from a known run, as a factor either way, to be predicted from it."""
_LARGEST_FILE = 1 << 16
_LONGEST_NUMBER = 1e24
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Pace:
    """What one run has shown.

    Attributes:
        key: 64 hexadecimal digits of everything that a forward's speed depends on but for the video: machine, model,
            attention.
        work: of one forward, in floating point operations.
        seconds: that one forward took.
        size: of the video.
    """

    key: str
    work: float
    seconds: float
    size: Size


class PaceFile:
    """The paces of earlier runs. A file that cannot be read counts as empty, so it may be deleted or damaged.

    Args:
        path: of the file; its folder is made when it is first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def remember(self, pace: Pace) -> None:
        """Store a pace; it replaces an older one with the same key and work.

        Raises:
            OSError: the file cannot be written; what was there is still there.
        """
        others = [one for one in self._read() if (one.key, one.work) != (pace.key, pace.work)]
        runs = [asdict(one) for one in [pace, *others][:MOST_RUNS]]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(self.path, json.dumps({"runs": runs}, indent=0).encode())

    def expect(self, key: str, work: float, forwards: float) -> Expected | None:
        """How long a run will take; None where no run of this key is near enough in work.

        Args:
            key: see ``Pace``.
            work: of one forward.
            forwards: how many there will be.
        """
        work = float(work)
        known = [one for one in self._read() if one.key == key]
        nearest = min(known, key=lambda one: abs(math.log(one.work / work)), default=None)
        if nearest is None or abs(math.log(nearest.work / work)) > math.log(FARTHEST):
            return None
        seconds = forwards * nearest.seconds * work / nearest.work
        return Expected(seconds, None if nearest.work == work else nearest.size)

    def _read(self) -> list[Pace]:
        """The newest first."""
        try:
            if self.path.stat().st_size > _LARGEST_FILE:
                return []
            runs = json.loads(self.path.read_bytes())["runs"]
            return [_checked(run) for run in runs[:MOST_RUNS]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return []


def _checked(run: dict[str, Any]) -> Pace:
    """Raises ValueError, KeyError or TypeError for what this file never wrote."""
    key, work, seconds = run["key"], float(run["work"]), float(run["seconds"])
    size = Size(*(int(run["size"][name]) for name in ("width", "height", "frames")))
    if not _KEY.fullmatch(key) or not all(0 < number < _LONGEST_NUMBER for number in (work, seconds)):
        raise ValueError(key)
    return Pace(key, work, seconds, size)
