"""Whose face each face of a frame is, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..faces.face import Face
from .seen import SeenFrame
from .watching import assign


@dataclass(frozen=True, eq=False)
class NamedFace:
    """A face of a frame.

    Attributes:
        face: where it is.
        subject: whose it is, from 0; None for nobody's.
        sure: whether it is at least as similar to the reference as pictures of one person usually are, and not more
            similar to somebody else's.
    """

    face: Face
    subject: int | None = None
    sure: bool = False


def name_faces(frame: SeenFrame, same_person: float, left_out: Callable[[Face], bool] | None = None) -> list[NamedFace]:
    """Give each face to one person and each person at most one face, so that the sum of likeness is largest.

    Args:
        frame: the faces, and how similar each is to each subject's reference.
        same_person: the likeness from which on two pictures are usually of one person. A face of a video often has
            less; below half of it a face is nobody's.
        left_out: says which faces get no person.

    Returns:
        Every face, in the order of the frame.
    """
    kept = [number for number, face in enumerate(frame.faces) if left_out is None or not left_out(face)]
    similarity, least = frame.similarity[kept], same_person / 2
    # How unlike a stranger is to whoever is left must not decide who the others are.
    chosen = assign(np.maximum(similarity, least)) if kept else ()
    owners = {
        kept[face]: (subject, similarity[face])
        for subject, face in enumerate(chosen) if face is not None and similarity[face, subject] >= least
    }
    return [_named(face, *owners[number], same_person) if number in owners else NamedFace(face)
            for number, face in enumerate(frame.faces)]


def _named(face: Face, subject: int, likeness: np.ndarray, same_person: float) -> NamedFace:
    own = likeness[subject]
    return NamedFace(face, subject, bool(own >= same_person and own >= np.nanmax(likeness)))
