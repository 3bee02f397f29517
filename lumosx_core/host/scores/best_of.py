"""The best of several videos of one scene, chosen by who and what is right in them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median

import comfy.model_management
import torch

from ...errors import LumosXError
from ...faces.face import Detector
from ...models.wan.config import WAN21_LATENT
from ...scene.relations import Scene
from ...scores.attributes.score import AttributePlan, Tools, open_tools, score_attributes
from ...scores.choosing import ClipScore, best_clip
from ...scores.identity.measured import IdentityPlan
from ...scores.identity.models import FacesOnly, ModelNames, ScoreModels, open_models
from ...scores.identity.summary import IdentityScores, score_identity
from ...scores.people import Person, people_of
from ..conditioning.scene import log_warnings
from ..media.frames import ImageFrames, check_video, frame_ticks
from ..weights.face_models import model_folders
from .networks import on_device, room_for_embedders
from .recognising import recognisable


@dataclass(frozen=True)
class ChoosingPlan:
    """How videos are compared.

    Attributes:
        names: what finds faces and tells them apart.
        by: what compares worn things, one of ``scores.attributes.score.MEASURES``.
        every: look at each n-th frame only.
    """

    names: ModelNames = ModelNames()
    by: str = AttributePlan.by
    every: int = 4


def best_of(
    images: torch.Tensor, latent: dict, scene: Scene, plan: ChoosingPlan
) -> tuple[dict, torch.Tensor, int, str]:
    """Choose one video of a batch.

    Args:
        images: IMAGE of all videos, one after the other.
        latent: LATENT they were decoded from, ``samples`` [batch, 16, frames, h, w].
        scene: the relations of all of them.

    Returns:
        A LATENT of the chosen one, whose ``batch_index`` makes a sampler with the same seed draw the same noise again;
        its frames; its number in the batch, from 0; and a table of all, whose warnings are logged too.

    Raises:
        LumosXError: inputs that do not fit each other, a scene without a face picture, or a model or a package that is
            missing. Where "automatic" finds nothing that tells faces apart, faces are counted instead.
    """
    check_video(images)
    count = _videos(images, latent)
    if count == 1:
        return dict(latent), images, 0, "There is one video only, so there was nothing to choose."
    length = len(images) // count
    videos = [images[number * length:(number + 1) * length] for number in range(count)]
    scores, notes = _scores(videos, scene, plan)
    number = best_clip(scores)
    if len(set(scores)) == 1:
        notes.append("all videos have the same score, so the first one is taken; look at them yourself.")
    log_warnings(notes)
    return _row(latent, number, count), videos[number], number, _report(scores, number, notes)


def _videos(images: torch.Tensor, latent: dict) -> int:
    """How many there are.

    Raises:
        LumosXError: the images are not those of the latent.
    """
    samples = latent.get("samples")
    if not isinstance(samples, torch.Tensor) or getattr(samples, "is_nested", False) or samples.ndim != 5:
        raise LumosXError("latent: it is not a batch of videos; link the latent that images were decoded from.")
    count, length = len(samples), WAN21_LATENT.video_frames(samples.shape[2])
    if len(images) != count * length:
        raise LumosXError(
            f"images: there are {len(images)} frames, but latent has {count} x {length}; link VAE Decode of the same "
            "latent."
        )
    return count


def _scores(videos: list[torch.Tensor], scene: Scene, plan: ChoosingPlan) -> tuple[list[ClipScore], list[str]]:
    """Of each video, and sentences about what is not compared."""
    people, folders = people_of(scene), model_folders()
    worn = len(people) > 1 and any(word.image is not None for one in scene.subjects for word in one.attributes)
    tools = open_tools(AttributePlan(plan.by, every=plan.every), folders) if worn else None
    with room_for_embedders(plan.names.embedder) as device:
        models = open_models(plan.names, folders, device)
        if isinstance(models, FacesOnly):
            return _counts(videos, len(people), models.detector, plan, models.reason)
        pictures, notes = recognisable(people, models.detector)
        known = tuple(Person(person.name, picture) for person, picture in zip(people, pictures))
        if all(picture is None for picture in pictures):
            scores, more = _counts(videos, len(people), models.detector, plan, "no reference shows a face")
            return scores, [*notes, *more]
        tick = frame_ticks()
        scores = []
        for number, video in enumerate(videos):
            tick(number, len(videos))
            scores.append(_score(video, scene, known, models, tools, plan))
        tick(len(videos), len(videos))
    return scores, notes


def _score(
    video: torch.Tensor, scene: Scene, people: tuple[Person, ...], models: ScoreModels, tools: Tools | None,
    plan: ChoosingPlan,
) -> ClipScore:
    frames = ImageFrames(video)
    found = score_identity(frames, people, models, IdentityPlan(every=plan.every), _interruptible)
    wrong = len(_missing(found)) + len(found.switches.events)
    if tools is None:
        return ClipScore(wrong, 0, round(found.score, 4))
    worn = score_attributes(
        frames, found.frames, scene, tools, _interruptible, on_device if tools.models else nullcontext,
        models.embedder.same_person,
    )
    elsewhere = [
        owner for owner in worn.owners
        if owner.measure == worn.measure and owner.win_rate is not None and owner.win_rate < 0.5
    ]
    return ClipScore(wrong, len(elsewhere), round(found.score, 4))


def _missing(found: IdentityScores) -> set[int]:
    """Known people who are never seen, or whose face is somebody else's."""
    never = {person for person in found.known if found.subjects[person].seen_likeness is None}
    return never | set(found.strangers)


def _counts(
    videos: list[torch.Tensor], people: int, detector: Detector, plan: ChoosingPlan, reason: str
) -> tuple[list[ClipScore], list[str]]:
    """Where nothing tells faces apart: how far the usual number of faces is from that of people."""
    scores = []
    for video in videos:
        frames, counts = ImageFrames(video), []
        for index in range(0, len(frames), plan.every):
            _interruptible(index, len(frames))
            counts.append(len(detector.detect(frames[index])))
        scores.append(ClipScore(round(abs(median(counts) - people)), 0, 0.0))
    return scores, [f"only the number of faces is compared, not whose they are ({reason.rstrip('.')})."]


def _interruptible(done: int, total: int) -> None:
    comfy.model_management.throw_exception_if_processing_interrupted()


def _row(latent: dict, number: int, count: int) -> dict:
    """One video of a LATENT, with the place of its noise."""
    index = latent.get("batch_index") or list(range(count))
    mask = latent.get("noise_mask")
    row = {**latent, "samples": latent["samples"][number:number + 1].clone(), "batch_index": [index[number]]}
    if torch.is_tensor(mask) and len(mask) == count:
        row["noise_mask"] = mask[number:number + 1]
    return row


def _report(scores: list[ClipScore], chosen: int, notes: list[str]) -> str:
    lines = ["| video | wrong people | things on somebody else | likeness | |", "|---|---|---|---|---|"]
    lines += [
        f"| {number} | {one.wrong_faces} | {one.wrong_things} | {one.likeness:.3f} "
        f"| {'**chosen**' if number == chosen else ''} |" for number, one in enumerate(scores)
    ]
    return "\n".join([*lines, *(f"\nWarning: {note}" for note in notes)])
