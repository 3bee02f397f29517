"""A person's folder or zip file, read: nothing outside of it, and nothing without a bound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

from ..cases.description import CaseReference
from ..cases.reading import FACE, FULL_BODY, MOST_CASE_PIXELS, natural
from ..errors import LumosXError, shown
from ..media.pictures import KINDS, MOST_BYTES, MOST_PIXELS, PictureError, decode_picture, is_picture_name
from ..scene.relations import Kind, Reference, Subject
from .description import (
    DESCRIPTION,
    MOST_REFERENCES,
    MOST_TEXT,
    PREVIEW,
    VIEWS,
    Description,
    is_plain,
    parse_description,
)
from .person import LONGEST_NOTE, MOST_VIEWS, Person
from .sources import PersonFiles, open_person

MOST_NOTES = 64
_NOTE = "note.txt"


def load_person(path: Path) -> tuple[Person, tuple[str, ...]]:
    """A person, and what was left out and why, one sentence each.

    ``person.json`` decides whose picture is what. Without one, names do, as in a case: ``face_<phrase>.png``,
    ``fullbody_<phrase>.png``, any other picture is an attribute; pictures in ``views`` are views, ``note.txt`` is the
    note, and ``preview.png`` nothing.

    Args:
        path: a folder, or a file that ends in ``.zip``.

    Raises:
        LumosXError: nothing there, nobody in it, a broken or too large picture, a ``person.json`` that does not fit, or
            something that cannot be read.
    """
    source = open_person(path)
    notes = source.notes
    description = _describe(source)
    pictures = _Pictures(source)

    def read(kind: Kind, entry: CaseReference) -> Reference:
        image = None if entry.file is None else pictures.read(entry.file)
        named = DESCRIPTION if entry.file is None else shown(entry.file)
        source = f"person file {named}"
        return Reference(kind, entry.phrase, image, entry.occurrence, source, entry.full_body, entry.influence)

    face, body = description.face, description.full_body
    subject = Subject(
        None if face is None else read(Kind.FACE, face),
        tuple(read(Kind.ATTRIBUTE, entry) for entry in description.attributes),
        None if body is None else read(Kind.OBJECT, body),
    )
    views = tuple(pictures.read(file) for file in description.views)
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"{len(notes) - MOST_NOTES} more files were left out."]
    return Person(subject, views, description.note), tuple(notes)


def describe_person(path: Path) -> Description:
    """What a person has, by names alone: no picture is opened, so a broken one is not noticed.

    Raises:
        LumosXError: as ``load_person``, but for pictures.
    """
    return _describe(open_person(path))


def read_picture(path: Path, file: str | None, most_pixels: int) -> torch.Tensor:
    """One picture of a person [1, H, W, 3].

    Args:
        file: as ``describe_person`` names it; None for the one that shows best who it is.
        most_pixels: larger ones are refused.

    Raises:
        LumosXError: there is no such picture, it is broken or too large.
    """
    source = open_person(path)
    if file is None:
        of_person = _describe(source).files
        file = PREVIEW if PREVIEW in source.files else of_person[0]
    elif not is_plain(file) or file not in source.files:
        raise LumosXError(f"person: {shown(source.name)} has no picture {shown(file[:60])!r}; choose another.")
    return _Pictures(source, most_pixels).read(file)


def _describe(source: PersonFiles) -> Description:
    pictures = [file for file in source.files if is_picture_name(PurePosixPath(file))]
    if DESCRIPTION in source.files:
        content = _content(source, DESCRIPTION, MOST_TEXT)
        described = parse_description(content, source.name, pictures)
        known = {DESCRIPTION, PREVIEW, *described.files}
        source.notes += [
            f"{shown(file)} was left out: {DESCRIPTION} does not name it." for file in source.files if file not in known
        ]
        return described
    return _by_name(source, pictures)


def _by_name(source: PersonFiles, pictures: list[str]) -> Description:
    face, body, worn, note = None, None, [], ""
    for file in sorted((file for file in source.files if "/" not in file), key=lambda file: natural(Path(file))):
        stem = PurePosixPath(file).stem
        prefix, _, phrase = stem.partition("_")
        if file == _NOTE:
            note = _content(source, file, MOST_TEXT).decode(errors="replace")[:LONGEST_NOTE]
        elif file not in pictures:
            source.notes.append(f"{shown(file)} was left out: it is not a picture ({KINDS}).")
        elif file == PREVIEW:
            continue
        elif FULL_BODY.match(prefix):
            body = _first(source, body, CaseReference(file, phrase, 0, True), "full body")
        elif FACE.match(stem):
            face = _first(source, face, CaseReference(file, phrase, 0), "face")
        else:
            worn.append(CaseReference(file, stem, 0))
    views = sorted((file for file in pictures if file.startswith(f"{VIEWS}/")), key=lambda file: natural(Path(file)))
    if face is None and body is None and not worn:
        raise LumosXError(
            f"person: {shown(source.name)} holds no picture of a person; it needs face_<phrase>.png, "
            "fullbody_<phrase>.png or <phrase>.png."
        )
    if len(worn) + 2 > MOST_REFERENCES or len(views) > MOST_VIEWS:
        raise LumosXError(
            f"person: {shown(source.name)} has more than {MOST_REFERENCES} pictures; remove some."
        )
    return Description(face, tuple(worn), body, tuple(views), note)


def _first(source: PersonFiles, had: CaseReference | None, new: CaseReference, what: str) -> CaseReference:
    if had is None:
        return new
    source.notes.append(f"{shown(new.file or '')} was left out: a person has one {what}.")
    return had


def _content(source: PersonFiles, file: str, most: int) -> bytes:
    try:
        return source.read(file, most)
    except OSError as error:
        raise LumosXError(
            f"person: {shown(file)} of {shown(source.name)} cannot be read ({error.strerror}); replace it."
        ) from error


@dataclass
class _Pictures:
    """Reads a person's pictures and counts what they take."""

    source: PersonFiles
    most_pixels: int = MOST_CASE_PIXELS
    _pixels: int = 0

    def read(self, file: str) -> torch.Tensor:
        try:
            content = _content(self.source, file, MOST_BYTES)
            image, several = decode_picture(content, min(MOST_PIXELS, self.most_pixels))
        except PictureError as error:
            raise LumosXError(
                f"person: {shown(file)} of {shown(self.source.name)} is not a readable picture ({error}); replace it."
            ) from error
        self._pixels += image.shape[1] * image.shape[2]
        if self._pixels > self.most_pixels:
            raise LumosXError(
                f"person: the pictures of {shown(self.source.name)} have more than {self.most_pixels / 1e6:g} "
                "megapixels together; make them smaller."
            )
        if several:
            self.source.notes.append(f"{shown(file)} has several frames or pages; the first is used.")
        return image
