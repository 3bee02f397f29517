"""``lumosx.json``: what a case folder's names cannot say: order, phrases, occurrences, words without a picture."""

from __future__ import annotations

import dataclasses
import json
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from ..errors import LumosXError
from ..scene.influence import FULL, MOST_STRENGTH, Influence
from ..untrusted import LONGEST_PATH, children, inside, read_inside, shown
from ..validation import Strict, parse_versioned

DESCRIPTION = "lumosx.json"
PARTS = ("subjects", "objects", "background")
VERSION = 1
MOST_TEXT = 1_000_000
"""Bytes of a text file of a case."""
MOST_REFERENCES = 64
"""In one case; each is a picture in memory."""


@dataclass(frozen=True)
class CaseReference:
    """One reference.

    Attributes:
        file: its picture, relative to the case with ``/``; None for words only.
        phrase, occurrence, full_body: as ``Reference`` has them.
        strength, start, end: as ``Influence`` has them.
    """

    file: str | None
    phrase: str
    occurrence: int
    full_body: bool = False
    strength: float = FULL.strength
    start: float = FULL.start
    end: float = FULL.end

    @property
    def influence(self) -> Influence:
        """How strongly it acts, and in which steps."""
        return Influence(self.strength, self.start, self.end)


@dataclass(frozen=True)
class CasePerson:
    """One subject."""

    face: CaseReference | None
    attributes: tuple[CaseReference, ...]


@dataclass(frozen=True)
class Description:
    """A scene without its pixels, in order."""

    background: CaseReference | None
    objects: tuple[CaseReference, ...]
    subjects: tuple[CasePerson, ...]

    @property
    def entries(self) -> tuple[CaseReference, ...]:
        """Every reference."""
        people = (entry for person in self.subjects for entry in (person.face, *person.attributes))
        return tuple(entry for entry in (self.background, *self.objects, *people) if entry is not None)

    def to_json(self) -> str:
        """The file's text."""
        content = {
            "version": VERSION,
            "background": reference_fields(self.background),
            "objects": [reference_fields(entry) for entry in self.objects],
            "subjects": [
                {"face": reference_fields(person.face), "attributes": list(map(reference_fields, person.attributes))}
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
        content = read_inside(folder, path, MOST_TEXT)
    except OSError as error:
        raise _wrong(folder, f"cannot be read ({error.strerror})") from error
    try:
        description = parse_versioned(content, _Content, VERSION).description()
    except ValueError as error:
        raise _wrong(folder, str(error)) from error
    check_reference_count(folder, len(description.entries))
    for entry in description.entries:
        if entry.file is not None:
            _check_file(folder, entry.file)
    return description


def check_reference_count(folder: Path, references: int) -> None:
    """Raises a LumosXError for more references than a case may have."""
    if references > MOST_REFERENCES:
        raise LumosXError(
            f"case: {shown(folder.name)} has more than {MOST_REFERENCES} references; remove some pictures."
        )


def reference_fields(entry: CaseReference | None) -> dict[str, Any] | None:
    """One reference as ``Words`` reads it."""
    if entry is None:
        return None
    body = {"full_body": True} if entry.full_body else {}
    # Only where they are used, since versions before them refuse names that they do not know.
    influence = dataclasses.asdict(entry.influence) if entry.influence != FULL else {}
    return {"file": entry.file, "phrase": entry.phrase, "occurrence": entry.occurrence, **body, **influence}


def _check_file(folder: Path, file: str) -> None:
    """Names are compared exactly, so that no system reads one as another's path."""
    part, *names = file[:LONGEST_PATH].split("/")
    strange = len(file) > LONGEST_PATH or "\\" in file or "\0" in file
    if strange or part not in PARTS or not names or {"", ".", ".."} & set(names):
        raise _wrong(folder, f"names {file[:60]!r}, which is not the path of a picture in {', '.join(PARTS)}")
    if inside(folder, folder / file) is None:
        raise _wrong(folder, f"names {file[:60]!r}, a link that leads out of the case")
    try:
        found = (folder / file).is_file() and _is_listed(folder, [part, *names])
    except OSError as error:
        # Too long a name, or links in a circle.
        raise _wrong(folder, f"names {file[:60]!r}, which cannot be opened ({error.strerror})") from error
    if not found:
        raise _wrong(folder, f"names {file[:60]!r}, which does not exist")


def _is_listed(folder: Path, names: list[str]) -> bool:
    """Whether a file has exactly this name; some systems open x.png by others too: X.PNG, "x.png.", "x.png::$DATA"."""
    for name in names:
        if file_key(name) not in {file_key(path.name) for path in children(folder)}:
            return False
        folder /= name
    return True


def _wrong(folder: Path, what: str) -> LumosXError:
    return LumosXError(
        f"case: {shown(folder.name)}/{DESCRIPTION} {what}; correct it, or delete it to read the case by its file names."
    )


Strength = Annotated[float, Field(ge=0, le=MOST_STRENGTH**2)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Exact(Strict, extra="forbid"):
    """An object with exactly these names."""


class Words(_Exact):
    """One reference in JSON."""

    file: str | None
    phrase: str
    occurrence: int
    strength: Strength = FULL.strength
    start: Share = FULL.start
    end: Share = FULL.end

    @model_validator(mode="after")
    def _is_sometimes_there(self) -> Words:
        if self.start >= self.end:
            raise ValueError("start must be below end")
        return self

    def entry(self) -> CaseReference:
        """The same, checked."""
        return CaseReference(**self.model_dump())


def _entry(words: Words | None) -> CaseReference | None:
    return None if words is None else words.entry()


class _Thing(Words):
    full_body: bool = False


class _Someone(_Exact):
    face: Words | None
    attributes: list[Words]

    @model_validator(mode="after")
    def _is_something(self) -> _Someone:
        if self.face is None and not self.attributes:
            raise ValueError("a subject needs a face or an attribute")
        return self

    def person(self) -> CasePerson:
        return CasePerson(_entry(self.face), tuple(words.entry() for words in self.attributes))


class _Content(_Exact):
    version: int
    background: Words | None
    objects: list[_Thing]
    subjects: list[_Someone]

    def description(self) -> Description:
        return Description(
            _entry(self.background),
            tuple(thing.entry() for thing in self.objects),
            tuple(someone.person() for someone in self.subjects),
        )
