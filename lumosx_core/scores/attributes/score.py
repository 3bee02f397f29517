"""Score a video's attributes and objects: open what compares, look at every watched frame, collect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from ...errors import LumosXError
from ...faces.face import Detector, Embedder, ModelFolders
from ...scene.relations import Reference, Scene, Subject
from ..identity.score import strangers
from ..identity.warnings import stranger_sentence
from ..people import people_of
from ..seen import SeenFrame
from ..watching import Tick, check_every, watch
from .colour import ColourLikeness
from .owners import AttributeScores, FrameView, ObjectScore, OwnerScore
from .regions import WHOLE, PixelBox, Region, cut, person_regions, picture_windows, squared
from .similarity import ClipLikeness, Comparer, DinoLikeness, Located, OwlLocator

EVERYTHING, COLOUR, CLIP, DINO = "everything there is", "colour", "CLIP", "DINOv2"
MEASURES = (EVERYTHING, COLOUR, CLIP, DINO)
REGION, OWL = "person region", "OWLv2 inside the person"
LOCATE = (REGION, OWL)

_NETWORKS = {CLIP: ClipLikeness, DINO: DinoLikeness}

Spot = tuple[PixelBox, bool]
"""A box of a frame, and whether it is laid on a white square."""

Opened = TypeVar("Opened")

Placement = Callable[[torch.nn.Module], AbstractContextManager]
"""Puts a model on the device where it computes, and takes it back at the end."""


@dataclass(frozen=True)
class Tools:
    """What a run compares and finds things with.

    Attributes:
        comparers: at least one.
        locator: what finds a thing inside a region; None to take the region itself.
        notes: what was left out, one sentence each.
    """

    comparers: tuple[Comparer, ...]
    locator: OwlLocator | None
    notes: tuple[str, ...]

    @property
    def models(self) -> list[torch.nn.Module]:
        """All networks of them."""
        workers = (*self.comparers, *(() if self.locator is None else (self.locator,)))
        return [model for worker in workers for model in worker.models]


@dataclass(frozen=True)
class AttributePlan:
    """How a video is scored.

    Attributes:
        by: what compares, one of ``MEASURES``; "everything there is" notes what is missing and goes on.
        locate: where to look, one of ``LOCATE``.
        every: watch each n-th frame only.

    Raises:
        LumosXError: an unknown name, or every below 1.
    """

    by: str = EVERYTHING
    locate: str = REGION
    every: int = 1

    def __post_init__(self):
        if self.by not in MEASURES:
            raise LumosXError(f"by: {self.by} is not a choice; choose one of {', '.join(MEASURES)}.")
        if self.locate not in LOCATE:
            raise LumosXError(f"locate: {self.locate} is not a choice; choose one of {', '.join(LOCATE)}.")
        check_every(self.every)


def attribute_scores_of_case(
    frames: Iterable[np.ndarray],
    scene: Scene,
    detector: Detector,
    embedder: Embedder,
    folders: ModelFolders,
    plan: AttributePlan = AttributePlan(),
    tick: Tick = lambda done, total: None,
    place: Placement = nullcontext,
) -> AttributeScores:
    """Find the people of a video and tell whether each attribute is on its owner, and each object in the picture.

    Args:
        frames: RGB [H, W, 3] uint8, one after the other; read twice, so no generator.
        scene: the people with their attributes, and the objects.
        detector, embedder: what finds faces and tells them apart.
        folders: where weights are looked for.
        tick: see ``watching.watch``; half of it is finding the people.
        place: keeps networks on a device while they work; default: the CPU.

    Raises:
        LumosXError: nothing to score, weights of something asked for by name are missing, or as ``watching.watch``.
    """
    check_scene(scene)
    tools = open_tools(plan, folders)
    pictures = [person.picture for person in people_of(scene)]
    seen = watch(
        frames, pictures, detector, embedder, tick=lambda done, total: tick(done, 2 * total), every=plan.every
    )
    return score_attributes(
        frames, seen, scene, tools, lambda done, total: tick(total + done, 2 * total), place, embedder.same_person
    )


def score_attributes(
    frames: Iterable[np.ndarray],
    seen: Sequence[SeenFrame],
    scene: Scene,
    tools: Tools,
    tick: Tick = lambda done, total: None,
    place: Placement = nullcontext,
    same_person: float | None = None,
) -> AttributeScores:
    """As ``attribute_scores_of_case``, for a video whose people were found before.

    Args:
        frames: all of the video, from its first.
        seen: who is where, with one column for each subject of the scene.
        tools: from ``open_tools``.
        same_person: the embedder's, to tell who is probably not in the video; None where faces were not aligned.
    """
    absent, absent_notes = {}, []
    if same_person is not None:
        absent = strangers(seen, same_person)
        absent_notes = [
            stranger_sentence(person, scene.subjects[person].name, likeness, same_person)
            for person, likeness in absent.items()
        ]
    with ExitStack() as stack:
        for model in tools.models:
            stack.enter_context(place(model))
        tally = _Tally(scene, replace(tools, notes=(*absent_notes, *tools.notes)), frozenset(absent))
        watched = {frame.index: frame for frame in seen}
        for index, pixels in enumerate(frames):
            if index in watched:
                tick(len(tally.views), len(seen))
                tally.look(watched[index], pixels)
    tick(len(seen), len(seen))
    return tally.scores()


def check_scene(scene: Scene) -> None:
    """Find out before heavy work whether there is something to score.

    Raises:
        LumosXError: no face to know anybody by, or neither an object nor an attribute of somebody with a face.
    """
    if not any(_has_face(subject) for subject in scene.subjects):
        raise LumosXError(
            "relations: no subject has a face picture, so nobody can be recognised in the video; link a face to at "
            "least one LumosX Subject."
        )
    if not _objects(scene) and not _worn(scene):
        raise LumosXError(
            "relations: there is no object, and no attribute of a person with a face, so there is nothing to score; "
            "link pictures of clothes or things to a LumosX Subject, or a LumosX Object to LumosX Binder."
        )


def open_tools(plan: AttributePlan, folders: ModelFolders) -> Tools:
    """Open the networks that a plan needs.

    Raises:
        LumosXError: missing weights of something that was asked for by name.
    """
    locator = None if plan.locate == REGION else _asked_for("locate", OwlLocator, folders)
    if plan.by in _NETWORKS:
        return Tools((_asked_for("by", _NETWORKS[plan.by], folders),), locator, ())
    comparers: list[Comparer] = [ColourLikeness()]
    notes = []
    if plan.by == EVERYTHING:
        for network in _NETWORKS.values():
            try:
                comparers.append(network(folders))
            except LumosXError as error:
                notes.append(f"{' and '.join(network.measures)} left out: {error}")
    return Tools(tuple(comparers), locator, tuple(notes))


def _asked_for(name: str, kind: Callable[[ModelFolders], Opened], folders: ModelFolders) -> Opened:
    try:
        return kind(folders)
    except LumosXError as error:
        raise LumosXError(f"{name}: {error}") from error


class _Tally:
    """Collects the likeness of every attribute and object, frame by frame.

    Args:
        scene: what is looked for; things are numbered, attributes first, then objects.
        tools: what compares and finds.
        absent: people, numbered from 0, who are probably not in the video.
    """

    def __init__(self, scene: Scene, tools: Tools, absent: frozenset[int]):
        self.scene, self.comparers, self.locator, self.absent = scene, tools.comparers, tools.locator, absent
        self.notes = [*_scene_notes(scene), *tools.notes]
        self.worn = _worn(scene)
        self.objects = _objects(scene)
        self.things = [*(reference for _, reference in self.worn), *self.objects]
        self.wanted = {comparer.name: comparer.of_references(self.things) for comparer in self.comparers}
        self.rows: dict[str, list[list]] = {
            measure: [[] for _ in self.things] for comparer in self.comparers for measure in comparer.measures
        }
        self.empty: Counter[tuple[str, int]] = Counter()
        self.views: list[FrameView] = []

    def look(self, frame: SeenFrame, pixels: np.ndarray) -> None:
        """Score one frame, RGB [H, W, 3] uint8."""
        regions = person_regions(frame, *pixels.shape[:2])
        found = None if self.locator is None else self._locate(self.locator, pixels, regions)
        for comparer in self.comparers:
            spots = self._spots(comparer, pixels.shape[:2], regions, found)
            for measure, scores in _compare(comparer, self.wanted[comparer.name], pixels, spots).items():
                self._keep(self.rows[measure], scores)
            for thing, (owner, _) in enumerate(self.worn):
                self.empty[comparer.name, thing] += not spots.get((thing, owner), [None])
        located = [] if found is None else [
            (person, self.things[thing].phrase, place) for (thing, person), place in found.items() if place is not None
        ]
        self.views.append(FrameView(frame.index, regions, tuple(located)))

    def scores(self) -> AttributeScores:
        """Everything that was collected; misses are added to the notes."""
        owners = [
            OwnerScore(reference.phrase, owner, measure, tuple(map(tuple, rows[thing])), owner not in self.absent)
            for measure, rows in self.rows.items() for thing, (owner, reference) in enumerate(self.worn)
        ]
        objects = [
            ObjectScore(thing.phrase, measure, tuple(row)) for measure, rows in self.rows.items()
            for thing, row in zip(self.objects, rows[len(self.worn):])
        ]
        lines = {measure: line for comparer in self.comparers for measure, line in comparer.measures.items()}
        looked = "each person's region, located by the face" if self.locator is None else (
            f"the best box of {self.locator.name} inside each person's region; no box counts 0"
        )
        people = tuple(subject.name for subject in self.scene.subjects)
        return AttributeScores(
            people, tuple(owners), tuple(objects), lines, looked, tuple(self.views), (*self.notes, *self._misses())
        )

    def _locate(
        self, locator: OwlLocator, pixels: np.ndarray, regions: Sequence[Region | None]
    ) -> dict[tuple[int, int | None], Located | None]:
        """For each attribute and person, and each object (person None), where it is in the frame, or None."""
        found: dict[tuple[int, int | None], Located | None] = {}
        phrases = [thing.phrase for thing in self.things]
        worn = len(self.worn)
        for person, region in enumerate(regions):
            if region is not None and worn:
                places = locator.locate(cut(pixels, region.box), phrases[:worn])
                for thing, place in enumerate(places):
                    found[thing, person] = _moved(place, region.box)
        if len(phrases) > worn:
            places = locator.locate(pixels, phrases[worn:])
            for number, place in enumerate(places):
                found[worn + number, None] = place
        return found

    def _spots(
        self, comparer: Comparer, size: tuple[int, int], regions: Sequence[Region | None], found: dict | None
    ) -> dict[tuple[int, int | None], list[Spot]]:
        """Where to look for each attribute on each person seen, and for each object; the best place counts."""
        if found is not None:
            return {key: [] if place is None else [(place.box, False)] for key, place in found.items()}
        spots: dict[tuple[int, int | None], list[Spot]] = {}
        for thing, (_, reference) in enumerate(self.worn):
            part = comparer.part(reference.phrase)
            for person, region in enumerate(regions):
                if region is not None:
                    window = region.window(part)
                    spots[thing, person] = [] if window is None else [(window, part == WHOLE)]
        windows = [(window, False) for window in picture_windows(*size)]
        for thing in range(len(self.worn), len(self.things)):
            spots[thing, None] = windows
        return spots

    def _keep(self, rows: list[list], scores: dict[tuple[int, int | None], float]) -> None:
        people = range(len(self.scene.subjects))
        for thing, row in enumerate(rows):
            worn = thing < len(self.worn)
            row.append([scores.get((thing, person)) for person in people] if worn else scores[thing, None])

    def _misses(self) -> list[str]:
        watched = len(self.views)
        lines = []
        for (name, thing), frames in self.empty.items():
            owner, reference = self.worn[thing]
            if frames:
                why = "that part of the body is outside the picture" if self.locator is None else "no box is found"
                lines.append(
                    f"{name}: \"{reference.phrase}\" counts 0 on its owner, subject {owner + 1}, in {frames} of "
                    f"{watched} frames, since {why}."
                )
        return lines


def _compare(
    comparer: Comparer, wanted: dict[str, np.ndarray], pixels: np.ndarray,
    spots: dict[tuple[int, int | None], list[Spot]],
) -> dict[str, dict[tuple[int, int | None], float]]:
    """For each measure and each requested place, the best likeness; 0 where there is nothing to compare."""
    places = list(dict.fromkeys(spot for several in spots.values() for spot in several))
    crops = [squared(cut(pixels, box)) if pad else cut(pixels, box) for box, pad in places]
    vectors = dict(zip(places, comparer.of_crops(crops))) if crops else {}
    return {
        measure: {key: max((float(references[key[0]] @ vectors[spot]) for spot in several), default=0.0)
                  for key, several in spots.items()}
        for measure, references in wanted.items()
    }


def _moved(place: Located | None, box: PixelBox) -> Located | None:
    """From pixels of a box to pixels of the picture."""
    if place is None:
        return None
    left, top, right, bottom = place.box
    return Located((left + box[0], top + box[1], right + box[0], bottom + box[1]), place.score)


def _has_face(subject: Subject) -> bool:
    return subject.face is not None and subject.face.image is not None


def _worn(scene: Scene) -> list[tuple[int, Reference]]:
    """Every attribute with a picture of somebody who can be recognised, with its owner."""
    return [(number, reference) for number, subject in enumerate(scene.subjects) if _has_face(subject)
            for reference in subject.attributes if reference.image is not None]


def _objects(scene: Scene) -> list[Reference]:
    return [reference for reference in scene.objects if not reference.full_body and reference.image is not None]


def _scene_notes(scene: Scene) -> list[str]:
    found = [f"\"{body.phrase}\" is a full body, which is a person and not an object, and was left out."
             for body in scene.full_bodies]
    if scene.background is not None:
        found.append("The background was left out: it belongs to nobody and is not an object.")
    return found + [
        f"Subject {number} (\"{subject.name}\") has no face picture and cannot be recognised, so its attributes "
        "were left out."
        for number, subject in enumerate(scene.subjects, 1) if subject.attributes and not _has_face(subject)
    ] + [
        f"\"{thing.phrase}\" has no picture to compare with, and was left out."
        for thing in (
            *(attribute for subject in scene.subjects if _has_face(subject) for attribute in subject.attributes),
            *scene.objects,
        ) if thing.image is None
    ]
