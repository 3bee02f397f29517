"""Clique-based subject consolidation: crops of a clip -> one reference a subject (paper section 3).

Two crops are joined if their image features are close. The largest clique is one subject, then the largest of what is
left, and so on while a clique has more crops than a third of the frames. A clique demands that all its pairs are alike,
so one bad crop that resembles two people cannot merge them, as it would by linking neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import LumosXError
from ...install_line import pip_command
from .clique_search import DECIMALS, Budget, largest_clique

if TYPE_CHECKING:
    import networkx
    import torch

MOST_CROPS = 1024
MOST_WORK = 500_000
"""Candidates that all searches of one clip look at together: some seconds."""
TAU = 0.15
"""A start for CLIP ViT-L/14 on crops with a white background; the paper gives no number."""
_ASYMMETRY = 1e-4


@dataclass(frozen=True)
class CliqueSubject:
    """One subject of a clip.

    Attributes:
        members: its crops, ascending.
        representative: the crop that stands for it: the most similar to the others, then the largest, the sharpest and
            the first.
        phrase: what most of its crops were found by; None without phrases.
        similarity: mean of the pairs' similarities; 1 for a single crop.
    """

    members: tuple[int, ...]
    representative: int
    phrase: str | None
    similarity: float


@dataclass(frozen=True)
class Consolidation:
    """All subjects of a clip.

    Attributes:
        subjects: in the order found, largest first.
        left_over: crops that belong to none, ascending.
        frame_count: frames that the third is taken of.
        warnings: what could not be settled, a sentence each.
    """

    subjects: tuple[CliqueSubject, ...]
    left_over: tuple[int, ...]
    frame_count: int
    warnings: tuple[str, ...] = ()

    def report(self) -> str:
        """What was found, a line a subject."""
        lines = [
            f"{len(self.subjects)} subject{'' if len(self.subjects) == 1 else 's'} in {self.frame_count} frames; a "
            f"subject needs at least {least_size(self.frame_count)} crops."
        ]
        for number, one in enumerate(self.subjects, start=1):
            phrase = f" \"{one.phrase}\"" if one.phrase else ""
            lines.append(
                f"{number}.{phrase} {len(one.members)} crops, mean similarity {one.similarity:.3f}, "
                f"reference: crop {one.representative}"
            )
        if self.left_over:
            lines.append(f"Crops that belong to no subject: {', '.join(map(str, self.left_over))}")
        return "\n".join((*lines, *self.warnings))


def consolidate(
    similarity: torch.Tensor | np.ndarray,
    frames: Sequence[int],
    tau: float = TAU,
    *,
    frame_count: int | None = None,
    same_frame_edges: bool = False,
    area: Sequence[float] | None = None,
    sharpness: Sequence[float] | None = None,
    phrases: Sequence[str | None] | None = None,
    most_work: int = MOST_WORK,
) -> Consolidation:
    """Group the crops of a clip into subjects.

    Args:
        similarity: [crops, crops], cosine similarities of the crops' image features.
        frames: the frame of each crop.
        tau: crops are joined if 1 - similarity is below it.
        frame_count: frames that were looked at; None for those that have a crop.
        same_frame_edges: whether crops of one frame may be one subject.
        area, sharpness: of each crop, in any unit; they only break ties.
        phrases: what each crop was found by.
        most_work: after so many candidates that were looked at, the rest is settled greedily, with a warning.

    Raises:
        LumosXError: lengths differ, there are too many crops, or a number is out of range.
    """
    matrix = _matrix(similarity, len(frames))
    count = len(frames)
    for name, values in (("area", area), ("sharpness", sharpness), ("phrases", phrases)):
        if values is not None and len(values) != count:
            raise LumosXError(f"{name}: it has {len(values)} values for {count} crops; it needs one for each crop.")
    if not 0 <= tau <= 2:
        raise LumosXError(f"tau: it is {tau}; it must be from 0 to 2.")
    seen = len(set(frames))
    frame_count = seen if frame_count is None else frame_count
    if frame_count < seen:
        raise LumosXError(f"frame_count: it is {frame_count}, but the crops come from {seen} frames.")

    graph = similarity_graph(matrix, frames, tau, same_frame_edges)
    ranks = [(area[one] if area else 0, sharpness[one] if sharpness else 0) for one in range(count)]
    budget, subjects, complete = Budget(most_work), [], True
    while graph:
        found = largest_clique(graph, matrix, least_size(frame_count), budget)
        complete = complete and found.complete
        if found.members is None:
            break
        subjects.append(_subject(found.members, matrix, ranks, phrases))
        graph.remove_nodes_from(found.members)
    warnings = () if complete else (
        "The search for subjects was cut off, since too many groups of crops are equally large; a subject may have got "
        "other crops than the best. Lower tau, or give fewer crops.",
    )
    return Consolidation(tuple(subjects), tuple(sorted(graph)), frame_count, warnings)


def least_size(frame_count: int) -> int:
    """Crops that a subject must have: more than a third of the frames."""
    return frame_count // 3 + 1


def similarity_graph(
    similarity: np.ndarray, frames: Sequence[int], tau: float, same_frame_edges: bool = False
) -> networkx.Graph:
    """The graph whose nodes are crops and whose edges join those that look alike.

    Args:
        similarity: [crops, crops], symmetric.

    Raises:
        LumosXError: networkx is not installed.
    """
    try:
        import networkx
    except ImportError as error:
        raise LumosXError(
            f"networkx is not installed, though PyTorch needs it; run {pip_command()} install networkx and restart "
            "ComfyUI."
        ) from error
    joined = 1 - similarity < tau
    if not same_frame_edges:
        joined &= np.not_equal.outer(np.array(frames), np.array(frames))
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(frames)))
    graph.add_edges_from((first, second) for first, second in np.argwhere(np.triu(joined, 1)).tolist())
    return graph


def _matrix(similarity: torch.Tensor | np.ndarray, count: int) -> np.ndarray:
    """The similarities as float64, checked and symmetric."""
    matrix = np.asarray(similarity, dtype=np.float64)
    if matrix.shape != (count, count):
        raise LumosXError(f"similarity: it is {list(matrix.shape)}, but {count} crops need [{count}, {count}].")
    if count > MOST_CROPS:
        raise LumosXError(f"crops: there are {count}; give at most {MOST_CROPS}, for example from fewer frames.")
    if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max(initial=0) > _ASYMMETRY:
        raise LumosXError("similarity: it must be finite, and the same from a to b as from b to a.")
    return (matrix + matrix.T) / 2


def _subject(
    members: tuple[int, ...], similarity: np.ndarray, ranks: Sequence[tuple], phrases: Sequence[str | None] | None
) -> CliqueSubject:
    others = max(len(members) - 1, 1)
    means = {
        one: sum(float(similarity[one, other]) for other in members if other != one) / others for one in members
    }
    representative = max(members, key=lambda one: (round(means[one], DECIMALS), *ranks[one], -one))
    mean = sum(means.values()) / len(members) if len(members) > 1 else 1.0
    return CliqueSubject(members, representative, _phrase(members, representative, phrases), mean)


def _phrase(
    members: tuple[int, ...], representative: int, phrases: Sequence[str | None] | None
) -> str | None:
    """The phrase of most members; among equals the representative's, else the one met first."""
    if not phrases:
        return None
    votes = Counter(phrases[one] for one in members if phrases[one] is not None)
    if not votes:
        return None
    most = max(votes.values())
    winners = [phrase for phrase, number in votes.items() if number == most]
    return phrases[representative] if phrases[representative] in winners else winners[0]
