"""Test-case folders in the format of the release: pictures whose file names are the phrases.

``caption.txt`` = ``name;prompt``, ``subjects/<n>/face_<phrase>.png``, ``subjects/<n>/<phrase>.png``,
``objects/<phrase>.png``, ``background/<phrase>.png``. A ``lumosx.json`` beside them says what names cannot.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..errors import LumosXError
from ..relations import Kind, Reference, Scene, Subject
from .case_description import DESCRIPTION, PARTS, Description, Entry, file_key, read_description
from .pictures import to_image

CAPTION = "caption.txt"
UNFINISHED = ".part"
"""How the name of a folder ends that is still being written, or was left by a kill."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FACE = re.compile(r"face_", re.IGNORECASE)
FULL_BODY = re.compile(r"full(full)?body", re.IGNORECASE)


@dataclass(frozen=True)
class Case:
    """One case of a folder.

    Attributes:
        name: the text before the first ``;`` of the caption, else the folder's name.
        prompt: the rest of the caption, white space tidied.
        scene: the pictures and their phrases.
        notes: files that were left out and why, one sentence each.
    """

    name: str
    prompt: str
    scene: Scene
    notes: tuple[str, ...]


@dataclass
class _Person:
    """What was found of one person so far."""

    face: Reference | None = None
    attributes: list[Reference] = field(default_factory=list)
    full_body: Reference | None = None

    def subject(self) -> Subject | None:
        """The person, unless nothing was found."""
        if self.face is None and not self.attributes and self.full_body is None:
            return None
        return Subject(self.face, tuple(self.attributes), self.full_body)


@dataclass
class _Found:
    """What was found of a scene so far; people by the name of their folder, in order."""

    background: Reference | None = None
    objects: list[Reference] = field(default_factory=list)
    people: dict[str, _Person] = field(default_factory=dict)


def load_case(folder: Path, full_bodies: bool = False) -> Case:
    """Read a case folder.

    With a ``lumosx.json`` that decides on order, phrases and occurrences; pictures that it does not name follow, and
    the notes name them. Otherwise files are taken in natural order (2 before 10), faces before attributes. Dotfiles are
    passed over, anything else that is no picture is named in the notes.

    Args:
        full_bodies: take pictures of whole persons as stand-alone references, if their name alone says that they are.

    Raises:
        LumosXError: no folder, no caption, a broken picture, an empty phrase, nothing to bind, a ``lumosx.json`` that
            does not fit the folder, or something that cannot be read.
    """
    try:
        return _load(folder, full_bodies)
    except OSError as error:
        name = Path(error.filename or folder).name
        raise LumosXError(
            f"case: {name} of {folder.name} cannot be read ({error.strerror}); make the case's files readable."
        ) from error


def _load(folder: Path, full_bodies: bool) -> Case:
    if not folder.is_dir():
        raise LumosXError(f"case: there is no folder {folder.name}; put the case folder into ComfyUI's input folder.")
    name, prompt = read_caption(folder)
    notes = _stray_entries(folder)
    description = read_description(folder)
    found = _Found() if description is None else _described(folder, description)
    _add_by_name(folder, found, description, full_bodies, notes)
    people = [subject for person in found.people.values() if (subject := person.subject()) is not None]
    if found.background is None and not found.objects and not people:
        raise LumosXError(
            f"case: {folder.name} holds no pictures; it needs subjects/1/face_<phrase>.png, objects/<phrase>.png "
            "or background/<phrase>.png."
        )
    return Case(name, prompt, Scene.of_people(found.background, found.objects, people), tuple(notes))


def case_files(folder: Path) -> list[Path]:
    """Every file that a case is made of, sorted."""
    found = []
    # As reading does, this follows links; a folder that links to its own parent is seen once.
    seen = set()
    for place, children, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        children[:] = [child for child in children
                       if child[0] != "." and os.path.realpath(os.path.join(place, child)) not in seen]
        found += [Path(place, file) for file in files if not file.startswith(".")]
    return sorted(path for path in found if os.path.isfile(path))


def _stray_entries(folder: Path) -> list[str]:
    """What lies in a case beside its parts; a picture there was surely meant for one of them."""
    stray = [path for path in sorted(folder.iterdir(), key=natural)
             if path.name not in (CAPTION, DESCRIPTION, *PARTS) and not path.name.startswith(".")]
    return [f"{path.name} was left out: a case has only {CAPTION}, {', '.join(PARTS)}." for path in stray]


def read_caption(folder: Path) -> tuple[str, str]:
    """Name and prompt of a case.

    Raises:
        LumosXError: no caption, or one without a prompt.
    """
    path = folder / CAPTION
    if not path.is_file():
        raise LumosXError(f"case: {folder.name} has no {CAPTION}; write one line \"name;prompt\" into it.")
    try:
        text = " ".join(path.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise LumosXError(f"case: {folder.name}/{CAPTION} is not UTF-8 text; save it as UTF-8.") from error
    name, separator, prompt = text.partition(";")
    if not separator:
        name, prompt = folder.name, text
    if not prompt.strip():
        raise LumosXError(f"case: {folder.name}/{CAPTION} has no prompt; write \"name;prompt\" into it.")
    return name.strip() or folder.name, prompt.strip()


def _described(folder: Path, description: Description) -> _Found:
    def read(kind: Kind, entry: Entry) -> Reference:
        if entry.file is None:
            return Reference(kind, entry.phrase, None, entry.occurrence, f"case file {DESCRIPTION}")
        return _read(folder / entry.file, kind, entry.phrase, entry.occurrence, entry.full_body)

    found = _Found(objects=[read(Kind.OBJECT, entry) for entry in description.objects])
    if description.background is not None:
        found.background = read(Kind.BACKGROUND, description.background)
    for number, person in enumerate(description.subjects):
        files = [entry.file for entry in (person.face, *person.attributes) if entry is not None and entry.file]
        place = files[0].split("/")[1] if files else ""
        # Two people of one folder can only be told apart by their number, which is no name of a folder.
        found.people[f"/{number}" if place in found.people else place] = _Person(
            None if person.face is None else read(Kind.FACE, person.face),
            [read(Kind.ATTRIBUTE, entry) for entry in person.attributes],
        )
    return found


def _add_by_name(
    folder: Path, found: _Found, description: Description | None, full_bodies: bool, notes: list[str]
) -> None:
    """Take the pictures that no description names for what their names say."""
    known = {file_key(entry.file) for entry in description.entries if entry.file} if description else set()

    def fresh(path: Path) -> bool:
        return file_key(path.relative_to(folder).as_posix()) not in known

    def add(path: Path) -> None:
        if description is not None:
            notes.append(f"{_short(path)} was added, although {DESCRIPTION} does not name it.")

    for path in filter(fresh, entries(folder / "background", notes)):
        if found.background is not None:
            notes.append(f"{_short(path)} was left out: a scene has one background.")
            continue
        found.background = _read(path, Kind.BACKGROUND, path.stem)
        add(path)
    for path in filter(fresh, entries(folder / "objects", notes)):
        found.objects.append(_read(path, Kind.OBJECT, path.stem))
        add(path)
    for place in entries(folder / "subjects", notes, folders=True):
        paths = entries(place, notes)
        person = found.people.setdefault(place.name, _Person())
        for path in filter(fresh, paths):
            if _take(path, person, full_bodies, notes):
                add(path)
        if person.subject() is None and all(map(fresh, paths)):
            notes.append(f"{_short(place)} was left out: it holds no pictures.")


def _take(path: Path, person: _Person, full_bodies: bool, notes: list[str]) -> bool:
    """Whether a picture of a person's folder became part of the person; if not, a note says why."""
    prefix, _, phrase = path.stem.partition("_")
    if body := FULL_BODY.match(path.stem):
        if not full_bodies or body.group() != prefix:
            notes.append(
                f"{_short(path)} was left out, as the release does; LumosX Load Case takes fullbody_<phrase>.png if "
                "its full_body says so."
            )
        elif person.full_body is not None:
            notes.append(f"{_short(path)} was left out: a subject has one full body.")
        else:
            person.full_body = _read(path, Kind.OBJECT, phrase, full_body=True)
            return True
    elif not FACE.match(path.stem):
        person.attributes.append(_read(path, Kind.ATTRIBUTE, path.stem))
        return True
    elif person.face is not None:
        notes.append(f"{_short(path)} was left out: a subject has one face.")
    else:
        person.face = _read(path, Kind.FACE, phrase)
        return True
    return False


def entries(folder: Path, notes: list[str], folders: bool = False) -> list[Path]:
    """The pictures, or the folders, in a folder; none if it is missing."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir(), key=natural):
        if path.name.startswith("."):
            continue
        if path.is_dir() if folders else path.is_file() and path.suffix.lower() in PICTURES:
            found.append(path)
        else:
            notes.append(f"{_short(path)} was left out: it is no {'folder' if folders else 'picture'}.")
    return found


def _read(path: Path, kind: Kind, phrase: str, occurrence: int = 0, full_body: bool = False) -> Reference:
    try:
        with Image.open(path) as picture:
            image = to_image(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise LumosXError(f"case: {_short(path)} is no readable picture ({error}); replace it.") from error
    return Reference(kind, phrase, image, occurrence, f"case file {_short(path)}", full_body)


def natural(path: Path) -> list[tuple[int, int | str]]:
    """What to sort by for 2 to come before 10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
