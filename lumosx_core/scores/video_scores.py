"""All scores of one video: its people, what they wear, and how much moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from ..errors import LumosXError
from ..media.video import VideoFile
from ..scene.relations import Scene
from .attributes.owners import AttributeScores, OwnerScore
from .attributes.score import Tools, check_scene, score_attributes
from .figures import mean_of_known
from .identity.measured import IdentityPlan
from .identity.models import FacesOnly, ScoreModels
from .identity.presence import PresenceScores, count_faces
from .identity.report import identity_report
from .identity.summary import IdentityScores, score_identity
from .motion import MotionScore, motion_score
from .people import people_of
from .watching import RECOMMENDED, Tick

VERSION = 2
"""Of the JSON's form; 1 held the identity scores alone."""

TickOf = Callable[[str], Tick]
"""Makes the tick of one pass over a video from its name."""

Score = TypeVar("Score")

_NO_IDENTITY = "Identity scores left out: "


@dataclass(frozen=True, eq=False)
class Equipment:
    """What scores are computed with.

    Attributes:
        models: what finds faces and, where it is there, what tells them apart.
        tools: opens what compares attributes, or raises a LumosXError; called for a scene that has some.
    """

    models: ScoreModels | FacesOnly
    tools: Callable[[], Tools]


@dataclass(frozen=True, eq=False)
class VideoScores:
    """What one video says.

    Attributes:
        subjects: how many there are.
        people: who was seen; or only how many faces, where nothing tells them apart; None if no subject has a picture.
        attributes, motion: None if they could not be computed.
        notes: what was left out and why, one sentence each.
    """

    subjects: int
    people: IdentityScores | PresenceScores | None
    attributes: AttributeScores | None
    motion: MotionScore | None
    notes: tuple[str, ...] = ()

    @property
    def identity(self) -> IdentityScores | None:
        """None where nothing tells faces apart, or nobody is known."""
        return self.people if isinstance(self.people, IdentityScores) else None

    @property
    def presence(self) -> PresenceScores | None:
        """What is left of identity scores where nothing tells faces apart."""
        return self.people if isinstance(self.people, PresenceScores) else None

    @property
    def measure(self) -> str | None:
        """What leakage and win rate are by; None without attributes."""
        return None if self.attributes is None else self.attributes.measure

    @property
    def leakage(self) -> float | None:
        """The mean of the attributes' leakage; None if there is none to compare."""
        return mean_of_known([owner.leakage for owner in self._owners()])

    @property
    def win_rate(self) -> float | None:
        """The mean of the attributes' win rate; None as for ``leakage``."""
        return mean_of_known([owner.win_rate for owner in self._owners()])

    @property
    def left_out(self) -> list[str]:
        """Why there are no identity scores, and the notes."""
        missing = [f"{_NO_IDENTITY}{self.presence.reason}"] if self.presence is not None else []
        return [*missing, *self.notes]

    def as_json(self) -> dict:
        """Strict JSON; null for what was not computed, and a sentence among the notes says why."""
        parts = {
            "identity": self.identity, "presence": self.presence, "attributes": self.attributes, "motion": self.motion,
        }
        return {
            "version": VERSION,
            **{name: None if part is None else part.as_json() for name, part in parts.items()},
            "notes": self.left_out,
        }

    def report(self) -> str:
        """Markdown: one report of all."""
        parts = [] if self.identity is None else [identity_report(self.identity)]
        parts += [part.report() for part in (self.presence, self.attributes, self.motion) if part is not None]
        if self.notes:
            parts.append("\n".join(f"- **Note:** {note}" for note in self.notes))
        return "\n\n".join(parts)

    def _owners(self) -> list[OwnerScore]:
        return [] if self.attributes is None else [
            owner for owner in self.attributes.owners if owner.measure == self.measure
        ]


def score_all(
    frames: VideoFile, scene: Scene, equipment: Equipment, plan: IdentityPlan, tick_of: TickOf
) -> VideoScores:
    """Score a video file, which is read once for each kind of score; faces are looked for in the first pass only.

    Raises:
        LumosXError: as ``score_identity`` or ``count_faces``; what else cannot be computed is noted.
    """
    notes: list[str] = []
    seen = _people(frames, scene, equipment.models, plan, tick_of)
    if seen is None:
        notes.append(
            f"{_NO_IDENTITY}no subject has a face picture, so there is nobody to look for; put a face_<phrase>.png "
            "into the folder of at least one subject."
        )
    attributes = _or_note(
        "Attribute scores", notes, lambda: _attributes(frames, seen, scene, equipment, tick_of("attributes"))
    )
    motion = _or_note("Motion", notes, lambda: motion_score(frames, frames.fps, tick_of("motion")))
    return VideoScores(len(scene.subjects), seen, attributes, motion, tuple(notes))


def _people(
    frames: VideoFile, scene: Scene, models: ScoreModels | FacesOnly, plan: IdentityPlan, tick_of: TickOf
) -> IdentityScores | PresenceScores | None:
    people = people_of(scene)
    if all(person.picture is None for person in people):
        return None
    if isinstance(models, FacesOnly):
        return count_faces(frames, people, models, plan.every, tick_of("faces"))
    return score_identity(frames, people, models, replace(plan, fps=frames.fps), tick_of("identity"))


def _attributes(
    frames: VideoFile, seen: IdentityScores | PresenceScores | None, scene: Scene, equipment: Equipment, tick: Tick
) -> AttributeScores:
    check_scene(scene)
    if not isinstance(seen, IdentityScores) or isinstance(equipment.models, FacesOnly):
        raise LumosXError("people are found by their faces, and there is no embedder to tell faces apart.")
    same_person = equipment.models.embedder.same_person if seen.plan.mode == RECOMMENDED else None
    return score_attributes(frames, seen.frames, scene, equipment.tools(), tick, same_person=same_person)


def _or_note(what: str, notes: list[str], compute: Callable[[], Score]) -> Score | None:
    try:
        return compute()
    except LumosXError as error:
        notes.append(f"{what} left out: {error}")
        return None
