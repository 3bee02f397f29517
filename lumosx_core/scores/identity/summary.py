"""All identity scores of one video, computed in one pass over its frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ...errors import LumosXError
from ...faces.face import Embedder
from ..people import Person
from ..seen import SeenFrame
from ..watching import MODES, RECOMMENDED, RELEASE, Likeness, Tick, check_every, watch_for
from .models import ScoreModels
from .score import SubjectScore, confusion, identity_score, likeness_of, margins, strangers, subject_score
from .swaps import AS_IT_STARTS, ORDERS, Order, Switches, identity_switches, left_to_right, order_swaps
from .warnings import comparison_notes, identity_warnings

VERSION = 1
"""Of the JSON's form."""
# The release's own rate, for frames that come without one.
FPS = 16.0


@dataclass(frozen=True)
class IdentityPlan:
    """How a video is scored.

    Attributes:
        mode: "recommended" or "release", see ``watching.Likeness``.
        every: watch each n-th frame only.
        order: what people's places are compared with, see ``swaps.order_swaps``.
        fps: frames of the video in a second.

    Raises:
        LumosXError: an unknown mode or order, or every below 1.
    """

    mode: str = RECOMMENDED
    every: int = 1
    order: str = AS_IT_STARTS
    fps: float = FPS

    def __post_init__(self):
        for name, value, known in (("mode", self.mode, MODES), ("order", self.order, ORDERS)):
            if value not in known:
                raise LumosXError(f"{name}: {value!r} is not known; choose one of {', '.join(known)}.")
        check_every(self.every)


@dataclass(frozen=True)
class Judge:
    """An embedder as reports name it.

    Attributes:
        name: with the file or package it comes from.
        measure: what its likeness is, e.g. "cosine".
        same_person: from which likeness on two aligned faces are usually one person's.
    """

    name: str
    measure: str
    same_person: float

    @classmethod
    def of(cls, embedder: Embedder) -> Judge:
        """What an embedder says of itself."""
        return cls(embedder.name, embedder.measure, embedder.same_person)

    @property
    def score(self) -> str:
        """What its score over a video may be called: ArcSim and CurSim belong to one network each."""
        for network, score in (("ArcFace", "ArcSim"), ("InsightFace", "ArcSim"), ("CurricularFace", "CurSim")):
            if self.name.startswith(network):
                return score
        network = self.name.partition(" (")[0]
        return f"likeness by {network} ({self.measure})"

    @property
    def comparable(self) -> bool:
        """Whether its numbers may stand next to others called ArcSim or CurSim."""
        return self.score in ("ArcSim", "CurSim")


@dataclass(frozen=True, eq=False)
class IdentityScores:
    """What one video says about the likeness of its people.

    Attributes:
        names: of the subjects.
        known: the subjects with a face picture; the others are left out of every score.
        plan, detector, judge, second_judge: how it was scored, and by what.
        frames: the watched frames.
        references: [subjects, subjects], how alike the subjects' pictures are; NaN without a picture.
        score: by ArcSim's formula.
        second_score: by CurSim's; None without a second embedder.
        subjects: one for each subject.
        confusion: [subjects, subjects], see ``identity.confusion``.
        margins: see ``identity.margins``.
        order: who stands where.
        switches: who turns into whom.
        notes: what could not be computed, one sentence each.
    """

    names: tuple[str, ...]
    known: tuple[int, ...]
    plan: IdentityPlan
    detector: str
    judge: Judge
    second_judge: Judge | None
    frames: tuple[SeenFrame, ...]
    references: np.ndarray
    score: float
    second_score: float | None
    subjects: tuple[SubjectScore, ...]
    confusion: np.ndarray
    margins: tuple[float | None, ...]
    order: Order
    switches: Switches
    notes: tuple[str, ...] = ()

    def title(self, subject: int) -> str:
        """How a subject is called; its number tells two men apart."""
        return f"{subject + 1} {self.names[subject]}"

    @property
    def strangers(self) -> dict[int, float]:
        """See ``identity.strangers``; none in mode release, whose faces are not aligned."""
        return {} if self.plan.mode == RELEASE else strangers(self.frames, self.judge.same_person)

    def warnings(self) -> list[str]:
        """What the numbers alone do not say, one sentence each."""
        return [*self.notes, *identity_warnings(self)]

    def as_json(self) -> dict:
        """Plain values, fit for strict JSON; subjects count from 1, frames from 0, None is a miss."""
        return {
            "version": VERSION,
            "mode": self.plan.mode,
            "detector": self.detector,
            "embedder": asdict(self.judge),
            "second_embedder": None if self.second_judge is None else asdict(self.second_judge),
            "frames_watched": len(self.frames),
            "every_nth_frame": self.plan.every,
            "fps": self.plan.fps,
            "score": {"name": self.judge.score, "value": self.score},
            "second_score": None if self.second_judge is None
            else {"name": self.second_judge.score, "value": self.second_score},
            "subjects": [self._subject_row(number) for number in range(len(self.names))],
            "confusion": _plain(self.confusion),
            "between_references": _plain(self.references),
            "order": self._order_row(),
            "switches": {
                "count": len(self.switches.events),
                "followed": self.switches.followed,
                "events": [{"frame": event.frame, "from": event.before + 1, "to": event.after + 1}
                           for event in self.switches.events],
            },
            "warnings": self.warnings(),
            "notes": comparison_notes(self),
            "frames": [self._frame_row(frame) for frame in self.frames],
        }

    def _subject_row(self, number: int) -> dict:
        row = {"subject": number + 1, "name": self.names[number], "has_picture": number in self.known}
        judged = self.plan.mode != RELEASE and self.subjects[number].seen_likeness is not None
        return {
            **row, **asdict(self.subjects[number]), "ahead_of_others": self.margins[number],
            "recognised": number not in self.strangers if judged else None,
        }

    def _order_row(self) -> dict:
        return {
            "compared_with": self.plan.order,
            "declared": _from_one(self.order.declared),
            "frames_judged": self.order.judged,
            "frames_swapped": self.order.swapped,
            "swap_rate": self.order.rate,
            "changes": [{"frame": change.frame, "order": _from_one(change.order)} for change in self.order.changes],
        }

    def _frame_row(self, frame: SeenFrame) -> dict:
        return {
            "frame": frame.index,
            "faces": len(frame.faces),
            "left_to_right": _from_one(left_to_right(frame)),
            "likeness": [likeness_of(frame, subject) for subject in range(len(self.names))],
            "second_likeness": None if frame.second is None
            else [likeness_of(frame, subject, second=True) for subject in range(len(self.names))],
            "boxes": [None if (face := frame.face_of(subject)) is None else [round(float(side), 1) for side in face.box]
                      for subject in range(len(self.names))],
        }


def score_identity(
    frames: Iterable[np.ndarray],
    people: Sequence[Person],
    models: ScoreModels,
    plan: IdentityPlan = IdentityPlan(),
    tick: Tick = lambda done, total: None,
) -> IdentityScores:
    """Watch a video once and score it.

    Args:
        frames: RGB [H, W, 3] uint8, one after the other; read once.
        tick: see ``watching.watch``.

    Raises:
        LumosXError: as ``watching.watch``.
    """
    pictures = [person.picture for person in people]
    likeness = Likeness.of(pictures, models.detector, models.embedder, plan.mode)
    second = None if models.second is None else Likeness.of(pictures, models.detector, models.second, plan.mode)
    seen = watch_for(frames, likeness, models.detector, second, tick, plan.every)
    table = confusion(seen, len(people))
    return IdentityScores(
        names=tuple(person.name for person in people),
        known=likeness.known,
        plan=plan,
        detector=models.detector.name,
        judge=Judge.of(models.embedder),
        second_judge=None if models.second is None else Judge.of(models.second),
        frames=tuple(seen),
        references=likeness.between_references(),
        score=identity_score(seen, likeness.known),
        second_score=None if second is None else identity_score(seen, likeness.known, second=True),
        subjects=tuple(
            subject_score(seen, number, models.embedder, number in likeness.known) for number in range(len(people))
        ),
        confusion=table,
        margins=tuple(margins(table)),
        order=order_swaps(seen, plan.order, plan.fps),
        switches=identity_switches(seen),
        notes=models.notes,
    )


def _plain(table: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in table]


def _from_one(subjects: Sequence[int]) -> list[int]:
    return [subject + 1 for subject in subjects]
