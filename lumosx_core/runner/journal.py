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

from ..errors import LumosXError
from ..files import append_line
from ..untrusted import read_inside

DONE, FAILED = STATUSES = ("done", "failed")
PREFIX = "lumosx_batch"
"""The folder of all batches at the server."""
_PREFIXES = re.compile(rf"{PREFIX}(/[A-Za-z0-9_-]+)+")
_LINE_BEGINS = b'{"case": '
_MOST_JOURNAL, _MOST_RESULTS = 1_000_000, 256_000_000
"""Bytes; a line takes about a thousand."""


_DAMAGE = (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What a journal that somebody wrote by hand can raise."""


class Stop(LumosXError):
    """What ends a whole batch, not a case: it goes on there once that is mended."""


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

    Attributes:
        under_way: by the folder of the case.
        posts: how often the server got each of them.

    Raises:
        LumosXError: a file that is no journal, names anything but plain folders, or that cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = ""
        self.under_way: dict[str, Posted] = {}
        self.posts: dict[str, int] = {}
        if os.path.lexists(path):
            try:
                state = json.loads(read_inside(path.parent, path, _MOST_JOURNAL))
                self.server = state["server"]
                self.under_way = {entry["case"]: Posted(**entry) for entry in state["under_way"]}
                for posted in self.under_way.values():
                    posted.check()
                # Journals of version 0.1 do not count.
                posts = state.get("posts", {})
                self.posts = {case: int(posts.get(case, 0)) for case in self.under_way}
                if not isinstance(self.server, str):
                    raise TypeError(self.server)
            except _DAMAGE as error:
                raise LumosXError(
                    f"results: {path} is no journal of a batch; take it away to begin anew."
                ) from error

    def put(self, posted: Posted) -> None:
        """Remember a prompt before it is posted."""
        self.under_way[posted.case] = posted
        self.write()

    def count(self, case: str) -> None:
        """Remember that the server got a prompt, or went away on getting it."""
        self.posts[case] = self.posts.get(case, 0) + 1
        self.write()

    def drop(self, case: str) -> None:
        """Forget a prompt whose result is written; the file may keep it, since the result counts for more."""
        self.under_way.pop(case, None)
        self.posts.pop(case, None)

    def write(self) -> None:
        """Put the present state on disk."""
        under_way = [asdict(posted) for posted in self.under_way.values()]
        state = {"server": self.server, "under_way": under_way, "posts": self.posts}
        with replacing(self.path) as part:
            part.write_text(json.dumps(state, indent=1), encoding="utf-8")

    def remove(self) -> None:
        """Take the file away; the batch has ended."""
        self.path.unlink(missing_ok=True)


class Results:
    """One JSON line a case. A last line that a kill or a full disk cut off is taken away when the file is opened.

    Other lines that cannot be read, such as a full disk left in the middle of files of version 0.1, are passed over and
    stay where they are; what of them is a whole line of a case counts.

    Args:
        path: made with the first line.

    Attributes:
        lines: by the folder of the case.
        passed_over: the numbers of lines that cannot be read.

    Raises:
        LumosXError: a file of which no line is ours, or that cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[str, dict] = {}
        self.passed_over: list[int] = []
        self._strange: list[bytes] = []
        try:
            data = read_inside(path.parent, path, _MOST_RESULTS) if os.path.lexists(path) else b""
            whole = data[: data.rfind(b"\n") + 1]
            for number, text in enumerate(whole.split(b"\n")[:-1], 1):
                self._take(number, text)
            rest = data[len(whole):]
            torn = _may_be_torn(rest.strip(_NOTHING))
            if not (self.lines or torn and all(map(_may_be_torn, self._strange))):
                raise LumosXError(
                    f"results: line {self.passed_over[0] if self.passed_over else 1} of {path} is not from a batch; "
                    "give another file with --results."
                )
            if not torn:
                self._take(whole.count(b"\n") + 1, rest)
                append_line(path, b"")
            elif rest:
                os.truncate(path, len(whole))
        except OSError as error:
            raise LumosXError(f"results: {path} cannot be read ({error.strerror}).") from error

    def add(self, line: dict) -> None:
        """Append a line; it is on disk when the call returns.

        Raises:
            Stop: the disk is full or the file may not be written; nothing of the line stays then.
        """
        try:
            append_line(self.path, json.dumps(line).encode())
        except OSError as error:
            raise Stop(
                f"results: {self.path} cannot be written ({error.strerror}); make room and run the same command again, "
                "nothing is lost."
            ) from error
        self.lines[line["case"]] = line

    def drop(self, cases: Iterable[str]) -> None:
        """Take the lines of some cases away, all at once."""
        for case in cases:
            del self.lines[case]
        kept = [*self._strange, *(json.dumps(line).encode() for line in self.lines.values())]
        with replacing(self.path) as part:
            part.write_bytes(b"".join(line + b"\n" for line in kept))

    def _take(self, number: int, text: bytes) -> None:
        line = _read_line(text)
        if line is not None:
            self.lines[line["case"]] = line
        elif text.strip(_NOTHING):
            self.passed_over.append(number)
            self._strange.append(text)


# What a crash may leave where text should be.
_NOTHING = b"\0 \t\r"


def _may_be_torn(text: bytes) -> bool:
    """Whether this is the beginning of a line of ours."""
    return text.startswith(_LINE_BEGINS) or _LINE_BEGINS.startswith(text)


def _read_line(text: bytes) -> dict | None:
    """The line of a case, also behind another that was cut off without an end; None if there is none."""
    for start in sorted({0, max(0, text.rfind(_LINE_BEGINS))}):
        try:
            line = json.loads(text[start:].strip(_NOTHING))
            if line["status"] in STATUSES and isinstance(line["case"], str):
                return line
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return None


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write to, which takes the target's place, durably, once the block ends without an error.

    Its name is always the same, so that what a kill left is written over the next time.

    Raises:
        Stop: it cannot be written.
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
        raise Stop(f"{target} cannot be written ({error.strerror}).") from error
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
        # A link that came with somebody else's folder would make a file elsewhere, and a pipe would hold us up.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.fdopen(os.open(path, flags, 0o666), "a+b")
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
