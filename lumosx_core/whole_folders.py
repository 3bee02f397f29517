"""Folders of one kind that appear complete or not at all, and what a kill leaves of writing them."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import LumosXError, shown

try:
    import fcntl
except ImportError:
    fcntl = None

UNFINISHED = ".part"
"""How the name of a folder ends that is still being written, or was left by a kill."""
_REPLACED = f".replaced{UNFINISHED}"
_OURS = re.compile(rf"lumosx-[0-9a-f]{{32}}{re.escape(UNFINISHED)}")
_DAY = 24 * 3600

# What file managers leave behind.
_LITTER = (".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class FolderKind:
    """What folders of one kind hold, so that nothing else is ever replaced or removed.

    Attributes:
        noun: what messages call one, e.g. "a case".
        source: the node input that names the folder, for messages.
        mark: the file that every whole one has.
        is_file, is_folder: whether a path, relative to the folder, is part of it rather than lost with it by mistake.
    """

    noun: str
    source: str
    mark: str
    is_file: Callable[[Path], bool]
    is_folder: Callable[[Path], bool]

    def put_back_leftovers(self, folder: Path) -> None:
        """Undo what a kill left of writing into a folder: an old one goes back, half a new one goes away.

        Nothing is removed but folders named as we name them that hold nothing but parts of this kind; and none that
        another process is writing just now. What cannot be done is left for the next time.
        """
        found: list[Path] = []
        with suppress(OSError), os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if entry.name.endswith(UNFINISHED)]
        for path in found:
            with suppress(OSError):
                if _is_link(path) or not path.is_dir():
                    continue
                if path.name.endswith(_REPLACED):
                    self._put_back(path)
                elif _OURS.fullmatch(path.name) and not self._what_is_strange(path):
                    with _lock(path) as free:
                        if free:
                            shutil.rmtree(path)

    def check_replaceable(self, target: Path) -> None:
        """Raises LumosXError where anything but a whole folder of this kind, or an empty one, is at ``target``."""
        if not os.path.lexists(target):
            return
        if _is_link(target) or not target.is_dir():
            raise LumosXError(
                f"{self.source}: {target.name} exists and is a link or a file, not {self.noun}; choose another name."
            )
        strange = self._what_is_strange(target)
        if strange or (any(target.iterdir()) and not (target / self.mark).is_file()):
            what = f"holds {shown(strange)!r} too" if strange else f"has no {self.mark}"
            raise LumosXError(
                f"{self.source}: {target.name} {what}, so it is not just {self.noun} and was left unchanged; choose "
                "another name, or turn replace off."
            )

    def swap(self, part: Path, target: Path) -> Path:
        """Put a whole new folder where the old one is, which is kept beside it until the new one is there."""
        self.check_replaceable(target)
        if not target.exists():
            return part.rename(target)
        old = replaced_by(target)
        if os.path.lexists(old):
            raise LumosXError(f"{self.source}: {old.name} is in the way; check its contents and move it away.")
        target.rename(old)
        try:
            made = part.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
        return made

    def _put_back(self, old: Path) -> None:
        target = old.with_name(old.name[:-len(_REPLACED)])
        if not os.path.lexists(target):
            old.rename(target)
        elif (target / self.mark).is_file() and not self._what_is_strange(old):
            shutil.rmtree(old)

    def _what_is_strange(self, folder: Path) -> str:
        """The entries of a folder that do not belong to its kind and would be lost; empty if there are none.

        That is every link, and every file or folder that the kind does not have; a file is named before a folder.
        """
        found = ""
        for place, folders, files in os.walk(folder):
            for name in sorted((*files, *folders)):
                path = Path(place, name)
                where = path.relative_to(folder)
                known = name in _LITTER or self.is_file(where)
                if _is_link(path) or name in files and not known:
                    return where.as_posix()
                if name in folders and not self.is_folder(where):
                    found = found or where.as_posix()
        return found


@contextmanager
def unfinished_beside(target: Path) -> Iterator[Path]:
    """A folder beside the target; move it away once it is whole, else it is gone at the end."""
    # Not from the target's own name, which may be as long as names can be.
    part = target.with_name(f"lumosx-{uuid.uuid4().hex}{UNFINISHED}")
    part.mkdir()
    try:
        with _lock(part):
            yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def replaced_by(target: Path) -> Path:
    """Where the old folder is while a new one replaces it, and after a kill at that moment."""
    return target.with_name(target.name + _REPLACED)


def move_to_next_number(part: Path, target: Path) -> Path:
    """Move a folder to the target's name with the next number behind it: name_00001."""
    numbered = re.compile(re.escape(target.name) + r"_(\d+)(\D|$)", re.IGNORECASE)
    used = [int(match[1]) for path in target.parent.iterdir() if (match := numbered.match(path.name))]
    following = itertools.count(max(used, default=0) + 1)
    return _move_to_first(part, (target.with_name(f"{target.name}_{number:05}") for number in following))


def move_to_free_name(part: Path, target: Path) -> Path:
    """Move a folder to the target, or where something is there to its name with a number: name_2."""
    numbered = (target.with_name(f"{target.name}_{number}") for number in itertools.count(2))
    return _move_to_first(part, itertools.chain([target], numbered))


def _move_to_first(part: Path, names: Iterator[Path]) -> Path:
    while True:
        name = next(names)
        # Moving onto an empty folder would succeed.
        if os.path.lexists(name):
            continue
        try:
            return part.rename(name)
        except OSError:
            # Another process may have taken the name in the meantime.
            if not name.exists():
                raise


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold a folder until the block or this process ends; yields whether nobody else holds it.

    Windows cannot lock a folder; there one counts as held for a day.
    """
    if fcntl is None:
        yield time.time() - folder.stat().st_mtime > _DAY
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except OSError:
        free = False
    try:
        yield free
    finally:
        os.close(handle)


def _is_link(path: Path) -> bool:
    """Whether it is a link, or a junction of Windows."""
    place = os.path.join(os.path.realpath(path.parent), path.name)
    return os.path.normcase(os.path.realpath(path)) != os.path.normcase(place)
