"""Whose attribute is on whom: the attribute-owner matrix, leakage, and what follows from them.

With s(a, q) the likeness of attribute a to the region of person q in a frame, and p the owner of a:
L(a) = max over q != p of s(a, q) - s(a, p). Leakage is the mean of max(L, 0) over the frames that show p and somebody
else; the win rate is the share of them with L < 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..figures import mean_of_known
from ..table import markdown_table
from .colour import ColourLikeness
from .regions import Region
from .similarity import Located

VERSION = 1
"""Of the JSON's form."""
# Two likenesses that differ by less tell nothing.
SAME = 0.02
# Up to this share of frames is an exception; beyond it, one word for all of them would hide a change.
CHANGES = 0.1


@dataclass(frozen=True)
class OwnerScore:
    """One attribute by one measure.

    Attributes:
        phrase: the attribute.
        owner: the person it belongs to, from 0.
        measure: what was compared, e.g. "CLIP-I".
        frames: for each watched frame and each person the likeness, None where the person is not seen. 0 where a
            locator finds no box, or where the frame cuts off the part of the body.
        recognised: False where the faces taken for the owner are hardly alike, so that it is probably somebody else.
    """

    phrase: str
    owner: int
    measure: str
    frames: tuple[tuple[float | None, ...], ...]
    recognised: bool = True

    @property
    def score(self) -> float:
        """The mean likeness to the owner's region over all watched frames; one without the owner counts 0."""
        return sum(row[self.owner] or 0.0 for row in self.frames) / len(self.frames)

    @property
    def row(self) -> tuple[float | None, ...]:
        """This attribute's row of the matrix: the mean over the frames that show both owner and person."""
        people = range(len(self.frames[0]))
        return tuple(mean_of_known([row[person] for row in self._both(person)]) for person in people)

    @property
    def leakage(self) -> float | None:
        """The mean of max(L, 0); None if no frame shows the owner and somebody else."""
        return mean_of_known([max(value, 0.0) for value in self.leaks])

    @property
    def win_rate(self) -> float | None:
        """The share of frames where the owner's region is ahead; None as for ``leakage``."""
        return mean_of_known([float(value < 0) for value in self.leaks])

    @property
    def leaks(self) -> tuple[float, ...]:
        """L of each frame that shows the owner and somebody else."""
        return tuple(-lead for lead in self.leads if lead is not None)

    @property
    def leads(self) -> tuple[float | None, ...]:
        """-L of each watched frame, None where the owner or everybody else is not seen."""
        others = [[value for person, value in enumerate(row) if person != self.owner and value is not None]
                  for row in self.frames]
        return tuple(None if (own := row[self.owner]) is None or not rivals else own - max(rivals)
                     for row, rivals in zip(self.frames, others))

    @property
    def verdict(self) -> str:
        """In words, from how many frames clearly show it on its owner or on others; people are numbered from 1."""
        if not self.recognised:
            return "owner not recognised"
        compared = len(self.leaks)
        if not compared:
            return "nobody to compare with"
        right, wrong = (sum(sign * value >= SAME for value in self.leaks) for sign in (-1, 1))
        if max(right, wrong) <= CHANGES * compared:
            return "not told apart"
        steady = min(right, wrong) <= CHANGES * (right + wrong) and max(right, wrong) > compared / 2
        if right >= wrong:
            return "on the right person" if steady else f"on the right person in {right} of {compared} frames"
        (other, times), = self._instead().most_common(1)
        if steady and times >= (1 - CHANGES) * wrong:
            return f"on subject {other + 1} instead"
        return f"on somebody else in {wrong} of {compared} frames"

    def as_json(self) -> dict:
        """Strict JSON; people are numbered from 1."""
        return {
            "attribute": self.phrase, "subject": self.owner + 1, "measure": self.measure, "score": self.score,
            "matrix_row": list(self.row), "leakage": self.leakage, "win_rate": self.win_rate,
            "compared_frames": len(self.leaks), "owner_recognised": self.recognised,
            "verdict": self.verdict, "frames": [list(row) for row in self.frames],
        }

    def _instead(self) -> Counter[int]:
        """How often each other person is the one it is on, where it is clearly not on its owner."""
        found: Counter[int] = Counter()
        for row, lead in zip(self.frames, self.leads):
            if lead is not None and lead <= -SAME:
                others = {person: value for person, value in enumerate(row) if value is not None}
                found[max(others, key=others.__getitem__)] += 1
        return found

    def _both(self, person: int) -> list[tuple[float | None, ...]]:
        return [row for row in self.frames if row[self.owner] is not None and row[person] is not None]


@dataclass(frozen=True)
class ObjectScore:
    """One object by one measure.

    Attributes:
        phrase: the object.
        measure: what was compared.
        frames: for each watched frame the best likeness in the whole picture; 0 where a locator finds no box.
    """

    phrase: str
    measure: str
    frames: tuple[float, ...]

    @property
    def score(self) -> float:
        """The mean over all watched frames."""
        return sum(self.frames) / len(self.frames)

    def as_json(self) -> dict:
        """Strict JSON."""
        return {"object": self.phrase, "measure": self.measure, "score": self.score, "frames": list(self.frames)}


@dataclass(frozen=True, eq=False)
class FrameView:
    """Where was looked in a frame.

    Attributes:
        index: the frame's number in the video, from 0.
        regions: of each person; None for one who is not seen.
        located: what a locator found, in pixels of the frame: the person it was found on (None for an object), the
            phrase, and the box.
    """

    index: int
    regions: tuple[Region | None, ...]
    located: tuple[tuple[int | None, str, Located], ...] = ()


@dataclass(frozen=True, eq=False)
class AttributeScores:
    """What was found in a video.

    Attributes:
        people: how each subject is called.
        owners: every attribute by every measure.
        objects: every object by every measure.
        measures: each measure with a line that says what it is.
        looked: where was looked, in words.
        views: the watched frames.
        notes: what was left out or counts 0, one sentence each.
    """

    people: tuple[str, ...]
    owners: tuple[OwnerScore, ...]
    objects: tuple[ObjectScore, ...]
    measures: dict[str, str]
    looked: str
    views: tuple[FrameView, ...]
    notes: tuple[str, ...]

    @property
    def measure(self) -> str:
        """What the plot and a case's means are by: the first measure of a network, else the only one, colour."""
        return next((name for name in self.measures if name != ColourLikeness.name), ColourLikeness.name)

    def as_json(self) -> dict:
        """Strict JSON: no NaN, null for what is unknown; people are numbered from 1."""
        return {
            "version": VERSION, "people": list(self.people), "measures": self.measures, "looked_at": self.looked,
            "watched_frames": [view.index for view in self.views],
            "seen": [self._seen(person) for person in range(len(self.people))],
            "attributes": [owner.as_json() for owner in self.owners],
            "objects": [thing.as_json() for thing in self.objects], "notes": list(self.notes),
        }

    def report(self) -> str:
        """Markdown: a matrix for each measure, objects, how to read it, and notes."""
        parts = ["## Attributes: who wears what"]
        for measure, line in self.measures.items():
            owners = [owner for owner in self.owners if owner.measure == measure]
            objects = [thing for thing in self.objects if thing.measure == measure]
            parts.append(f"### {line}")
            if owners:
                parts.append(self._matrix(owners))
            if objects:
                parts.append(markdown_table(("object", "score"), ((thing.phrase, thing.score) for thing in objects)))
        notes = [f"**Note:** {note}" for note in self.notes]
        parts.append("\n".join(f"- {line}" for line in (*self._legend(), *notes)))
        return "\n\n".join(parts)

    def _matrix(self, owners: Sequence[OwnerScore]) -> str:
        people = [f"{number} {name}" for number, name in enumerate(self.people, 1)]
        header = ("attribute", "of", *(f"on {name}" for name in people), "score", "leakage", "wins", "verdict")
        return markdown_table(header, (
            (owner.phrase, people[owner.owner], *owner.row, owner.score, owner.leakage, owner.win_rate, owner.verdict)
            for owner in owners
        ))

    def _legend(self) -> list[str]:
        faces = ", ".join(f"{person + 1} {name} in {self._seen(person)}" for person, name in enumerate(self.people))
        watched = "1 frame was watched" if len(self.views) == 1 else f"{len(self.views)} frames were watched"
        lines = [f"{watched}; a face was assigned to: {faces}.", f"Looked at: {self.looked}."]
        if self.owners:
            lines.append(
                "on: mean likeness over frames that show the owner and this person. score: the owner's mean over all "
                "watched frames; a miss counts 0. leakage: how far somebody else is ahead; 0 is best. wins: share of "
                f"frames where the owner is ahead. Differences below {SAME} are not significant."
            )
        return lines

    def _seen(self, person: int) -> int:
        return sum(view.regions[person] is not None for view in self.views)
