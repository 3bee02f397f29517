"""The identity scores of one video as they were measured: numbers, and by what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import LumosXError
from ...faces.face import Embedder
from ..seen import SeenFrame
from ..watching import MODES, RECOMMENDED, RELEASE_MODE, check_every
from .score import SubjectScore, strangers
from .swaps import AS_IT_STARTS, ORDERS, Order, Switches

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

    def __post_init__(self) -> None:
        for name, value, known in (("mode", self.mode, MODES), ("order", self.order, ORDERS)):
            if value not in known:
                raise LumosXError(f"{name}: {value!r} is not known; choose one of {', '.join(known)}.")
        check_every(self.every)


@dataclass(frozen=True)
class EmbedderInfo:
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
    def of(cls, embedder: Embedder) -> EmbedderInfo:
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
class MeasuredIdentity:
    """What one video says about the likeness of its people.

    Attributes:
        names: of the subjects.
        known: the subjects with a face picture; the others are left out of every score.
        plan, detector, embedder, second_embedder: how it was scored, and by what.
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
    embedder: EmbedderInfo
    second_embedder: EmbedderInfo | None
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
        return {} if self.plan.mode == RELEASE_MODE else strangers(self.frames, self.embedder.same_person)
