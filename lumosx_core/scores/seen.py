"""Who was seen where in a video: what every score about people starts from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..faces.face import Face


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """The faces of one frame and the subjects that they were assigned to.

    Attributes:
        index: the frame's number in the video, from 0.
        faces: every face found.
        similarity: [faces, subjects] float32, each face against each subject's reference; NaN for subjects without.
        shown: for each subject the number of its face in ``faces``, or None where it was missed.
        vectors: [faces, d] float32, what the embedder made of each face; None where nobody keeps them.
        second: like ``similarity``, by a second embedder; None without one.
    """

    index: int
    faces: tuple[Face, ...]
    similarity: np.ndarray
    shown: tuple[int | None, ...]
    vectors: np.ndarray | None = None
    second: np.ndarray | None = None

    def face_of(self, subject: int) -> Face | None:
        """The face taken for a subject, or None."""
        face = self.shown[subject]
        return None if face is None else self.faces[face]
