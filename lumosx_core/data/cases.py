"""The end of the pipeline: a case folder with its video, and the training record in the release's form."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from ..cases.writing import picture_name, write_case_folder
from ..errors import LumosXError
from ..files import write_aside
from ..media.pictures import tensor_from_pil
from ..scene.binding import bind_prompt, letter_tokens
from ..scene.relations import Kind, Reference, Scene, Subject
from .backends import Backends
from .settings import Settings
from .shots import CLIP
from .work import Rejected, Result, read_mask, read_pixels, result_of, stage, write_mask

CASE, RECORD = "case", "record"
"""Folders below a clip's work folder; ``build`` copies the first to where cases are collected."""
VIDEO = "video.mp4"


@stage("case", "pictures")
def case(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Write ``case/``, which training takes, and ``record/info.json`` with its masks."""
    made, said = result_of(folder, "pictures"), result_of(folder, "caption")["caption"]
    scene = scene_of(folder, made)
    try:
        bind_prompt(letter_tokens, scene, said)
        shutil.rmtree(folder / CASE, ignore_errors=True)
        write_case_folder(scene, said, f"{folder.parent.name}_{folder.name}", folder / CASE, replace=True)
    except LumosXError as error:
        raise Rejected("not bound", str(error)) from error
    _link(folder / CLIP, folder / CASE / VIDEO)
    files = [path for path in (folder / CASE).rglob("*") if path.is_file()]
    files += _write_record(folder, made)
    return {"files": sorted(path.relative_to(folder).as_posix() for path in files)}


def scene_of(folder: Path, made: Result) -> Scene:
    """The scene of the pictures of a clip, people in the order of their numbers."""

    def reference(kind: Kind, entry: Result, file: str) -> Reference:
        picture = tensor_from_pil(Image.fromarray(read_pixels(folder, file)))
        return Reference(kind, entry["words"], picture, entry["which"])

    return Scene(None, tuple(reference(Kind.OBJECT, each, each["file"]) for each in made["objects"]), tuple(
        Subject(reference(Kind.FACE, person, person["face"]),
                tuple(reference(Kind.ATTRIBUTE, each, each["file"]) for each in person["attributes"]))
        for person in made["people"]
    ))


def _write_record(folder: Path, made: Result) -> list[Path]:
    """The form of the release's data loader: word tags with a mask for each frame, and the boxes of the faces."""
    shutil.rmtree(folder / RECORD, ignore_errors=True)
    (folder / RECORD).mkdir()
    found, seen = result_of(folder, "people")["people"], result_of(folder, "owners")["seen"]
    located = result_of(folder, "places")["phrases"]

    def masks(place: str, phrase: str, own: dict[str, np.ndarray]) -> list[str]:
        # A folder for each thing, since two people may wear things of the same words.
        stem = picture_name(phrase.replace(" ", "_"), "", set()).removesuffix(".png")
        return [write_mask(folder, f"{RECORD}/{place}/{stem}_frame{number}.png", mask).removeprefix(f"{RECORD}/")
                for number, mask in own.items()]

    def things(place: str, entry: Result, owner: int | None) -> dict[str, list[str]]:
        own: dict[str, np.ndarray] = {}
        for number, places in located[entry["words"]].items():
            for each, whose in zip(places, seen[entry["words"]][number]):
                if whose == owner:
                    own.setdefault(number, read_mask(folder, each["mask"]))
        return {entry["words"]: masks(place, entry["words"], own)}

    people = []
    for person in made["people"]:
        entry, place = found[person["box"] - 1], f"person_{person['box']}"
        bodies = {number: read_mask(folder, file) for number, file in entry["masks"].items()}
        boxes = {number: list(map(round, face["box"])) for number, face in entry["faces"].items()}
        people.append({
            "subject": {person["words"]: masks(f"{place}/subject", person["words"], bodies), "face": boxes},
            "attributes": [things(f"{place}/thing_{index}", each, person["box"])
                           for index, each in enumerate(person["attributes"], 1)],
        })
    info = {
        "video": f"../{CASE}/{VIDEO}", "selected_frames": result_of(folder, "frames")["chosen"],
        "word_tags_path": {
            "person": people,
            "other_subjects": [things(f"object_{index}", each, None) for index, each in enumerate(made["objects"], 1)],
            "background": {},
        },
    }
    write_aside(folder / RECORD / "info.json", json.dumps(info, ensure_ascii=False, indent=1).encode())
    return [path for path in (folder / RECORD).rglob("*") if path.is_file()]


def _link(source: Path, target: Path) -> None:
    """The same file twice where the disk can do that, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
