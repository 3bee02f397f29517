"""What a batch remembers on disk, so that it can be killed at any moment: results, prompts under way, and a lock."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

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


_DAMAGE = (
    OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, sqlite3.Error,
)
"""What a journal that somebody else wrote can raise."""
_DATABASE = b"SQLite format 3\0"
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_TABLES = {
    "batch": "CREATE TABLE batch (server TEXT NOT NULL)",
    "under_way": "CREATE TABLE under_way (folder TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, "
                 "prompt_id TEXT NOT NULL, prefix TEXT NOT NULL, workflow TEXT NOT NULL, seed TEXT, "
                 "posts INTEGER NOT NULL)",
}
"""What a journal consists of. A seed may be larger than the integers of SQLite, so it is a text."""


class Stop(LumosXError):
    """A problem that stops the whole batch, not one case; the next start continues at that case."""


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
    """The prompts under way, in an SQLite database; every change is on disk before the call returns.

    Args:
        path: read when it exists, made with the first prompt. A journal of version 0.1, which was JSON, is read too and
            becomes a database with the first change.

    Attributes:
        server: the address of the server; written with the next prompt.
        under_way: by the folder of the case.
        posts: how often the server got each of them.

    Raises:
        LumosXError: a file that is not a journal, or names anything but plain folders; also from each change, when it
            cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server = ""
        self.under_way: dict[str, Posted] = {}
        self.posts: dict[str, int] = {}
        self._is_database = False
        if os.path.lexists(path):
            try:
                content = read_inside(path.parent, path, _MOST_JOURNAL)
                self._is_database = content.startswith(_DATABASE)
                if self._is_database:
                    self._check_rollback()
                    self._read_database()
                else:
                    self._read_json(json.loads(content))
                for posted in self.under_way.values():
                    posted.check()
                if not isinstance(self.server, str) or min(self.posts.values(), default=0) < 0:
                    raise ValueError(self.server)
            except _DAMAGE as error:
                raise LumosXError(
                    f"results: {path} is not the journal of a batch; move it away to start again."
                ) from error

    def put(self, posted: Posted) -> None:
        """Remember a prompt before it is posted."""
        self.under_way[posted.case] = posted
        posts = self.posts.setdefault(posted.case, 0)
        self._change(
            ("UPDATE batch SET server = ?", (self.server,)),
            ("INSERT OR REPLACE INTO under_way VALUES (?, ?, ?, ?, ?, ?, ?)", _row(posted, posts)),
        )

    def count(self, case: str) -> None:
        """Remember that the server got a prompt, or went away on getting it."""
        self.posts[case] += 1
        self._change(("UPDATE under_way SET posts = posts + 1 WHERE folder = ?", (case,)))

    def drop(self, case: str) -> None:
        """Forget a prompt whose result is written."""
        self.posts.pop(case, None)
        # Others were never here, and their names may be none that a database takes.
        if self.under_way.pop(case, None) is not None:
            self._change(("DELETE FROM under_way WHERE folder = ?", (case,)))

    def remove(self) -> None:
        """Take the file away; the batch has ended."""
        self._rollback.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    @property
    def _rollback(self) -> Path:
        """The file from which SQLite undoes a change that was cut off."""
        return self.path.with_name(f"{self.path.name}-journal")

    def _check_rollback(self) -> None:
        """Refuse such a file of somebody else's: what it names as a journal of several databases, SQLite deletes."""
        if os.path.lexists(self._rollback):
            content = read_inside(self.path.parent, self._rollback, _MOST_JOURNAL)
            if content.endswith(_SUPER_JOURNAL):
                raise ValueError("it belongs to several databases")

    def _read_database(self) -> None:
        with _opened(self.path) as database:
            if database.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
                raise ValueError("damaged")
            tables = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            if dict(tables) != _TABLES or len(tables) != len(_TABLES):
                raise ValueError("other tables")
            (self.server,), = database.execute("SELECT server FROM batch")
            rows = database.execute("SELECT * FROM under_way ORDER BY rowid")
            for case, name, prompt_id, prefix, workflow, seed, posts in rows:
                seed = None if seed is None else int(seed)
                self.under_way[case] = Posted(case, name, prompt_id, prefix, workflow, seed)
                self.posts[case] = int(posts)

    def _read_json(self, state: Any) -> None:
        """Take the state of a journal of version 0.1; the first of them did not count."""
        self.server = state["server"]
        self.under_way = {entry["case"]: Posted(**entry) for entry in state["under_way"]}
        posts = state.get("posts", {})
        self.posts = {case: int(posts.get(case, 0)) for case in self.under_way}

    def _change(self, *statements: tuple[str, tuple]) -> None:
        try:
            if self._is_database:
                with _opened(self.path) as database:
                    for sql, values in statements:
                        database.execute(sql, values)
            else:
                self._write_database()
        except sqlite3.Error as error:
            raise Stop(f"{self.path} cannot be written ({error}).") from error

    def _write_database(self) -> None:
        """Make the database from the present state; it takes the place of a journal in JSON."""
        # A rollback file of a journal that is gone would be played back into the new one.
        self._rollback.unlink(missing_ok=True)
        with replacing_durably(self.path) as part, _opened(part, "rwc") as database:
            for sql in _TABLES.values():
                database.execute(sql)
            database.execute("INSERT INTO batch VALUES (?)", (self.server,))
            rows = [_row(posted, self.posts[case]) for case, posted in self.under_way.items()]
            database.executemany("INSERT INTO under_way VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._is_database = True


def _row(posted: Posted, posts: int) -> tuple:
    seed = None if posted.seed is None else str(posted.seed)
    return posted.case, posted.name, posted.prompt_id, posted.prefix, posted.workflow, seed, posts


@contextmanager
def _opened(path: Path, mode: str = "rw") -> Iterator[sqlite3.Connection]:
    """A database that may have come from somebody else; changes are on disk at the end, or none of them is."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)) as database, database:
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "synchronous = EXTRA"):
            database.execute(f"PRAGMA {setting}")
        yield database


class Results:
    """One JSON line a case. A last line that a kill or a full disk cut off is taken away when the file is opened.

    Other lines that cannot be read, such as a full disk left in the middle of files of version 0.1, are skipped and
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
                f"results: {self.path} cannot be written ({error.strerror}); free some space and run the same command "
                "again, nothing is lost."
            ) from error
        self.lines[line["case"]] = line

    def drop(self, cases: Iterable[str]) -> None:
        """Take the lines of some cases away, all at once."""
        for case in cases:
            del self.lines[case]
        kept = [*self._strange, *(json.dumps(line).encode() for line in self.lines.values())]
        with replacing_durably(self.path) as part:
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
    """Whether this is the beginning of one of our lines."""
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
def replacing_durably(target: Path) -> Iterator[Path]:
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
                f"results: another batch is writing {results}; wait until it ends, or give another file with "
                "--results."
            ) from error
        except OSError as error:
            raise LumosXError(
                f"results: {path} cannot be locked ({error.strerror}); give a file on another disk with --results."
            ) from error
        yield
