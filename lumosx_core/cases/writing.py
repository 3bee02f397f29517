"""A scene as a case folder: the release's layout, and ``lumosx.json`` for what that cannot say."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import Counter
from pathlib import Path

from ..errors import LumosXError
from ..files import DEVICE_NAME
from ..media.pictures import MOST_PIXELS, is_picture_name, pil_from_tensor
from ..scene.relations import Kind, Reference, Scene
from ..whole_folders import FolderKind, move_to_next_number, unfinished_beside
from .description import DESCRIPTION, MOST_REFERENCES, MOST_TEXT, PARTS, CasePerson, CaseReference, Description
from .reading import CAPTION, FACE, FULL_BODY, MOST_CASE_PIXELS

# Both scripts of the release pass over pictures of this name.
_FULL_BODY_PREFIX = "fullfullbody_"
_A = {Kind.FACE: "a face", Kind.ATTRIBUTE: "an attribute", Kind.OBJECT: "an object", Kind.BACKGROUND: "a background"}
_MOST_BYTES = 120
"""Of a picture's name, so that it and its folder fit every file system."""
_FORBIDDEN = re.compile(r"[<>:\"/\\|?*\x00-\x1f\x7f\ud800-\udfff]|^\.")


def check_case_name(name: str) -> None:
    """Whether a caption can hold a name.

    Raises:
        LumosXError: it is empty, or has a ``;`` or a line break, which end it there.
    """
    if not _tidy_name(name) or ";" in name or len(name.splitlines()) != 1:
        raise LumosXError(f"name: {name[:60]!r} cannot be the name of a case; type a name without \";\" and line "
            "breaks.")


def write_case_folder(scene: Scene, prompt: str, name: str, target: Path, replace: bool = False) -> Path:
    """Write a case so that ``load_case`` gives the same scene, prompt and name; pictures are kept in 8 bits.

    The folder is written aside and appears complete or not at all. What a kill left of an earlier time is put in order
    first, see ``FolderKind.put_back_leftovers``.

    Args:
        target: the folder to make, without its number: ``case`` becomes ``case_00001``, or the next that is free.
        replace: make exactly ``target``; a case that is there is kept beside it until the new one is in place. One that
            holds links, or files and folders that cases do not have, is refused.

    Returns:
        The new folder.

    Raises:
        LumosXError: a name or a prompt that a caption cannot hold, more than ``load_case`` reads, a folder in the way
            that is not a case, or one that cannot be written.
    """
    check_case_name(name)
    prompt = " ".join(prompt.split())
    if not prompt:
        raise LumosXError("prompt: it is empty; type or link the prompt that contains every phrase.")
    description, pictures = _described(scene)
    try:
        texts = {
            CAPTION: f"{_tidy_name(name)};{prompt}".encode(),
            DESCRIPTION: description.to_json().encode(),
        }
    except UnicodeEncodeError as error:
        raise LumosXError(
            "prompt: the text, the name or a phrase contains half of a character; type it again."
        ) from error
    _check_bounds(description, pictures, texts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        CASES.put_back_leftovers(target.parent)
        if replace:
            CASES.check_replaceable(target)
        with unfinished_beside(target) as part:
            for file, reference in pictures.items():
                if reference.image is not None:
                    (part / file).parent.mkdir(parents=True, exist_ok=True)
                    pil_from_tensor(reference.image).save(part / file)
            for file, text in texts.items():
                (part / file).write_bytes(text)
            return CASES.swap(part, target) if replace else move_to_next_number(part, target)
    except OSError as error:
        raise LumosXError(
            f"folder: {target.name} cannot be written ({error.strerror or error}); choose another folder or free some "
            "space."
        ) from error


def _check_bounds(description: Description, pictures: dict[str, Reference], texts: dict[str, bytes]) -> None:
    """Refuse what ``load_case`` would not read back."""
    if len(description.entries) > MOST_REFERENCES:
        raise LumosXError(
            f"relations: the scene has {len(description.entries)} references, but a case can have {MOST_REFERENCES}; "
            "save it as several cases."
        )
    for file, text in texts.items():
        if len(text) > MOST_TEXT:
            raise LumosXError(
                f"prompt: {file} would have {len(text)} bytes, but a case can have {MOST_TEXT}; shorten the prompt, "
                "the name or the phrases."
            )
    pixels = {file: picture.image.shape[1] * picture.image.shape[2] for file, picture in pictures.items()
              if picture.image is not None}
    if max(pixels.values(), default=0) > MOST_PIXELS or sum(pixels.values()) > MOST_CASE_PIXELS:
        largest = pictures[max(pixels, key=pixels.__getitem__)].phrase
        raise LumosXError(
            f"relations: the picture of \"{largest}\" is too large for a case, which can have "
            f"{MOST_PIXELS // 10 ** 6} megapixels per picture and {MOST_CASE_PIXELS // 10 ** 6} in all; make it "
            "smaller."
        )


def picture_name(phrase: str, prefix: str, taken: set[str]) -> str:
    """A file name for a phrase that every system takes; the phrase itself wherever that is possible.

    Args:
        prefix: what the name begins with; if it is empty, the name does not begin as that of a face or a full body.
        taken: names of the folder that are used already; the new one is added.
    """
    stem = _FORBIDDEN.sub("_", prefix + phrase)
    if not prefix and (FACE.match(stem) or FULL_BODY.match(stem)) or DEVICE_NAME.match(stem):
        stem = "_" + stem
    stem = stem.encode()[:_MOST_BYTES].decode(errors="ignore")
    name, number = f"{stem}.png", 1
    while _alike(name) in taken:
        number += 1
        name = f"{stem} ({number}).png"
    taken.add(_alike(name))
    return name


def release_warnings(scene: Scene, prompt: str) -> list[str]:
    """What the release's scripts make of the folder of a scene otherwise than it is meant, one sentence each.

    They take every picture of a person whose name has "face" in it for the face, with the words after its first "_";
    an object's or a background's words end at the first dot; of a person's pictures, or of all others, one with the
    same words replaces another; and a "{" in the prompt begins something else.
    """
    found, read = [], Counter()
    description, pictures = _described(scene)
    for file, reference in pictures.items():
        kind, phrase = _as_the_release_reads(file)
        if kind is None:
            if not reference.full_body:
                found.append(f"The release ignores \"{reference.phrase}\", since it takes it for a full body.")
            continue
        if (kind, phrase) != (reference.kind, reference.phrase):
            words = f"with the words \"{phrase}\"" if phrase else "without words, bound to nothing"
            found.append(f"The release reads \"{reference.phrase}\" as {_A[kind]} {words}.")
        folder = file.rpartition("/")[0]
        read[folder if folder.startswith("subjects") else "", phrase] += 1
    found += [f"The release uses only one of the {count} pictures with the words \"{phrase}\"."
              for (_, phrase), count in read.items() if count > 1]
    for number, person in enumerate(description.subjects, 1):
        if person.face is not None and person.face.file is None:
            found.append(f"The release does not see the words of subject {number}, \"{person.face.phrase}\", since "
                         "there is no face picture.")
        found += [f"The release does not see \"{entry.phrase}\" of subject {number}, since it has no picture."
                  for entry in person.attributes if entry.file is None]
    found += [f"The release does not see the words \"{entry.phrase}\", since they have no picture."
              for entry in (*description.objects, description.background) if entry is not None and entry.file is None]
    if "{" in prompt or prompt.startswith("|0|"):
        found.append("The release does not read a \"{\" in the prompt, or \"|0|\" at its start, as words.")
    return found


def _as_the_release_reads(file: str) -> tuple[Kind | None, str]:
    """Kind and phrase of a file of a case; None for a file that is ignored."""
    part, *_, name = file.split("/")
    if part != "subjects":
        return Kind.OBJECT if part == "objects" else Kind.BACKGROUND, name.partition(".")[0]
    if _FULL_BODY_PREFIX.rstrip("_") in name:
        return None, ""
    stem = name.rpartition(".")[0]
    return (Kind.FACE, stem.partition("_")[2]) if "face" in name else (Kind.ATTRIBUTE, stem)


def _tidy_name(name: str) -> str:
    """As reading gives it back; a byte order mark would be taken for the file's."""
    return " ".join(name.replace("\ufeff", "").split())


def _alike(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _described(scene: Scene) -> tuple[Description, dict[str, Reference]]:
    """What lumosx.json says, and the pictures by their files."""
    files: dict[str, Reference] = {}
    taken: dict[str, set[str]] = {}

    def entry(reference: Reference, folder: str, prefix: str = "") -> CaseReference:
        file = None
        if reference.image is not None:
            file = f"{folder}/{picture_name(reference.phrase, prefix, taken.setdefault(folder, set()))}"
            files[file] = reference
        own = dataclasses.astuple(reference.influence)
        return CaseReference(file, reference.phrase, reference.occurrence, reference.full_body, *own)

    def object_entry(reference: Reference) -> CaseReference:
        owner = scene.owner_of(reference) if reference.full_body else None
        # Somebody without a group would leave a folder without a face, which the release cannot read.
        return entry(reference, "objects") if owner is None else entry(
            reference, f"subjects/{owner + 1}", _FULL_BODY_PREFIX
        )

    description = Description(
        None if scene.background is None else entry(scene.background, "background"),
        tuple(map(object_entry, scene.objects)),
        tuple(
            CasePerson(
                None if subject.face is None else entry(subject.face, f"subjects/{number}", "face_"),
                tuple(entry(attribute, f"subjects/{number}") for attribute in subject.attributes),
            )
            for number, subject in enumerate(scene.subjects, 1)
        ),
    )
    return description, files


def _is_file_of_a_case(file: Path) -> bool:
    if file.as_posix() in (CAPTION, DESCRIPTION):
        return True
    part, depth = file.parts[0], len(file.parts)
    return part in PARTS and depth == (3 if part == "subjects" else 2) and is_picture_name(file)


def _is_folder_of_a_case(folder: Path) -> bool:
    return folder.parts[0] in PARTS and len(folder.parts) <= (2 if folder.parts[0] == "subjects" else 1)


CASES = FolderKind("a case", "folder", CAPTION, _is_file_of_a_case, _is_folder_of_a_case)
