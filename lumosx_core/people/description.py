"""``person.json``: whose pictures a person's folder holds, and what their names cannot say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from pydantic import model_validator

from ..cases.description import CaseReference, Words, file_key, reference_fields
from ..errors import LumosXError
from ..media.pictures import is_picture_name
from ..untrusted import LONGEST_PATH, shown
from ..validation import Strict, parse_versioned
from .person import LONGEST_NOTE, MOST_VIEWS

DESCRIPTION = "person.json"
VIEWS = "views"
PREVIEW = "preview.png"
VERSION = 1
MOST_TEXT = 1_000_000
"""Bytes of the file."""
MOST_REFERENCES = 64
"""Of one person; each is a picture in memory."""


@dataclass(frozen=True)
class Description:
    """A person without pixels.

    Attributes:
        face, full_body: None for none; a face without a file has words only.
        attributes: in order.
        views: files of further pictures.
        note: as ``Person`` has it.
    """

    face: CaseReference | None
    attributes: tuple[CaseReference, ...]
    full_body: CaseReference | None = None
    views: tuple[str, ...] = ()
    note: str = ""

    @property
    def entries(self) -> tuple[CaseReference, ...]:
        """Face, attributes, full body."""
        return tuple(entry for entry in (self.face, *self.attributes, self.full_body) if entry is not None)

    @property
    def files(self) -> tuple[str, ...]:
        """Every picture."""
        return (*(entry.file for entry in self.entries if entry.file is not None), *self.views)

    def to_json(self) -> str:
        """The file's text."""
        content = {
            "version": VERSION,
            "face": reference_fields(self.face),
            "attributes": [reference_fields(entry) for entry in self.attributes],
            "full_body": reference_fields(self.full_body),
            "views": list(self.views),
            "note": self.note,
        }
        return json.dumps(content, ensure_ascii=False, indent=1)


def parse_description(content: bytes, owner: str, files: list[str]) -> Description:
    """The description in a person's ``person.json``.

    Args:
        content: of the file.
        owner: how messages call the person.
        files: every picture that there is, relative to the person.

    Raises:
        LumosXError: it is not what ``to_json`` writes, another version, or names a file that is not there.
    """
    try:
        description = parse_versioned(content, _Content, VERSION).description()
    except ValueError as error:
        raise _wrong(owner, str(error)) from error
    known = {file_key(file) for file in files}
    for file in description.files:
        if not is_plain(file):
            raise _wrong(owner, f"names {file[:60]!r}, which is not the path of a picture of the person")
        if file_key(file) not in known:
            raise _wrong(owner, f"names {file[:60]!r}, which does not exist")
    return description


def is_plain(file: str) -> bool:
    """Whether a text is the path of a picture of a person: a name, or one in ``views``, the same on every system."""
    if len(file) > LONGEST_PATH or "\\" in file or "\0" in file or ":" in file:
        return False
    names = file.split("/")
    deep = len(names) == 2 and names[0] == VIEWS
    return (len(names) == 1 or deep) and not names[-1].startswith(".") and is_picture_name(PurePosixPath(names[-1]))


def _wrong(owner: str, what: str) -> LumosXError:
    return LumosXError(
        f"person: {shown(owner)}/{DESCRIPTION} {what}; correct it, or delete it to read the person by its file names."
    )


class _Exact(Strict, extra="forbid"):
    """An object with exactly these names."""


class _Body(Words):
    file: str
    full_body: Literal[True] = True


class _Content(_Exact):
    version: int
    face: Words | None
    attributes: list[Words]
    full_body: _Body | None
    views: list[str]
    note: str

    @model_validator(mode="after")
    def _is_somebody(self) -> _Content:
        entries = [entry for entry in (self.face, *self.attributes, self.full_body) if entry is not None]
        if not any(entry.file for entry in entries):
            raise ValueError("a person needs a picture")
        if len(entries) > MOST_REFERENCES or len(self.views) > MOST_VIEWS:
            raise ValueError(f"a person has at most {MOST_REFERENCES} references and {MOST_VIEWS} views")
        if len(self.note) > LONGEST_NOTE:
            raise ValueError(f"a note has at most {LONGEST_NOTE} letters")
        return self

    def description(self) -> Description:
        def entry(words: Words | None) -> CaseReference | None:
            return None if words is None else words.entry()

        worn = tuple(words.entry() for words in self.attributes)
        return Description(entry(self.face), worn, entry(self.full_body), tuple(self.views), self.note)
