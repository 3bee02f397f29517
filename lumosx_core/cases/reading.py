"""Test-case folders in the format of the release: pictures whose file names are the phrases.

``caption.txt`` = ``name;prompt``, ``subjects/<n>/face_<phrase>.png``, ``subjects/<n>/<phrase>.png``,
``objects/<phrase>.png``, ``background/<phrase>.png``. A ``lumosx.json`` beside them says what names cannot.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LumosXError
from ..media.pictures import KINDS, MOST_BYTES, MOST_PIXELS, PictureError, decode_picture, is_picture_name
from ..scene.relations import Kind, Reference, Scene, Subject
from ..untrusted import LEADS_OUT, children, inside, read_inside, shown
from .description import (
    DESCRIPTION,
    MOST_TEXT,
    PARTS,
    CaseReference,
    Description,
    check_reference_count,
    file_key,
    read_description,
)

CAPTION = "caption.txt"
MOST_CASE_PIXELS = 8 * MOST_PIXELS
"""Of all pictures of a case together; each pixel takes 12 bytes of memory."""
MOST_NOTES = 64
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
    """Read a case folder, which may be a stranger's: nothing outside of it is read, and nothing without a bound.

    With a ``lumosx.json`` that decides on order, phrases and occurrences; pictures that it does not name follow, and
    the notes name them. Otherwise files are taken in natural order (2 before 10), faces before attributes. Dotfiles are
    ignored, anything else that is not a picture, and links that lead out, are named in the notes.

    Args:
        full_bodies: take pictures of whole persons as stand-alone references, if their name alone says that they are.

    Raises:
        LumosXError: no folder, no caption, a broken or too large picture, an empty phrase, nothing to bind, more than
            64 references, a ``lumosx.json`` that does not fit the folder, or something that cannot be read.
    """
    try:
        return _load(folder, full_bodies)
    except OSError as error:
        raise unreadable(folder, error) from error


def unreadable(folder: Path, error: OSError) -> LumosXError:
    """The sentence for a file of a case that cannot be read."""
    name = Path(error.filename or folder).name
    return LumosXError(
        f"case: {shown(name)} of {shown(folder.name)} cannot be read ({error.strerror}); make the case's files "
        "readable."
    )


def _load(folder: Path, full_bodies: bool) -> Case:
    if not folder.is_dir():
        raise LumosXError(
            f"case: there is no folder {shown(folder.name)}; put the case folder into ComfyUI's input folder."
        )
    name, prompt = read_caption(folder)
    notes = _stray_entries(folder)
    description = read_description(folder)
    pictures = _Pictures(folder, notes)
    found = _Found() if description is None else _described(pictures, description)
    _add_by_name(pictures, found, description, full_bodies)
    people = [subject for person in found.people.values() if (subject := person.subject()) is not None]
    if found.background is None and not found.objects and not people:
        because = f" ({notes[0].rstrip('.')})" if notes else ""
        raise LumosXError(
            f"case: {shown(folder.name)} holds no pictures; it needs subjects/1/face_<phrase>.png, "
            f"objects/<phrase>.png or background/<phrase>.png{because}."
        )
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"{len(notes) - MOST_NOTES} more files were left out or added."]
    return Case(name, prompt, Scene.of_people(found.background, found.objects, people), tuple(notes))


def case_files(folder: Path) -> list[Path]:
    """Every file of a case, sorted, without links that lead out of it.

    Raises:
        LumosXError: a folder with too many files in it, or one that cannot be read.
    """
    try:
        return sorted(path for path in _case_entries(folder) if inside(folder, path) and path.is_file())
    except OSError as error:
        raise unreadable(folder, error) from error


def links_out(folder: Path) -> list[Path]:
    """The entries of a case that lead out of it, sorted.

    Raises:
        LumosXError: as for ``case_files``.
    """
    return sorted(path for path in _case_entries(folder) if inside(folder, path) is None)


def _case_entries(folder: Path) -> list[Path]:
    """The entries of a case, of its parts and of the folders of its people; nothing behind a link that leads out."""
    try:
        found = children(folder)
        people = _children(folder / "subjects") if inside(folder, folder / "subjects") else []
        for place in (*(folder / part for part in PARTS), *people):
            if inside(folder, place):
                found += _children(place)
        return found
    except OSError as error:
        raise unreadable(folder, error) from error


def _children(folder: Path) -> list[Path]:
    return children(folder) if folder.is_dir() else []


def _stray_entries(folder: Path) -> list[str]:
    """The entries of a case beside its parts; a picture there probably belongs into one of them."""
    stray = [path for path in sorted(children(folder), key=natural)
             if path.name not in (CAPTION, DESCRIPTION, *PARTS)]
    return [f"{shown(path.name)} was left out: a case has only {CAPTION}, {', '.join(PARTS)}." for path in stray]


def read_caption(folder: Path) -> tuple[str, str]:
    """Name and prompt of a case.

    Raises:
        LumosXError: no caption, or one without a prompt.
        OSError: it cannot be read.
    """
    path, place = folder / CAPTION, f"{shown(folder.name)}/{CAPTION}"
    # A link that leads out is refused whether there is anything at its end or not.
    if inside(folder, path) is not None and not path.is_file():
        raise LumosXError(f"case: {shown(folder.name)} has no {CAPTION}; write one line \"name;prompt\" into it.")
    try:
        text = " ".join(read_inside(folder, path, MOST_TEXT).decode("utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise LumosXError(f"case: {place} is not UTF-8 text; save it as UTF-8.") from error
    name, separator, prompt = text.partition(";")
    if not separator:
        name, prompt = folder.name, text
    if not prompt.strip():
        raise LumosXError(f"case: {place} has no prompt; write \"name;prompt\" into it.")
    return name.strip() or folder.name, prompt.strip()


def _described(pictures: _Pictures, description: Description) -> _Found:
    def read(kind: Kind, entry: CaseReference) -> Reference:
        if entry.file is None:
            source = f"case file {DESCRIPTION}"
            return Reference(kind, entry.phrase, None, entry.occurrence, source, entry.full_body, entry.influence)
        path = pictures.folder / entry.file
        found = pictures.read(path, kind, entry.phrase, entry.occurrence, entry.full_body)
        return dataclasses.replace(found, influence=entry.influence)

    found = _Found(objects=[read(Kind.OBJECT, entry) for entry in description.objects])
    if description.background is not None:
        found.background = read(Kind.BACKGROUND, description.background)
    for number, person in enumerate(description.subjects):
        files = [entry.file for entry in (person.face, *person.attributes) if entry is not None and entry.file]
        place = files[0].split("/")[1] if files else ""
        # Two people in one folder differ only in their number, which is not the name of a folder.
        found.people[f"/{number}" if place in found.people else place] = _Person(
            None if person.face is None else read(Kind.FACE, person.face),
            [read(Kind.ATTRIBUTE, entry) for entry in person.attributes],
        )
    return found


def _add_by_name(pictures: _Pictures, found: _Found, description: Description | None, full_bodies: bool) -> None:
    """Take the pictures that no description names for what their names say."""
    folder, notes = pictures.folder, pictures.notes
    known = {file_key(entry.file) for entry in description.entries if entry.file} if description else set()

    def fresh(path: Path) -> bool:
        return file_key(path.relative_to(folder).as_posix()) not in known

    def add(path: Path) -> None:
        if description is not None:
            notes.append(f"{_short(path)} was added, although {DESCRIPTION} does not name it.")

    for path in filter(fresh, entries(folder, folder / "background", notes)):
        if found.background is not None:
            notes.append(f"{_short(path)} was left out: a scene has one background.")
            continue
        found.background = pictures.read(path, Kind.BACKGROUND, path.stem)
        add(path)
    for path in filter(fresh, entries(folder, folder / "objects", notes)):
        found.objects.append(pictures.read(path, Kind.OBJECT, path.stem))
        add(path)
    for place in entries(folder, folder / "subjects", notes, folders=True):
        paths = entries(folder, place, notes)
        person = found.people.setdefault(place.name, _Person())
        for path in filter(fresh, paths):
            if _take(path, person, full_bodies, pictures):
                add(path)
        if person.subject() is None and all(map(fresh, paths)):
            notes.append(f"{_short(place)} was left out: it holds no pictures.")


def _take(path: Path, person: _Person, full_bodies: bool, pictures: _Pictures) -> bool:
    """Whether a picture of a person's folder became part of the person; if not, a note says why."""
    prefix, _, phrase = path.stem.partition("_")
    if body := FULL_BODY.match(path.stem):
        if not full_bodies or body.group() != prefix:
            pictures.notes.append(
                f"{_short(path)} was left out, as in the release; set full_body of LumosX Load Case to use "
                "fullbody_<phrase>.png."
            )
        elif person.full_body is not None:
            pictures.notes.append(f"{_short(path)} was left out: a subject has one full body.")
        else:
            person.full_body = pictures.read(path, Kind.OBJECT, phrase, full_body=True)
            return True
    elif not FACE.match(path.stem):
        person.attributes.append(pictures.read(path, Kind.ATTRIBUTE, path.stem))
        return True
    elif person.face is not None:
        pictures.notes.append(f"{_short(path)} was left out: a subject has one face.")
    else:
        person.face = pictures.read(path, Kind.FACE, phrase)
        return True
    return False


def entries(root: Path, folder: Path, notes: list[str], folders: bool = False) -> list[Path]:
    """The pictures, or the folders, in a folder of the case ``root``; none if it is missing or leads out of the case.

    Raises:
        LumosXError: too many to be a case.
    """
    if inside(root, folder) is None:
        notes.append(f"{shown(folder.name)} was left out: {LEADS_OUT}.")
        return []
    found = []
    for path in sorted(_children(folder), key=natural):
        reason = _refusal(root, path, folders)
        if reason:
            notes.append(f"{_short(path)} was left out: {reason}.")
        else:
            found.append(path)
    if folders:
        check_reference_count(root, len(found))
    return found


def _refusal(root: Path, path: Path, folder: bool) -> str:
    """Why something is not taken for a picture, or for a folder of pictures; empty if it is."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if inside(root, path) is None:
        return LEADS_OUT
    if folder:
        return "" if path.is_dir() else "it is not a folder"
    if not is_picture_name(path):
        return f"it is not a picture ({KINDS})"
    return "" if path.is_file() else "it is not a regular file"


@dataclass
class _Pictures:
    """Reads a case's pictures as references and counts what they take.

    Attributes:
        folder: of the case.
        notes: gets a sentence for each picture of which only a part is read.
    """

    folder: Path
    notes: list[str]
    _count: int = 0
    _pixels: int = 0

    def read(
        self, path: Path, kind: Kind, phrase: str, occurrence: int = 0, full_body: bool = False
    ) -> Reference:
        self._count += 1
        check_reference_count(self.folder, self._count)
        content = read_inside(self.folder, path, MOST_BYTES)
        try:
            image, several = decode_picture(content)
        except PictureError as error:
            raise LumosXError(f"case: {_short(path)} is not a readable picture ({error}); replace it.") from error
        self._pixels += image.shape[1] * image.shape[2]
        if self._pixels > MOST_CASE_PIXELS:
            raise LumosXError(
                f"case: the pictures of {shown(self.folder.name)} have more than {MOST_CASE_PIXELS / 1e6:g} megapixels "
                "together; make them smaller."
            )
        if several:
            self.notes.append(f"{_short(path)} has several frames or pages; the first is used.")
        return Reference(kind, phrase, image, occurrence, f"case file {_short(path)}", full_body)


def natural(path: Path) -> list[tuple[int, int | str]]:
    """What to sort by for 2 to come before 10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def _short(path: Path) -> str:
    return shown(f"{path.parent.name}/{path.name}")
