"""``lumosx.json``: what a case folder's names cannot say: order, phrases, occurrences, words without a picture."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import LumosXError
from ..untrusted import LONGEST_PATH, children, inside, read_inside, shown

DESCRIPTION = "lumosx.json"
PARTS = ("subjects", "objects", "background")
VERSION = 1
MOST_TEXT = 1_000_000
"""Bytes of a text file of a case."""
MOST_REFERENCES = 64
"""In one case; each is a picture in memory."""


@dataclass(frozen=True)
class Entry:
    """One reference.

    Attributes:
        file: its picture, relative to the case with ``/``; None for a face or an attribute of words only.
        phrase, occurrence, full_body: as ``Reference`` has them.
    """

    file: str | None
    phrase: str
    occurrence: int
    full_body: bool = False


@dataclass(frozen=True)
class Person:
    """One subject."""

    face: Entry | None
    attributes: tuple[Entry, ...]


@dataclass(frozen=True)
class Description:
    """A scene without its pixels, in order."""

    background: Entry | None
    objects: tuple[Entry, ...]
    subjects: tuple[Person, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every reference."""
        people = (entry for person in self.subjects for entry in (person.face, *person.attributes))
        return tuple(entry for entry in (self.background, *self.objects, *people) if entry is not None)

    def to_json(self) -> str:
        """The file's text."""
        content = {
            "version": VERSION,
            "background": _fields(self.background),
            "objects": [_fields(entry) for entry in self.objects],
            "subjects": [
                {"face": _fields(person.face), "attributes": [_fields(entry) for entry in person.attributes]}
                for person in self.subjects
            ],
        }
        return json.dumps(content, ensure_ascii=False, indent=1)


def file_key(file: str) -> str:
    """The same for every spelling of a name that file systems make of one: some compose letters, some take them apart.
    """
    return unicodedata.normalize("NFC", file)


def read_description(folder: Path) -> Description | None:
    """The description of a case folder, or None if it has none.

    Raises:
        LumosXError: it is not what ``to_json`` writes, another version, too large, or names a file that is not in the
            folder.
    """
    path = folder / DESCRIPTION
    if not os.path.lexists(path):
        return None
    try:
        content = json.loads(read_inside(folder, path, MOST_TEXT).decode("utf-8-sig"))
        # JSON can spell half a character, which no tokenizer takes.
        json.dumps(content, ensure_ascii=False).encode()
    except OSError as error:
        raise _wrong(folder, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise _wrong(folder, f"cannot be read ({error})") from error
    description = _Reader(folder).description(content)
    check_count(folder, len(description.entries))
    for entry in description.entries:
        if entry.file is not None:
            _check_file(folder, entry.file)
    return description


def check_count(folder: Path, references: int) -> None:
    """Raises a LumosXError for more references than a case may have."""
    if references > MOST_REFERENCES:
        raise LumosXError(
            f"case: {shown(folder.name)} has more than {MOST_REFERENCES} references; take pictures out of it."
        )


def _fields(entry: Entry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    body = {"full_body": True} if entry.full_body else {}
    return {"file": entry.file, "phrase": entry.phrase, "occurrence": entry.occurrence, **body}


def _check_file(folder: Path, file: str) -> None:
    """Names are compared as they are, so that no system reads one as another's path."""
    part, *names = file[:LONGEST_PATH].split("/")
    strange = len(file) > LONGEST_PATH or "\\" in file or "\0" in file
    if strange or part not in PARTS or not names or {"", ".", ".."} & set(names):
        raise _wrong(folder, f"names {file[:60]!r}, which is no path to a picture in {', '.join(PARTS)}")
    if inside(folder, folder / file) is None:
        raise _wrong(folder, f"names {file[:60]!r}, a link that leads out of the case")
    try:
        found = (folder / file).is_file() and _is_listed(folder, [part, *names])
    except OSError as error:
        # Too long a name, or links in a circle.
        raise _wrong(folder, f"names {file[:60]!r}, which cannot be opened ({error.strerror})") from error
    if not found:
        raise _wrong(folder, f"names {file[:60]!r}, which is not there")


def _is_listed(folder: Path, names: list[str]) -> bool:
    """Whether a file has this very name; some systems open x.png by others too: X.PNG, "x.png.", "x.png::$DATA"."""
    for name in names:
        if file_key(name) not in {file_key(path.name) for path in children(folder)}:
            return False
        folder /= name
    return True


def _wrong(folder: Path, what: str) -> LumosXError:
    return LumosXError(
        f"case: {shown(folder.name)}/{DESCRIPTION} {what}; mend it, or delete it to read the case by its file names."
    )


class _Reader:
    """Takes a file's content only in exactly the form in which it is written."""

    def __init__(self, folder: Path):
        self._folder = folder

    def description(self, content: Any) -> Description:
        if isinstance(content, dict) and type(content.get("version")) is int and content["version"] != VERSION:
            raise _wrong(self._folder, f"has version {str(content['version'])[:20]}, but this LumosX reads {VERSION}")
        values = self._object(content, "the whole file", ("version", "background", "objects", "subjects"))
        if type(values["version"]) is not int:
            raise _wrong(self._folder, "has no whole number as its version")
        return Description(
            self._optional(values["background"], "background"),
            self._list(values["objects"], "objects", partial(self._entry, may_be_body=True)),
            self._list(values["subjects"], "subjects", self._person),
        )

    def _person(self, value: Any, place: str) -> Person:
        values = self._object(value, place, ("face", "attributes"))
        if values["face"] is None and not values["attributes"]:
            raise _wrong(self._folder, f"has nothing at {place}")
        return Person(
            self._optional(values["face"], f"{place} face", words_only=True),
            self._list(values["attributes"], f"{place} attributes", partial(self._entry, words_only=True)),
        )

    def _optional(self, value: Any, place: str, words_only: bool = False) -> Entry | None:
        return None if value is None else self._entry(value, place, words_only=words_only)

    def _entry(self, value: Any, place: str, words_only: bool = False, may_be_body: bool = False) -> Entry:
        optional = ("full_body",) if may_be_body else ()
        values = self._object(value, place, ("file", "phrase", "occurrence"), optional)
        file, phrase, occurrence, body = (values.get(name) for name in ("file", "phrase", "occurrence", "full_body"))
        has_file = isinstance(file, str) or words_only and file is None
        if not has_file or not isinstance(phrase, str) or type(occurrence) is not int:
            raise _wrong(self._folder, f"has a file, phrase or occurrence of the wrong type at {place}")
        if not isinstance(body, bool | None):
            raise _wrong(self._folder, f"has a full_body that is neither true nor false at {place}")
        return Entry(file, phrase, occurrence, bool(body))

    def _list(self, value: Any, place: str, read: Callable[[Any, str], Any]) -> tuple:
        if not isinstance(value, list):
            raise _wrong(self._folder, f"has no list at {place}")
        return tuple(read(item, f"{place} {number}") for number, item in enumerate(value, 1))

    def _object(self, value: Any, place: str, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
        if not isinstance(value, dict) or not set(names) <= set(value) <= {*names, *optional}:
            raise _wrong(self._folder, f"needs exactly {', '.join(names)} at {place}")
        return value
