"""People that are kept under ComfyUI's ``models/lumosx/people``: listed, resolved, read, written and never left."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from comfy_execution.graph_utils import ExecutionBlocker

from ...errors import LumosXError
from ...files import DEVICE_NAME
from ...media.contact_sheet import SheetRow, draw_sheet
from ...people import Person, load_person, write_person_folder
from ...people.person import OtherWords, called, person_of
from ...people.sources import ZIP, open_person
from ...people.writing import PEOPLE
from ...scene.relations import Scene, Subject
from ...scene.report import binder_report
from ...untrusted import inside, shown
from ...whole_folders import UNFINISHED, replaced_by
from ..conditioning.scene import log_warnings
from ..weights.face_models import LUMOSX, PEOPLE_FOLDER, folders_of
from .frames import as_picture, as_pixels, split_batch

_MOST_PEOPLE = 4096
_MOST_BYTES = 200
# What Windows allows in a name, which is less than others do; without names that the list ignores.
_NAME = re.compile(
    rf"(?!{DEVICE_NAME.pattern})" r"(?![\s.])[^<>:\"/\\|?*\x00-\x1f\x7f\ud800-\udfff]{1,100}(?<![\s.])"
    rf"(?<!{re.escape(UNFINISHED)})(?<!{re.escape(ZIP)})", re.IGNORECASE
)


def list_people() -> list[str]:
    """Names of all people, sorted: of folders, and of zip files with their ending."""
    found = set()
    for root in _roots():
        try:
            with os.scandir(root) as opened:
                entries = list(itertools.islice(opened, _MOST_PEOPLE))
        except OSError:
            # No such folder, or one that we may not list.
            continue
        found |= {entry.name for entry in entries if _is_listed(entry)}
    return sorted(found, key=str.casefold)


def person_path(name: str) -> Path:
    """The folder or zip file of a person by the name in the list; it cannot lead out of the folder of people.

    Raises:
        LumosXError: there is nobody of this name.
    """
    plain = isinstance(name, str) and name and not name.startswith(".") and not set(name) & set("/\\:\0")
    for root in _roots() if plain else ():
        # While somebody is replaced, and after a kill just then, the old one counts.
        for path in (inside(root, root / name), inside(root, replaced_by(root / name))):
            # Too long a name, or one that may not be looked at.
            if path is not None and os.path.exists(path):
                return path
    raise LumosXError(
        f"person: there is nobody called \"{shown(str(name)[:200])}\" in models/{LUMOSX}/{PEOPLE_FOLDER}; put the "
        "person's folder or zip file there itself, not a link, and press R, or choose another."
    )


def person_fingerprint(name: str) -> str:
    """Changes whenever a file of the person does; raises as ``person_path`` and ``open_person``."""
    path = person_path(name)
    files = [path] if path.is_file() else [path / file for file in open_person(path).files]
    digest = hashlib.sha256()
    for file in files:
        try:
            state = file.stat()
        except OSError as error:
            raise LumosXError(
                f"person: {shown(file.name)} of {shown(path.name)} cannot be read ({error.strerror}); try again."
            ) from error
        digest.update(os.fsencode(file) + f"|{state.st_size}|{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def check_person_name(name: str) -> None:
    """Raises LumosXError for a name that cannot be a folder's on every system."""
    if not _NAME.fullmatch(name.strip()) or len(name.strip().encode()) > _MOST_BYTES:
        raise LumosXError(f"name: {shown(name[:60])!r} cannot be a folder name; use letters, digits, - and _.")


@dataclass(frozen=True)
class Keeping:
    """How somebody is kept.

    Attributes:
        name: of the folder.
        note: anything.
        number: of the person in a scene, from 1.
        replace: write over somebody of that name, instead of adding a number.
    """

    name: str
    note: str = ""
    number: int = 1
    replace: bool = False


def keep_person(
    subject: Subject | None, relations: Scene | None, views: torch.Tensor | None, how: Keeping
) -> tuple[str, str, torch.Tensor]:
    """Write a person to ``models/lumosx/people``.

    Args:
        subject: who it is; None where a scene is given.
        relations: a scene to take somebody of; None where ``subject`` is given.
        views: further pictures [N, H, W, channels].

    Returns:
        The name in ``list_people``, a report, and a picture of all pictures [1, H, W, 3].

    Raises:
        LumosXError: both or neither given, nobody with that number, a bad name, or what ``write_person_folder``
            refuses.
    """
    check_person_name(how.name)
    if subject is not None and relations is not None:
        raise LumosXError("relations: a subject is linked too, and one person is saved; unlink one of the two.")
    if subject is None:
        if relations is None:
            raise LumosXError("subject: nothing is linked; link LumosX Subject here, or a scene to relations.")
        subject = person_of(relations, how.number)
    elif how.number != 1:
        raise LumosXError(
            f"number: it is {how.number}, but it only counts people of relations, and a subject is linked; set it to 1."
        )
    person = Person(subject, () if views is None else tuple(split_batch(views, "views")), how.note)
    made = write_person_folder(person, _own_root() / how.name.strip(), how.replace)
    return made.name, f"- Saved in {made}\n{_report(person, ())}", as_picture(draw_sheet(_rows(made.name, person)))


@dataclass(frozen=True)
class Kept:
    """What LumosX Load Person gives; an ``ExecutionBlocker`` where there is no such picture.

    Attributes:
        subject: under the words of this prompt.
        face: [1, H, W, 3].
        pictures: of everything with words, in order.
        views: further pictures.
        note, report: text.
        sheet: all pictures in one [1, H, W, 3].
    """

    subject: Subject
    face: torch.Tensor | ExecutionBlocker
    pictures: list[torch.Tensor]
    views: list[torch.Tensor] | ExecutionBlocker
    note: str
    report: str
    sheet: torch.Tensor


def open_kept(name: str, words: OtherWords) -> Kept:
    """Read a person by the name in ``list_people``; what was left out is logged too.

    Raises:
        LumosXError: nobody of this name, what ``load_person`` refuses, or words that do not fit the person.
    """
    person, notes = load_person(person_path(name))
    subject = called(person.subject, words)
    person = dataclasses.replace(person, subject=subject)
    log_warnings(notes)
    pictures = [reference.image for reference in person.references if reference.image is not None]
    face = None if subject.face is None else subject.face.image
    return Kept(
        subject,
        _missing("face", name, "face") if face is None else face,
        pictures,
        list(person.views) or _missing("views", name, "further pictures"),
        person.note,
        _report(person, notes),
        as_picture(draw_sheet(_rows(name, person))),
    )


def tidy_people() -> None:
    """Put in order what a kill left of LumosX Save Person; called once, when ComfyUI starts."""
    for root in _roots():
        PEOPLE.put_back_leftovers(root)


def _missing(output: str, name: str, what: str) -> ExecutionBlocker:
    return ExecutionBlocker(f"LumosX Load Person {output}: {shown(name)} has no {what}; unlink this output.")


def _report(person: Person, notes: Iterable[str]) -> str:
    report = binder_report(Scene.of_people(None, (), [person.subject]))
    further = [f"- Further pictures: {len(person.views)}."] if person.views else []
    remembered = [f"- Note: {' '.join(person.note.split())}"] if person.note.strip() else []
    return "\n".join([report, *further, *remembered, *(f"- **Note:** {note}" for note in notes)])


def _rows(name: str, person: Person) -> list[SheetRow]:
    rows = [
        SheetRow(reference.phrase, [as_pixels(reference.image)])
        for reference in person.references if reference.image is not None
    ]
    views = [SheetRow(f"{name}: further pictures", [as_pixels(view) for view in person.views])] if person.views else []
    return rows + views


def _is_listed(entry: os.DirEntry) -> bool:
    name = entry.name
    if name.startswith(".") or name.endswith(UNFINISHED) or set(name) & set("\\:") or not _is_text(name):
        return False
    try:
        return entry.is_dir() or name.lower().endswith(ZIP) and entry.is_file()
    except OSError:
        return False


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _roots() -> list[Path]:
    return [(folder / PEOPLE_FOLDER).resolve() for folder in folders_of(LUMOSX)]


def _own_root() -> Path:
    return _roots()[0]
