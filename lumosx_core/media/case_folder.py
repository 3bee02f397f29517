"""Test-case folders in the format of the release: pictures whose file names are the phrases.

``caption.txt`` = ``name;prompt``, ``subjects/<n>/face_<phrase>.png``, ``subjects/<n>/<phrase>.png``,
``objects/<phrase>.png``, ``background/<phrase>.png``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..errors import LumosXError
from ..relations import Kind, Reference, Scene, Subject
from .pictures import to_image

CAPTION = "caption.txt"
PARTS = ("subjects", "objects", "background")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_FACE = re.compile(r"face_", re.IGNORECASE)
_FULL_BODY = re.compile(r"full(full)?body", re.IGNORECASE)


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


def load_case(folder: Path) -> Case:
    """Read a case folder.

    Files are taken in natural order (2 before 10), faces before attributes; dotfiles are passed over, anything else
    that is no picture is named in the notes.

    Raises:
        LumosXError: no folder, no caption, a broken picture, an empty phrase, or nothing to bind.
    """
    if not folder.is_dir():
        raise LumosXError(f"case: there is no folder {folder.name}; put the case folder into ComfyUI's input folder.")
    name, prompt = _read_caption(folder)
    notes = _stray_entries(folder)
    background, *spare = _references(folder / "background", Kind.BACKGROUND, notes) or [None]
    notes += [f"background/{_file(extra)} was left out: a scene has one background." for extra in spare]
    objects = tuple(_references(folder / "objects", Kind.OBJECT, notes))
    subjects = tuple(
        subject for person in _entries(folder / "subjects", notes, folders=True)
        if (subject := _subject(person, notes)) is not None
    )
    if background is None and not objects and not subjects:
        raise LumosXError(
            f"case: {folder.name} holds no pictures; it needs subjects/1/face_<phrase>.png, objects/<phrase>.png "
            "or background/<phrase>.png."
        )
    return Case(name, prompt, Scene(background, objects, subjects), tuple(notes))


def case_files(folder: Path) -> list[Path]:
    """Every file that a case is made of, sorted, for telling whether it changed."""
    found = []
    # As reading does, this follows links; a folder that links to its own parent is seen once.
    seen = set()
    for place, children, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        children[:] = [child for child in children if os.path.realpath(os.path.join(place, child)) not in seen]
        found += [Path(place, file) for file in files if not file.startswith(".")]
    return sorted(path for path in found if path.is_file())


def _stray_entries(folder: Path) -> list[str]:
    """What lies in a case beside its parts; a picture there was surely meant for one of them."""
    stray = [path for path in sorted(folder.iterdir(), key=_natural)
             if path.name not in (CAPTION, *PARTS) and not path.name.startswith(".")]
    return [f"{path.name} was left out: a case has only {CAPTION}, {', '.join(PARTS)}." for path in stray]


def _read_caption(folder: Path) -> tuple[str, str]:
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


def _subject(folder: Path, notes: list[str]) -> Subject | None:
    faces, attributes = [], []
    for path in _entries(folder, notes):
        if _FULL_BODY.match(path.stem):
            notes.append(f"{_short(path)} was left out: a full-body picture belongs under objects.")
        elif _FACE.match(path.stem):
            faces.append(_read(path, Kind.FACE, path.stem.partition("_")[2]))
        else:
            attributes.append(_read(path, Kind.ATTRIBUTE, path.stem))
    notes += [f"{face.source} was left out: a subject has one face." for face in faces[1:]]
    if not faces and not attributes:
        notes.append(f"{_short(folder)} was left out: it holds no pictures.")
        return None
    return Subject(faces[0] if faces else None, tuple(attributes))


def _references(folder: Path, kind: Kind, notes: list[str]) -> list[Reference]:
    return [_read(path, kind, path.stem) for path in _entries(folder, notes)]


def _entries(folder: Path, notes: list[str], folders: bool = False) -> list[Path]:
    """The pictures, or the folders, in a folder; none if it is missing."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir(), key=_natural):
        if path.name.startswith("."):
            continue
        if path.is_dir() if folders else path.is_file() and path.suffix.lower() in PICTURES:
            found.append(path)
        else:
            notes.append(f"{_short(path)} was left out: it is no {'folder' if folders else 'picture'}.")
    return found


def _read(path: Path, kind: Kind, phrase: str) -> Reference:
    try:
        with Image.open(path) as picture:
            image = to_image(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise LumosXError(f"case: {_short(path)} is no readable picture ({error}); replace it.") from error
    return Reference(kind, phrase, image, source=f"case file {_short(path)}")


def _natural(path: Path) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _file(reference: Reference) -> str:
    return reference.source.rpartition("/")[2]
