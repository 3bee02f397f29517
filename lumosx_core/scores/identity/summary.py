"""All identity scores of one video, computed in one pass over its frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..people import Person
from ..seen import SeenFrame
from ..watching import RELEASE_MODE, Likeness, Tick, watch_for
from .measured import EmbedderInfo, IdentityPlan, MeasuredIdentity
from .models import ScoreModels
from .score import confusion, identity_score, likeness_of, margins, subject_score
from .swaps import identity_switches, left_to_right, order_swaps
from .warnings import comparison_notes, identity_warnings

VERSION = 1
"""Of the JSON's form."""
_USUAL = IdentityPlan()


@dataclass(frozen=True, eq=False)
class IdentityScores(MeasuredIdentity):
    """What one video says about the likeness of its people, with what there is to say about the numbers."""

    def warnings(self) -> list[str]:
        """What the numbers alone do not say, one sentence each."""
        return [*self.notes, *identity_warnings(self)]

    def as_json(self) -> dict:
        """Plain values, fit for strict JSON; subjects count from 1, frames from 0, None is a miss."""
        return {
            "version": VERSION,
            "mode": self.plan.mode,
            "detector": self.detector,
            "embedder": asdict(self.embedder),
            "second_embedder": None if self.second_embedder is None else asdict(self.second_embedder),
            "frames_watched": len(self.frames),
            "every_nth_frame": self.plan.every,
            "fps": self.plan.fps,
            "score": {"name": self.embedder.score, "value": self.score},
            "second_score": None if self.second_embedder is None
            else {"name": self.second_embedder.score, "value": self.second_score},
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
        comparable = self.plan.mode != RELEASE_MODE and self.subjects[number].seen_likeness is not None
        return {
            **row, **asdict(self.subjects[number]), "ahead_of_others": self.margins[number],
            "recognised": number not in self.strangers if comparable else None,
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
    plan: IdentityPlan = _USUAL,
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
        embedder=EmbedderInfo.of(models.embedder),
        second_embedder=None if models.second is None else EmbedderInfo.of(models.second),
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
