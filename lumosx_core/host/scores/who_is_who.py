"""LumosX Who Is Who: the people and things of a scene, named in the frames of a video."""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ...errors import LumosXError
from ...faces.face import Detector, Face
from ...media.drawing import Colour
from ...media.marks import Mark, MarkPainter
from ...scene.relations import Scene
from ...scores.identity.models import FacesOnly, ModelNames, ScoreModels, open_models
from ...scores.naming import NamedFace, name_faces
from ...scores.people import Person, people_of
from ...scores.table import markdown_table
from ...scores.watching import Likeness, watch_for, watched_frames
from ..conditioning.scene import log_warnings
from ..media.frames import ImageFrames, as_batch, frame_ticks
from ..media.relation_map import board_colours, person_colour
from ..weights.face_models import model_folders
from .covered import Covered, Linked, covered_by_heat, covered_by_masks
from .networks import room_for_embedders
from .recognising import recognisable

_NOBODY: Colour = (90, 90, 90)
BY_FACE, BY_MASK, BY_HEAT = "face", "mask", "heat"


@dataclass(frozen=True, eq=False)
class WhoPlan:
    """What is named, and by what.

    Attributes:
        faces: whether faces are looked for.
        names: what finds faces and tells them apart.
        linked: masks and heat.
    """

    faces: bool = True
    names: ModelNames = ModelNames()
    linked: Linked = Linked()


@dataclass(eq=False)
class Seen:
    """What is where.

    Attributes:
        faces: of each frame.
        things: masks and heat of what they show.
        searched: whether faces were looked for.
        notes: sentences about what could not be done.
    """

    faces: Sequence[list[NamedFace]]
    things: list[Covered]
    searched: bool
    notes: list[str] = field(default_factory=list)


def who_is_who(images: torch.Tensor, scene: Scene, plan: WhoPlan) -> tuple[torch.Tensor, str, torch.Tensor]:
    """Name the people and things of a scene in a video.

    Args:
        images: IMAGE [F, H, W, C]; it is not changed.

    Returns:
        The frames with a mark for each, IMAGE [F, H, W, 3]; what was found, as text; and the frame in which most is
        named, IMAGE [1, H, W, 3].

    Raises:
        LumosXError: nothing to name by, inputs that do not fit each other, or a model or a package that is missing.
    """
    _check(images, plan)
    frames = ImageFrames(images)
    painter = MarkPainter((images.shape[2], images.shape[1]))
    size = images.shape[0], images.shape[1], images.shape[2]
    things = [*covered_by_masks(plan.linked, scene, size), *covered_by_heat(plan.linked, scene, size)]
    seen = Seen([[]] * len(frames), things, plan.faces)
    if plan.faces:
        _find_faces(seen, frames, scene, plan.names)
    if plan.linked.phrases.strip() and plan.linked.masks is None:
        seen.notes.append("mask_phrases have no effect, since no masks are linked.")
    marks = [list(marks_of(seen, scene, frame)) for frame in range(len(frames))]
    drawn = as_batch((painter.paint(frames[frame], own) for frame, own in enumerate(marks)), len(frames))
    seen.notes += [f"no installed font has all letters of {text!r}, so its label has only the Latin ones; install Noto "
                   "Sans CJK." for text in painter.without_letters]
    log_warnings(seen.notes)
    best = max(range(len(frames)), key=lambda frame: len({mark.key for mark in marks[frame]}))
    return drawn, _report(seen, scene), drawn[best:best + 1]


def _check(images: torch.Tensor, plan: WhoPlan) -> None:
    if images.ndim != 4 or 0 in images.shape:
        raise LumosXError(
            f"images: their shape is {tuple(images.shape)}; link the frames of a video, (frames, height, width, 3)."
        )
    if not torch.isfinite(images).all():
        raise LumosXError("images: they contain values that are not numbers; check the node that made them.")
    if not plan.faces and plan.linked.masks is None and plan.linked.heat is None:
        raise LumosXError("faces: they are off and neither masks nor heat is linked, so there is nothing to name; "
                          "switch faces on, or link one of the two.")


def _find_faces(seen: Seen, frames: ImageFrames, scene: Scene, names: ModelNames) -> None:
    """Fill in the faces and notes: of everybody whom no mask shows."""
    masked = {one.subject: one for one in seen.things if one.is_person}
    people = [Person(person.name, None if number in masked else person.picture)
              for number, person in enumerate(people_of(scene))]
    seen.notes += [
        f"{name_of(scene, number)}: there is no face reference, so this person cannot be recognised; link a face "
        "picture to LumosX Subject, or a mask."
        for number, person in enumerate(people) if person.picture is None and number not in masked
    ]
    if all(person.picture is None for person in people):
        return
    with room_for_embedders(names.embedder) as device:
        seen.faces, notes = named_faces(frames, people, open_models(names, model_folders(), device), masked)
        seen.notes += notes


def named_faces(
    frames: ImageFrames | list[np.ndarray], people: Sequence[Person], models: ScoreModels | FacesOnly,
    masked: Mapping[int | None, Covered] = types.MappingProxyType({}),
) -> tuple[list[list[NamedFace]], list[str]]:
    """Whose each face is, in every frame, and sentences about what could not be done.

    Args:
        frames: RGB [H, W, 3] uint8.
        people: those without a picture are given no face.
        masked: people whose faces a mask shows.
    """
    pictures, notes = recognisable(people, models.detector)
    if isinstance(models, FacesOnly):
        how = "marked with a question mark" + ("" if len(people) == 1 else ", not named")
        notes.append(f"faces are not compared with their references ({models.reason.rstrip('.')}), so they are {how}.")
        return _only_found(frames, len(people) == 1, models.detector), notes
    if all(picture is None for picture in pictures):
        return [[] for _ in range(len(frames))], notes
    likeness = Likeness.of(pictures, models.detector, models.embedder)
    watched = watch_for(frames, likeness, models.detector, tick=frame_ticks())
    return [
        name_faces(frame, models.embedder.same_person, lambda face, at=frame.index: _in_mask(face, masked, at))
        for frame in watched
    ], notes


def _only_found(
    frames: ImageFrames | list[np.ndarray], alone: bool, detector: Detector
) -> list[list[NamedFace]]:
    """Faces that nothing tells apart: the only face of a frame is probably the only person's, others are nobody's."""
    return [
        [NamedFace(face, 0 if alone and len(faces) == 1 else None) for face in faces]
        for _, pixels in watched_frames(frames, 1, frame_ticks())
        for faces in [detector.detect(pixels)]
    ]


def _in_mask(face: Face, masked: Mapping[int | None, Covered], frame: int) -> bool:
    """Whether a mask shows already whose face it is."""
    x, y = (int(side) for side in face.centre)
    for one in masked.values():
        covered = one.covered(frame)
        if covered is not None and 0 <= y < covered.shape[0] and 0 <= x < covered.shape[1] and covered[y, x]:
            return True
    return False


def name_of(scene: Scene, subject: int) -> str:
    """A person by number, as the board's badge shows it, and words."""
    return f"{subject + 1} {scene.subjects[subject].name}"


def marks_of(seen: Seen, scene: Scene, frame: int) -> Iterator[Mark]:
    """The marks of a frame: faces first, whose labels get the best places."""
    for number, named in enumerate(seen.faces[frame]):
        if named.subject is None:
            yield Mark(("nobody", number), "?", _NOBODY, named.face.box, face=True)
        else:
            text = name_of(scene, named.subject) + ("" if named.sure else " ?")
            yield Mark(("face", named.subject), text, person_colour(named.subject), named.face.box, face=True)
    colours = board_colours(scene)
    for one in seen.things:
        covered = one.covered(frame)
        if covered is not None and covered.any():
            rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
            box = float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])
            text = one.phrase if one.subject is None or not one.is_person else name_of(scene, one.subject)
            yield Mark((one.by, one.word), text, colours[one.word], box, covered)


def _report(seen: Seen, scene: Scene) -> str:
    length = len(seen.faces)
    found: Counter[tuple[int | None, bool]] = Counter()
    for faces in seen.faces:
        found.update((named.subject, named.sure) for named in faces)
    masked = {one.subject for one in seen.things if one.is_person}
    rows, missing = [], []
    for number in range(len(scene.subjects)):
        sure, unsure = found[number, True], found[number, False]
        if sure + unsure:
            rows.append((name_of(scene, number), BY_FACE, f"{sure + unsure} of {length}", unsure))
        elif number not in masked and seen.searched:
            missing.append(f"{name_of(scene, number)}: not found in any frame.")
    for one in seen.things:
        shown = sum(one.covered(frame) is not None for frame in range(length))
        owner = "" if one.is_person or one.subject is None else f" ({name_of(scene, one.subject)})"
        name = name_of(scene, one.subject) if one.is_person and one.subject is not None else one.phrase
        if shown:
            rows.append((name + owner, one.by, f"{shown} of {length}", 0))
        else:
            missing.append(f"{name}{owner}: its {one.by} shows it in no frame.")
    strangers = found[None, False]
    lines = [markdown_table(("who or what", "found by", "frames", "of these unsure"), rows)] if rows else []
    lines += missing
    if strangers:
        lines.append(f"Faces of nobody in relations, marked with a question mark: {strangers} in all frames together.")
    return "\n\n".join([*lines, *(f"Warning: {note}" for note in seen.notes)]) or "Nothing is named."
