"""What names of files say: which ones a model's index may give, and which say that they are parts of a model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PLAIN = re.compile("(?!\\.{1,2}$)[^/\\\\:\0-\x1f\ud800-\udfff]{1,255}")


def is_plain_name(name: object) -> bool:
    """Whether it names a file inside a folder: no path, no drive, nothing that a file system cannot hold."""
    return isinstance(name, str) and _PLAIN.fullmatch(name) is not None


MOST_PARTS = 512
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<ending>\.[A-Za-z0-9]{1,16})", re.DOTALL)


@dataclass(frozen=True)
class FilePart:
    """A file name that says it is one of several parts of a model, as huggingface_hub and llama.cpp write it.

    Attributes:
        stem: what comes before the numbers.
        number: of this part, from 1.
        count: how many parts there are.
        ending: with its dot.
    """

    stem: str
    number: int
    count: int
    ending: str

    @property
    def whole(self) -> tuple[str, int, str]:
        """What the names of all parts of one model share."""
        return self.stem, self.count, self.ending

    def names(self) -> list[str]:
        """The names of all parts."""
        return [f"{self.stem}-{number:05d}-of-{self.count:05d}{self.ending}" for number in range(1, self.count + 1)]


def part_named(name: str) -> FilePart | None:
    """The part that a file name stands for; None for any other name, and for numbers that cannot be."""
    found = _PART.fullmatch(name)
    if found is None:
        return None
    part = FilePart(found["stem"], int(found["number"]), int(found["count"]), found["ending"])
    return part if 1 <= part.number <= part.count <= MOST_PARTS else None


def part_files(path: Path) -> list[Path]:
    """The files of the model that a file belongs to, in order: all its parts, or the file alone."""
    part = part_named(path.name)
    return [path] if part is None else [path.with_name(name) for name in part.names()]


def first_parts(names: Iterable[str]) -> list[str]:
    """The same relative paths, but of each model in parts only the first that is there."""
    kept: dict[object, str] = {}
    for name in sorted(names):
        folder, separator, last = name.rpartition(os.sep)
        part = part_named(last)
        kept.setdefault(name if part is None else (folder, separator, part.whole), name)
    return list(kept.values())
