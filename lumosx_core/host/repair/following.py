"""Where each person's face is in a video: by a linked mask, or by what finds faces and tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import comfy.model_management
import numpy as np
import torch

from ...errors import LumosXError
from ...repair.tracks import Box, assign_tracks, follow_faces, frames_text
from ...scores.identity.models import FacesOnly, ModelNames, ScoreModels, open_models
from ...scores.people import Person
from ...scores.seen import SeenFrame
from ...scores.watching import Likeness, watch_for, watched_frames
from ..media.frames import ImageFrames, frame_ticks
from ..scores.networks import room_for_embedders
from ..scores.recognising import recognisable
from ..weights.face_models import model_folders

_IN_MASK = 0.5


@dataclass(frozen=True, eq=False)
class Found:
    """Whose face is where.

    Attributes:
        boxes: for each subject whose face is known, where it is, by the number of the frame.
        likeness: for each of them, how similar the faces are to the reference; empty if nothing compared them.
        notes: sentences about what was left out.
    """

    boxes: Mapping[int, Mapping[int, Box]]
    likeness: Mapping[int, float]
    notes: tuple[str, ...] = ()


def chosen_people(people: Sequence[Person], number: int, masked: bool) -> tuple[list[int], list[str]]:
    """The subjects to repair, from 0, and a sentence for each who cannot be.

    Args:
        people: of the scene.
        number: from 1; 0 is everybody.
        masked: whether a mask shows whose face is meant.

    Raises:
        LumosXError: a number that nobody has, or a mask that could be anybody's.
    """
    if number > len(people):
        raise LumosXError(f"person: {number} is not in relations, which have {len(people)}; use a smaller number.")
    if masked and number == 0 and len(people) > 1:
        raise LumosXError(
            f"person: a mask is linked, but relations have {len(people)} people; choose the number of the person whose "
            "face the mask covers."
        )
    wanted = [number - 1] if number else list(range(len(people)))
    missing = [f"{people[index].name}: there is no face reference, so this face is left as it is; link a face picture "
               "to LumosX Subject." for index in wanted if people[index].picture is None]
    return [index for index in wanted if people[index].picture is not None], missing


def boxes_of_mask(mask: torch.Tensor) -> dict[int, Box]:
    """The box of what a MASK [F, H, W] covers, by the number of the frame; frames without any are left out."""
    boxes: dict[int, Box] = {}
    for frame, picture in enumerate(mask):
        comfy.model_management.throw_exception_if_processing_interrupted()
        covered = picture > _IN_MASK
        if covered.any():
            rows, columns = covered.any(1).nonzero().flatten(), covered.any(0).nonzero().flatten()
            boxes[frame] = (float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1)
    return boxes


def find_people(images: torch.Tensor, people: Sequence[Person], names: ModelNames) -> Found:
    """Follow every face and find out whose it is.

    Args:
        images: IMAGE [F, H, W, C].
        people: of the scene, all of them: a face that is left to nobody else might be given to the wrong one.

    Raises:
        LumosXError: a model or a package that is missing. Where "automatic" finds nothing that tells several people
            apart, a sentence says so and nobody is found.
    """
    frames = ImageFrames(images)
    with room_for_embedders(names.embedder, names.second_embedder) as device:
        models = open_models(names, model_folders(), device)
        if isinstance(models, FacesOnly):
            return _only_face(frames, people, models)
        return _by_likeness(frames, people, models)


def _by_likeness(frames: ImageFrames, people: Sequence[Person], models: ScoreModels) -> Found:
    pictures, notes = recognisable(people, models.detector)
    if all(picture is None for picture in pictures):
        return Found({}, {}, tuple(notes))
    likeness = Likeness.of(pictures, models.detector, models.embedder)
    seen = watch_for(frames, likeness, models.detector, tick=frame_ticks())
    owned = assign_tracks(follow_faces(seen), [person.name for person in people], models.embedder.same_person)
    return Found(owned.boxes, owned.likeness, (*notes, *owned.notes))


def _only_face(frames: ImageFrames, people: Sequence[Person], models: FacesOnly) -> Found:
    """Without anything that tells faces apart: the only face of each frame is the only person's."""
    if len(people) > 1:
        # The video is finished and may have taken an hour; it goes on as it is.
        return Found({}, {}, (
            f"the faces of {len(people)} people cannot be told apart ({models.reason.rstrip('.')}), so nothing is "
            "changed; or link a mask of one face and choose its person.",
        ))
    seen = [
        SeenFrame(index, faces, np.zeros((len(faces), 1), np.float32), (0 if faces else None,))
        for index, pixels in watched_frames(frames, 1, frame_ticks())
        for faces in [tuple(models.detector.detect(pixels))]
    ]
    several = [frame.index for frame in seen if len(frame.faces) > 1]
    notes = () if not several else (
        f"{people[0].name}: {frames_text(several)} show two faces or more, of which {len(several)} are left as they "
        "are; link a mask.",
    )
    return Found({0: {frame.index: frame.faces[0].box for frame in seen if len(frame.faces) == 1}}, {}, notes)
