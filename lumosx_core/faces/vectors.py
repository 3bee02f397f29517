"""What embedders share: comparing vectors, and laying a face on the template that face networks were trained with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ..packages import opencv
from .face import Face

CROP = 112
"""Width and height in pixels of what face networks take."""

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""The five landmarks in a crop of 112 x 112, as published with InsightFace; [5, 2] float64."""


def cosine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[n, m] float32 cosines of vectors [n, d] and [m, d]; 0 where a vector is all zero."""
    return (_unit(first) @ _unit(second).T).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def similarity_transform(landmarks: np.ndarray, template: np.ndarray = TEMPLATE) -> np.ndarray:
    """[2, 3] float64: the turn, scale and shift that bring five landmarks [5, 2] closest to the template's.

    Least squares in complex numbers: template ~ a * landmarks + b. Never mirrors, as InsightFace's does not.
    """
    points, wanted = (np.asarray(side, np.float64) @ (1, 1j) for side in (landmarks, template))
    centre, goal = points.mean(), wanted.mean()
    turn = np.vdot(points - centre, wanted - goal) / np.vdot(points - centre, points - centre)
    shift = goal - turn * centre
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def resized(crop: np.ndarray) -> np.ndarray:
    """A whole face crop [H, W, 3] uint8 pulled to [112, 112, 3], bilinear, as the release does."""
    return opencv().resize(np.ascontiguousarray(crop), (CROP, CROP))


def aligned(pixels: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """A face of a picture [H, W, 3] uint8 on the template, [112, 112, 3]; black where the picture ends."""
    return opencv().warpAffine(np.ascontiguousarray(pixels), similarity_transform(landmarks), (CROP, CROP))


class CosineEmbedder(ABC):
    """What embedders share that take crops of 112 x 112 and compare vectors by their angle."""

    measure = "cosine"
    # A common threshold of verification with such networks; not measured here.
    same_person = 0.3

    def embed_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        return self.embed([resized(crop) for crop in crops])

    def embed_faces(self, pixels: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        return self.embed([aligned(pixels, face.landmarks) for face in faces])

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return cosine(first, second)

    @abstractmethod
    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """[n, d] float32 of RGB crops [112, 112, 3] uint8."""
