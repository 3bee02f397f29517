"""What a case folder holds, by its names alone: for the board, which shows the pictures through ComfyUI.

It follows ``case_folder``: whoever changes what a name means there changes it here, and the tests compare both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..scene.relations import Kind
from .description import CaseReference, Description, check_reference_count, file_key, read_description
from .reading import FACE, FULL_BODY, entries, read_caption, unreadable

Named = tuple[Kind, CaseReference]
"""What a picture shows, and its file relative to the case with ``/``; None for words only."""


@dataclass
class _Person:
    face: CaseReference | None = None
    attributes: list[CaseReference] = field(default_factory=list)
    full_body: CaseReference | None = None

    @property
    def words(self) -> tuple[Named, ...]:
        face = [] if self.face is None else [(Kind.FACE, self.face)]
        return (*face, *((Kind.ATTRIBUTE, entry) for entry in self.attributes))

    @property
    def forms_group(self) -> bool:
        """As ``Scene.of_people`` decides it."""
        if self.full_body is None:
            return bool(self.words)
        return bool(self.attributes) or self.face is not None and self.face.file is not None


@dataclass
class CaseNames:
    """A case as ``load_case`` reads it, without its pixels.

    Attributes:
        prompt: of the caption.
        background: if any.
        objects: stand-alone things, then full bodies.
        people: the references of each person who is more than a full body, face first.
    """

    prompt: str
    background: Named | None
    objects: tuple[Named, ...]
    people: tuple[tuple[Named, ...], ...]


def list_case(folder: Path, full_bodies: bool = False) -> CaseNames:
    """Read the names of a case; no picture is opened, so a broken one is not noticed.

    Args:
        full_bodies: as for ``load_case``.

    Raises:
        LumosXError: no caption, a ``lumosx.json`` that does not fit the folder, or something that cannot be read.
    """
    try:
        return _list(folder, full_bodies)
    except OSError as error:
        raise unreadable(folder, error) from error


def _list(folder: Path, full_bodies: bool) -> CaseNames:
    _, prompt = read_caption(folder)
    description = read_description(folder) or Description(None, (), ())
    known = {file_key(entry.file) for entry in description.entries if entry.file}

    def fresh(place: Path) -> Iterator[tuple[Path, str]]:
        for path in entries(folder, place, []):
            file = path.relative_to(folder).as_posix()
            if file_key(file) not in known:
                yield path, file

    backgrounds = [CaseReference(file, path.stem, 0) for path, file in fresh(folder / "background")]
    background = description.background or (backgrounds[0] if backgrounds else None)
    objects = [*description.objects, *(CaseReference(file, path.stem, 0) for path, file in fresh(folder / "objects"))]
    people = _described(description)
    for place in entries(folder, folder / "subjects", [], folders=True):
        person = people.setdefault(place.name, _Person())
        for path, file in fresh(place):
            _take(path, file, person, full_bodies)
    bodies = [person.full_body for person in people.values() if person.full_body is not None]
    groups = [person.words for person in people.values() if person.forms_group]
    check_reference_count(folder, len(objects) + len(bodies) + sum(map(len, groups)) + (background is not None))
    named = None if background is None else (Kind.BACKGROUND, background)
    return CaseNames(prompt, named, tuple((Kind.OBJECT, entry) for entry in (*objects, *bodies)), tuple(groups))


def _described(description: Description) -> dict[str, _Person]:
    """The people of a description by the name of their folder, in order."""
    people: dict[str, _Person] = {}
    for number, person in enumerate(description.subjects):
        files = [entry.file for entry in (person.face, *person.attributes) if entry is not None and entry.file]
        place = files[0].split("/")[1] if files else ""
        people[f"/{number}" if place in people else place] = _Person(person.face, list(person.attributes))
    return people


def _take(path: Path, file: str, person: _Person, full_bodies: bool) -> None:
    prefix, _, phrase = path.stem.partition("_")
    if body := FULL_BODY.match(path.stem):
        if full_bodies and body.group() == prefix and person.full_body is None:
            person.full_body = CaseReference(file, phrase, 0, True)
    elif not FACE.match(path.stem):
        person.attributes.append(CaseReference(file, path.stem, 0))
    elif person.face is None:
        person.face = CaseReference(file, phrase, 0)
