"""The reference pictures: a crop of each face, and cut-outs on white of what people wear and of objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..faces.crop import Margins, crop_box
from ..faces.quality import measure_quality
from ..media.contact_sheet import SheetRow, draw_sheet
from ..media.cutouts import SMALLEST_SHARE, USUAL_FILL, cut_out
from ..media.pictures import pil_from_tensor, tensor_from_pil
from ..scores.attributes.regions import cut
from .backends import Backends
from .entities import numbered_frames
from .frames import read_frames
from .people import face_from
from .settings import Settings
from .work import Rejected, Result, read_mask, read_pixels, result_of, stage, write_picture

SHEET = "sheet.jpg"
_LEAST_SIDE = 24
"""Pixels of the short side of a cut-out; less is no likeness at all."""


@stage("pictures", "owners")
def pictures(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Take each picture from the frame that shows it best, and draw a contact sheet of them."""
    said, voted = result_of(folder, "entities"), result_of(folder, "owners")
    located, frames = result_of(folder, "places")["phrases"], read_frames(folder)
    found, notes = [], []
    for person in said["people"]:
        own = {"words": person["words"], "which": person["which"], "box": person["box"],
               "face": _face(folder, person["box"], frames), "attributes": []}
        for each in person["attributes"]:
            places = _of_owner(located[each["words"]], voted["seen"][each["words"]], person["box"])
            file = f"pictures/person_{person['box']}_thing_{len(own['attributes']) + 1}.png"
            made = _thing(folder, each["words"], places, frames, file, notes)
            own["attributes"] += [{**each, "file": made}] if made else []
        found.append(own)
    objects = []
    for each in said["objects"]:
        places = _of_owner(located[each["words"]], voted["seen"][each["words"]], None)
        made = _thing(folder, each["words"], places, frames, f"pictures/object_{len(objects) + 1}.png", notes)
        objects += [{**each, "file": made}] if made else []
    if not any(person["attributes"] for person in found) and not objects:
        raise Rejected("nothing to show", f"No picture of anything but faces: {'; '.join(notes) or 'none is named'}.")
    _write_sheet(folder, found, objects)
    files = [file for person in found for file in (person["face"], *(each["file"] for each in person["attributes"]))]
    return {"people": found, "objects": objects, "notes": notes,
            "files": [*files, *(each["file"] for each in objects), SHEET]}


def _face(folder: Path, box: int, frames: dict[int, np.ndarray]) -> str:
    """Save the crop of the best face of a person: straight, whole and sharp."""
    entries = result_of(folder, "people")["people"][box - 1]["faces"]
    faces = {int(number): face_from(entry) for number, entry in entries.items()}

    def worth(number: int) -> tuple[int, float]:
        quality = measure_quality(frames[number], faces[number])
        return -len(quality.problems()), quality.frontality * quality.short_side

    best = max(faces, key=worth)
    height, width = frames[best].shape[:2]
    crop = cut(frames[best], crop_box(faces[best], Margins(), width, height))
    return write_picture(folder, f"pictures/face_{box}.png", Image.fromarray(crop))


def _of_owner(
    frames: dict[str, list[Result]], seen: dict[str, list[int | None]], owner: int | None
) -> list[tuple[int, Result]]:
    """The places of a thing that are its owner's, with their frames; of an object all that are nobody's."""
    return [
        (int(number), place) for number, places in frames.items()
        for place, whose in zip(places, seen[number]) if whose == owner
    ]


def _thing(
    folder: Path, phrase: str, places: list[tuple[int, Result]], frames: dict[int, np.ndarray], file: str,
    notes: list[str],
) -> str | None:
    """Save the cut-out of a thing where it is largest; None, and a note, where no place is good enough."""
    if not places:
        notes.append(f"\"{phrase}\" is not seen")
        return None
    masks = [(number, read_mask(folder, place["mask"])) for number, place in places]
    number, mask = max(masks, key=lambda one: one[1].sum())
    picture = tensor_from_pil(Image.fromarray(frames[number]))
    made = cut_out(picture, torch.from_numpy(mask)[None].float())
    fill = made.mask.mean().item()
    if mask.mean() < SMALLEST_SHARE or min(made.box.width, made.box.height) < _LEAST_SIDE:
        notes.append(f"\"{phrase}\" is too small")
    elif not USUAL_FILL[0] <= fill:
        notes.append(f"the mask of \"{phrase}\" fills {fill:.0%} of its box")
    else:
        return write_picture(folder, file, pil_from_tensor(made.image))
    return None


def _write_sheet(folder: Path, people: list[Result], objects: list[Result]) -> None:
    rows = [SheetRow("frames", numbered_frames(folder))]
    for person in people:
        words = ", ".join(each["words"] for each in person["attributes"])
        files = [person["face"], *(each["file"] for each in person["attributes"])]
        rows.append(SheetRow(f"{person['box']}: {person['words']}: {words}"[:80],
                             [read_pixels(folder, file) for file in files]))
    if objects:
        title = "objects: " + ", ".join(each["words"] for each in objects)
        rows.append(SheetRow(title[:80], [read_pixels(folder, each["file"]) for each in objects]))
    write_picture(folder, SHEET, Image.fromarray(draw_sheet(rows)))
