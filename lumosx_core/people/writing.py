"""A person as a folder that ``load_person`` reads back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from ..cases.description import CaseReference
from ..cases.reading import MOST_CASE_PIXELS
from ..cases.writing import picture_name
from ..errors import LumosXError
from ..media.pictures import MOST_PIXELS, is_picture_name, letterbox, pil_from_tensor
from ..scene.relations import Reference
from ..whole_folders import FolderKind, move_to_free_name, unfinished_beside
from .description import DESCRIPTION, MOST_REFERENCES, MOST_TEXT, PREVIEW, VIEWS, Description
from .person import LONGEST_NOTE, MOST_VIEWS, Person

PREVIEW_SIDE = 256
"""Pixels of each side of the preview."""


def write_person_folder(person: Person, target: Path, replace: bool = False) -> Path:
    """Write a person; pictures are kept in 8 bits.

    The folder is written aside and appears complete or not at all. What a kill left of an earlier time is put in order
    first, see ``FolderKind.put_back_leftovers``.

    Args:
        target: the folder to make; where something is there already it gets a number (Anna_2).
        replace: make exactly ``target``; a person who is there is kept beside it until the new one is in place. A
            folder that holds links, or files and folders that people do not have, is refused.

    Returns:
        The new folder.

    Raises:
        LumosXError: more than ``load_person`` reads, a folder in the way that is not a person, or one that cannot be
            written.
    """
    description, pictures = _described(person)
    _check_bounds(person, pictures)
    try:
        text = description.to_json().encode()
    except UnicodeEncodeError as error:
        raise LumosXError("note: the note or a phrase contains half of a character; type it again.") from error
    if len(text) > MOST_TEXT:
        raise LumosXError(f"note: {DESCRIPTION} would have {len(text)} bytes, but it can have {MOST_TEXT}; shorten it.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        PEOPLE.put_back_leftovers(target.parent)
        if replace:
            PEOPLE.check_replaceable(target)
        with unfinished_beside(target) as part:
            for file, image in pictures.items():
                (part / file).parent.mkdir(exist_ok=True)
                pil_from_tensor(image).save(part / file)
            shown = pil_from_tensor(next(iter(pictures.values())))
            letterbox(shown, PREVIEW_SIDE, PREVIEW_SIDE).save(part / PREVIEW)
            (part / DESCRIPTION).write_bytes(text)
            return PEOPLE.swap(part, target) if replace else move_to_free_name(part, target)
    except OSError as error:
        raise LumosXError(
            f"name: {target.name} cannot be written ({error.strerror or error}); choose another name or free some "
            "space."
        ) from error


def _described(person: Person) -> tuple[Description, dict[str, torch.Tensor]]:
    """What person.json says, and the pictures by their files."""
    files: dict[str, torch.Tensor] = {}
    # Names of ours that no phrase may take.
    taken = {PREVIEW}

    def entry(reference: Reference | None, prefix: str = "") -> CaseReference | None:
        if reference is None:
            return None
        file = None
        if reference.image is not None:
            file = picture_name(reference.phrase, prefix, taken)
            files[file] = reference.image
        own = dataclasses.astuple(reference.influence)
        return CaseReference(file, reference.phrase, reference.occurrence, reference.full_body, *own)

    subject = person.subject
    face = entry(subject.face, "face_")
    worn = [entry(attribute) for attribute in subject.attributes]
    body = entry(subject.full_body, "fullbody_")
    views = {f"{VIEWS}/{number:02}.png": image for number, image in enumerate(person.views, 1)}
    attributes = tuple(one for one in worn if one is not None)
    return Description(face, attributes, body, tuple(views), person.note), {**files, **views}


def _check_bounds(person: Person, pictures: dict[str, torch.Tensor]) -> None:
    """Refuse what ``load_person`` would not read back."""
    references = len(person.subject.words) + (person.subject.full_body is not None)
    if references > MOST_REFERENCES:
        raise LumosXError(
            f"subject: it has {references} references, but a person can have {MOST_REFERENCES}; link fewer."
        )
    if len(person.views) > MOST_VIEWS:
        raise LumosXError(f"views: there are {len(person.views)} pictures, but a person can have {MOST_VIEWS}; link "
            "fewer.")
    if len(person.note) > LONGEST_NOTE:
        raise LumosXError(f"note: it has {len(person.note)} letters, but it can have {LONGEST_NOTE}; shorten it.")
    pixels = [image.shape[1] * image.shape[2] for image in pictures.values()]
    if max(pixels) > MOST_PIXELS or sum(pixels) > MOST_CASE_PIXELS:
        raise LumosXError(
            f"subject: its pictures are too large for a person, which can have {MOST_PIXELS // 10 ** 6} megapixels per "
            f"picture and {MOST_CASE_PIXELS // 10 ** 6} in all; make them smaller."
        )


def _is_file_of_a_person(file: Path) -> bool:
    if len(file.parts) == 1:
        return file.name == DESCRIPTION or is_picture_name(file)
    return len(file.parts) == 2 and file.parts[0] == VIEWS and is_picture_name(file)


PEOPLE = FolderKind(
    "a person", "name", DESCRIPTION, _is_file_of_a_person, lambda folder: folder.as_posix() == VIEWS
)
