"""Who is in the frames: the faces, the same people in every frame, and the pixels that belong to each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..faces.face import Face
from ..packages import scipy
from ..scores.attributes.colour import ColourLikeness
from ..scores.attributes.regions import person_regions
from ..scores.seen import SeenFrame
from .backends import Backends, Place
from .frames import read_frames
from .settings import MOST_PEOPLE, Settings
from .work import Rejected, Result, stage, write_mask

PERSON = "person"
"""The words by which a locator is asked for people."""
# Two people who look alike are told apart by where they are: as much as a tenth of likeness for a whole width.
_DISTANCE = 0.1


@stage("people", "frames", ("faces", "locator", "least_face", "least_score"))
def people(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Find one to three people who are in at least two of the frames, numbered from left to right in the first.

    Writes ``masks/person_N_frame_M.png``: what the locator says, or the region below the face.
    """
    seen = {}
    for number, pixels in read_frames(folder).items():
        faces = [face for face in backends.faces.detect(pixels) if min(face.width, face.height) >= settings.least_face]
        seen[number] = pixels, faces
    count = _count([len(faces) for _, faces in seen.values()])
    shown = {number: each for number, each in seen.items() if len(each[1]) == count}
    masks = {number: _masks(pixels, faces, backends, settings) for number, (pixels, faces) in shown.items()}
    order = _same_people(shown, masks)
    found = [{"faces": {}, "masks": {}} for _ in range(count)]
    for number, (_, faces) in shown.items():
        for person, index in enumerate(order[number]):
            face = faces[index]
            found[person]["faces"][str(number)] = {
                "box": list(map(float, face.box)), "score": float(face.score),
                "landmarks": np.asarray(face.landmarks, float).tolist(),
            }
            file = f"masks/person_{person + 1}_frame_{number}.png"
            found[person]["masks"][str(number)] = write_mask(folder, file, masks[number][index])
    return {"people": found, "files": [file for person in found for file in person["masks"].values()]}


def face_from(entry: Result) -> Face:
    """A face as ``people.json`` has it."""
    left, top, right, bottom = entry["box"]
    return Face((left, top, right, bottom), entry["score"], np.asarray(entry["landmarks"], float))


def _count(counts: Sequence[int]) -> int:
    """How many people at least two frames show.

    Raises:
        Rejected: none, too many, or each frame shows another number.
    """
    if not any(counts):
        raise Rejected("no people", "No frame shows a face that is large enough.")
    agreed = [count for count in set(counts) if counts.count(count) >= min(2, len(counts)) and count]
    if not agreed:
        raise Rejected("people change", f"The frames show {', '.join(map(str, counts))} people.")
    if max(agreed) > MOST_PEOPLE:
        raise Rejected("too many people", f"It shows {max(agreed)} people; {MOST_PEOPLE} is the most.")
    return max(agreed)


def _masks(pixels: np.ndarray, faces: list[Face], backends: Backends, settings: Settings) -> list[np.ndarray]:
    """The pixels [H, W] bool of whom each face belongs to."""
    height, width = pixels.shape[:2]
    places = [place for place in backends.locator.locate(pixels, [PERSON])[0] if place.score >= settings.least_score]
    regions = person_regions(
        SeenFrame(0, tuple(faces), np.zeros((len(faces), len(faces)), np.float32), tuple(range(len(faces)))),
        height, width,
    )
    found = []
    for face, region in zip(faces, regions):
        mask = np.zeros((height, width), bool)
        own = [place for place in places if [_is_in(other, place) for other in faces].count(True) == 1]
        own = [place for place in own if _is_in(face, place)]
        if own and own[0].mask is not None:
            mask = own[0].mask
        elif own or region is not None:
            left, top, right, bottom = own[0].box if own else region.box if region else (0, 0, 0, 0)
            mask[top:bottom, left:right] = True
        found.append(mask)
    return found


def _is_in(face: Face, place: Place) -> bool:
    left, top, right, bottom = place.box
    x, y = face.centre
    return left <= x < right and top <= y < bottom


def _same_people(
    shown: dict[int, tuple[np.ndarray, list[Face]]], masks: dict[int, list[np.ndarray]]
) -> dict[int, list[int]]:
    """For each frame the faces in the order of the people, who stand from left to right in the first.

    People are told apart by the colours of what belongs to them, and where these are alike by their places.
    """
    first = next(iter(shown))
    faces = shown[first][1]
    order = {first: sorted(range(len(faces)), key=lambda index: faces[index].centre[0])}
    vectors = {number: _vectors(pixels, masks[number]) for number, (pixels, _) in shown.items()}
    before = first
    for number in list(shown)[1:]:
        pixels, faces = shown[number]
        known = vectors[first][order[first]]
        places = np.array([shown[before][1][index].centre[0] for index in order[before]])
        here = np.array([face.centre[0] for face in faces])
        apart = np.abs(places[:, None] - here[None]) / pixels.shape[1]
        rows, columns = scipy().optimize.linear_sum_assignment(_DISTANCE * apart - known @ vectors[number].T)
        order[number] = [int(column) for _, column in sorted(zip(rows, columns))]
        before = number
    return order


def _vectors(pixels: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
    """[people, d]: the colours of each."""
    crops = []
    for mask in masks:
        crops.append((pixels[mask] if mask.any() else pixels[0]).reshape(1, -1, 3))
    return ColourLikeness().of_crops(crops)
