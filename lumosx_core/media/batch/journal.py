"""What a batch remembers on disk, so that it can be killed at any moment: results, prompts under way, and a lock."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath

from ...errors import LumosXError

DONE, FAILED = STATUSES = ("done", "failed")
PREFIX = "lumosx_batch"
"""The folder of all batches at the server."""
_PREFIXES = re.compile(rf"{PREFIX}(/[A-Za-z0-9_-]+)+")
_LINE_BEGINS = b'{"case": '


@dataclass(frozen=True)
class Posted:
    """One case that the server has, had, or is about to get.

    Attributes:
        case: the folder's name in ROOT.
        name: the case's name by its caption.
        prompt_id: a UUID, made before the server heard of it.
        prefix: what the names of its outputs begin with.
        workflow: SHA-256 of the workflow's file.
        seed: what the workflow's seeds are; None when they differ.
    """

    case: str
    name: str
    prompt_id: str
    prefix: str
    workflow: str
    seed: int | None

    def check(self) -> None:
        """Whether it is such as a batch writes, since a journal may have come with somebody else's folder.

        Raises:
            ValueError: a wrong type, a case that is a path, an id that is no UUID, or a prefix beside ``PREFIX``.
        """
        texts = (self.case, self.name, self.prompt_id, self.prefix, self.workflow)
        if not all(isinstance(text, str) for text in texts) or type(self.seed) not in (int, type(None)):
            raise ValueError("a wrong type")
        # On Windows this knows backslashes and drives too.
        if self.case == ".." or "\0" in self.case or PurePath(self.case).name != self.case or not self.case:
            raise ValueError(self.case)
        if str(uuid.UUID(self.prompt_id)) != self.prompt_id or not _PREFIXES.fullmatch(self.prefix):
            raise ValueError(self.prefix)


class Journal:
    """The prompts under way; every change is on disk before the call returns, except ``drop``.

    Args:
        path: a small JSON file, read when it exists.

    Raises:
        LumosXError: a file that is no journal, names anything but plain folders, or that cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = ""
        self.under_way: dict[str, Posted] = {}
        if path.exists():
            try:
                state = json.loads(path.read_text(encoding="utf-8"))
                self.server = state["server"]
                self.under_way = {entry["case"]: Posted(**entry) for entry in state["under_way"]}
                for posted in self.under_way.values():
                    posted.check()
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise LumosXError(f"results: {path} is no journal of a batch; take it away to begin anew.") from error

    def put(self, posted: Posted) -> None:
        """Remember a prompt before it is posted."""
        self.under_way[posted.case] = posted
        self.write()

    def drop(self, case: str) -> None:
        """Forget a prompt whose result is written; the file may keep it, since the result counts for more."""
        self.under_way.pop(case, None)

    def write(self) -> None:
        """Put the present state on disk."""
        state = {"server": self.server, "under_way": [asdict(posted) for posted in self.under_way.values()]}
        with replacing(self.path) as part:
            part.write_text(json.dumps(state, indent=1), encoding="utf-8")

    def remove(self) -> None:
        """Take the file away; the batch has ended."""
        self.path.unlink(missing_ok=True)


class Results:
    """One JSON line a case. A last line that a kill cut off is taken away when the file is opened.

    Args:
        path: made with the first line.

    Raises:
        LumosXError: a file that is not ours, or that cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, dict] = {}
        try:
            data = path.read_bytes() if path.exists() else b""
            whole = data[: data.rfind(b"\n") + 1]
            for number, text in enumerate(whole.splitlines(), 1):
                self._take(number, text)
            if rest := data[len(whole):]:
                if not (rest.startswith(_LINE_BEGINS) or _LINE_BEGINS.startswith(rest)):
                    self._take(len(self.lines) + 1, rest)
                os.truncate(path, len(whole))
        except OSError as error:
            raise LumosXError(f"results: {path} cannot be read ({error.strerror}).") from error

    def add(self, line: dict) -> None:
        """Append a line; it is on disk when the call returns.

        Raises:
            LumosXError: the disk is full or the file may not be written; nothing of the line stays then.
        """
        data = json.dumps(line).encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                before = file.tell()
                try:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        os.truncate(self.path, before)
                    raise
        except OSError as error:
            raise LumosXError(f"results: {self.path} cannot be written ({error.strerror}).") from error
        self.lines[line["case"]] = line

    def drop(self, cases: Iterable[str]) -> None:
        """Take the lines of some cases away, all at once."""
        for case in cases:
            del self.lines[case]
        with replacing(self.path) as part:
            part.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in self.lines.values()))

    def _take(self, number: int, text: bytes) -> None:
        try:
            line = json.loads(text)
            if line["status"] not in STATUSES or not isinstance(line["case"], str):
                raise ValueError(text)
            self.lines[line["case"]] = line
        except (ValueError, TypeError, KeyError) as error:
            raise LumosXError(
                f"results: line {number} of {self.path} is not from a batch; give another file with --results."
            ) from error


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which takes the target's place, durably, once the block ends without an error.

    Its name is always the same, so that what a kill left is written over the next time.

    Raises:
        LumosXError: it cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        # It may be a link that came with somebody else's folder.
        part.unlink(missing_ok=True)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
        _sync_folder(target.parent)
    except OSError as error:
        raise LumosXError(f"{target} cannot be written ({error.strerror}).") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where a folder can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def only_runner(results: Path) -> Iterator[None]:
    """Hold a lock that the system itself releases when this process ends, however it ends.

    Raises:
        LumosXError: another batch holds it, or the folder cannot be written.
    """
    path = results.with_name(f"{results.name}.lock")
    try:
        handle = path.open("a+b")
    except OSError as error:
        raise LumosXError(f"results: {path} cannot be written ({error.strerror}).") from error
    with handle:
        try:
            if os.name == "nt":
                import msvcrt

                handle.seek(0)
                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise LumosXError(
                f"results: another batch is writing {results}; wait for its end, or give another file with --results."
            ) from error
        except OSError as error:
            raise LumosXError(
                f"results: {path} cannot be locked ({error.strerror}); give a file on another disk with --results."
            ) from error
        yield
