"""Several pictures of one person or thing: which one is the best reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FACE, THING = "a face", "a thing"
SHOWS = (FACE, THING)
BEST, EACH = "the best one", "each as its own reference"
USES = (BEST, EACH)

HALF_SIZE = 96.0
"""Pixels of the short side that count one half: faces of the release's cases have 83 to 170."""
HALF_SHARPNESS = 400.0
"""Sharpness that counts one half: the softest of the photographs' sharp faces has about this."""
SHARPNESS_SIDE = 128
"""Pixels of the square at which a thing's sharpness is measured; a face's is measured at 64."""


@dataclass(frozen=True)
class View:
    """One picture and the figures that it is ranked by.

    Attributes:
        source: the node input it came from, e.g. "image_2".
        size: the short side of the face's box, or of a thing's picture, in pixels.
        sharpness: variance of the Laplacian, see ``faces.quality``; comparable between views of one kind.
        frontality: 1 for a straight face, 0 for a profile; 1 for a thing.
    """

    source: str
    size: float
    sharpness: float
    frontality: float = 1.0

    @property
    def score(self) -> float:
        """In [0, 1]: size / (size + 96) * sharpness / (sharpness + 400) * frontality.

        Size and sharpness count for ever less: from a small picture to a good one is a step, beyond that hardly any.
        """
        return (
            self.size / (self.size + HALF_SIZE) * self.sharpness / (self.sharpness + HALF_SHARPNESS) * self.frontality
        )


def rank(views: Sequence[View]) -> list[int]:
    """The views' positions, best first; equal ones keep their order."""
    return sorted(range(len(views)), key=lambda position: -views[position].score)


def views_report(views: Sequence[View], notes: Sequence[str], warnings: Sequence[str]) -> str:
    """Every view with its figures and rank, in order, and why the best is the best."""
    ranking = rank(views)
    lines = [_best_line([views[position] for position in ranking])]
    lines += [
        f"- {view.source}: rank {ranking.index(position) + 1}, score {view.score:.3f}, {_figures(view)}"
        for position, view in enumerate(views)
    ]
    lines += [f"- {note}" for note in notes]
    return "\n".join([*lines, *(f"- **Warning:** {warning}" for warning in warnings)])


def _best_line(ranked: Sequence[View]) -> str:
    best = ranked[0]
    if len(ranked) == 1:
        return f"- Best: {best.source}, the only view."
    ahead = [
        name for name in ("size", "sharpness", "frontality")
        if all(getattr(best, name) > getattr(other, name) for other in ranked[1:])
    ]
    if best.score == ranked[1].score:
        why = "the first of those with the highest score"
    elif ahead:
        why = f"first in {' and '.join(ahead)}, and the highest product of size, sharpness and frontality"
    else:
        why = "first in none of size, sharpness and frontality, but the highest product of the three"
    return f"- Best: {best.source}, {why}."


def _figures(view: View) -> str:
    return f"size {view.size:.0f} px, sharpness {view.sharpness:.0f}, frontality {view.frontality:.2f}"
