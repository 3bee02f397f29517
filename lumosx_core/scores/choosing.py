"""Which of several videos of one scene is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClipScore:
    """What counts of one video.

    Attributes:
        wrong_faces: people who are missing or somebody else, and changes of face in the middle of the video.
        wrong_things: worn things that are more on somebody else than on their owner.
        likeness: of the faces to their references; breaks ties only.
    """

    wrong_faces: int
    wrong_things: int
    likeness: float

    @property
    def errors(self) -> int:
        """Of both kinds."""
        return self.wrong_faces + self.wrong_things


def best_clip(scores: Sequence[ClipScore]) -> int:
    """The number, from 0, of the video with the fewest errors, then the greatest likeness; the first of equal ones.

    Args:
        scores: of each video, at least one.
    """
    return min(range(len(scores)), key=lambda number: (scores[number].errors, -scores[number].likeness))
