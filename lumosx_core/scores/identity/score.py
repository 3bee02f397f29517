"""How much the people of a video look like their references: the numbers behind ArcSim and CurSim.

ArcSim(video) = 1 / (T R) * sum of c(i, j) over all frames and pairs (face i, reference j) of their assignments, with T
frames and R references; CurSim is the same sum of another embedder's c over ArcFace's assignment. A reference without a
face in a frame adds 0, a face too many costs nothing, negative likeness is kept. All of it is the release's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...faces.face import Embedder
from ..figures import mean_of_known
from ..seen import SeenFrame


@dataclass(frozen=True)
class SubjectScore:
    """One subject over a whole video.

    Attributes:
        likeness: mean over all watched frames, where a miss counts 0; None for a subject without a picture.
        seen_likeness: mean over the frames that show it; None if none does.
        worst: the least in a frame that shows it; None if none does.
        seen: the share of watched frames that show it, in [0, 1].
        second: ``likeness`` by the second embedder; None without one.
        steadiness, least_steady: mean and least likeness of its faces in neighbouring watched frames; None where no two
            neighbours show it.
    """

    likeness: float | None
    seen_likeness: float | None
    worst: float | None
    seen: float
    second: float | None
    steadiness: float | None
    least_steady: float | None


def likeness_of(frame: SeenFrame, subject: int, second: bool = False) -> float | None:
    """How much the face taken for a subject looks like its reference, or None for a miss."""
    face, likeness = frame.shown[subject], frame.second if second else frame.similarity
    return None if face is None or likeness is None else float(likeness[face, subject])


def identity_score(frames: Sequence[SeenFrame], known: Sequence[int], second: bool = False) -> float:
    """ArcSim's formula; with ``second`` CurSim's, of the second embedder over the first one's assignment."""
    found = [likeness_of(frame, subject, second) for frame in frames for subject in known]
    return sum(value for value in found if value is not None) / len(found)


def subject_score(frames: Sequence[SeenFrame], subject: int, embedder: Embedder, known: bool = True) -> SubjectScore:
    """What is known of one subject; ``known`` is False for one without a picture."""
    found = [value for frame in frames if (value := likeness_of(frame, subject)) is not None]
    others = [value for frame in frames if frame.second is not None
              and (value := likeness_of(frame, subject, second=True)) is not None]
    steady = _between_neighbours(frames, subject, embedder)
    has_second = known and any(frame.second is not None for frame in frames)
    return SubjectScore(
        likeness=sum(found) / len(frames) if known else None,
        seen_likeness=mean_of_known(found),
        worst=min(found, default=None),
        seen=len(found) / len(frames),
        second=sum(others) / len(frames) if has_second else None,
        steadiness=mean_of_known(steady),
        least_steady=min(steady, default=None),
    )


def strangers(frames: Sequence[SeenFrame], same_person: float) -> dict[int, float]:
    """The subjects who are probably not in the video, with the mean likeness of the faces that were taken for them.

    Some face is taken for every subject as long as there are enough, so that one was taken says little.

    Args:
        same_person: the embedder's, which is one of aligned faces.
    """
    found = {}
    for subject in range(len(frames[0].shown)):
        likeness = mean_of_known([value for frame in frames if (value := likeness_of(frame, subject)) is not None])
        if likeness is not None and likeness < same_person:
            found[subject] = likeness
    return found


def confusion(frames: Sequence[SeenFrame], subjects: int) -> np.ndarray:
    """[subjects, subjects]: the mean likeness of the face taken for subject i (row) to reference j (column).

    Over the frames that show subject i. NaN in the rows of subjects never seen and where there is no reference.
    """
    table = np.full((subjects, subjects), np.nan)
    for subject in range(subjects):
        rows = [frame.similarity[frame.shown[subject]] for frame in frames if frame.shown[subject] is not None]
        if rows:
            table[subject] = np.mean(np.stack(rows).astype(np.float64), axis=0)
    return table


def margins(table: np.ndarray) -> list[float | None]:
    """For each row of ``confusion``: how far the own reference is ahead of the next best; None with nothing to compare.

    Above 0 the face is told apart from the other subjects.
    """
    found: list[float | None] = []
    for subject, row in enumerate(table):
        others = np.delete(row, subject)
        others = others[~np.isnan(others)]
        found.append(None if np.isnan(row[subject]) or not len(others) else float(row[subject] - others.max()))
    return found


def _between_neighbours(frames: Sequence[SeenFrame], subject: int, embedder: Embedder) -> list[float]:
    faces = [
        None if (face := frame.shown[subject]) is None or frame.vectors is None else frame.vectors[face][None]
        for frame in frames
    ]
    return [float(embedder.similarity(before, after)[0, 0])
            for before, after in zip(faces, faces[1:]) if before is not None and after is not None]
