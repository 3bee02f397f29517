"""What a face is here, and what finds one or tells two apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

# Shipped face references of the release are at least 84 pixels wide; below this little is left of a likeness.
SMALLEST_FACE = 48


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture.

    Attributes:
        box: left, top, right, bottom in pixels; may reach beyond the picture.
        score: how sure the detector is, in [0, 1].
        landmarks: [5, 2] float, x and y in pixels: the eye on the picture's left, the one on its right, the tip of the
            nose, the left and the right corner of the mouth.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray

    @property
    def width(self) -> float:
        """In pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """In pixels."""
        return self.box[3] - self.box[1]

    @property
    def centre(self) -> tuple[float, float]:
        """x and y of the box's middle, in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


class Detector(Protocol):
    """Finds faces."""

    name: str

    def detect(self, pixels: np.ndarray) -> list[Face]:
        """Every face of an RGB picture [H, W, 3] uint8, surest first."""


class Embedder(Protocol):
    """Tells faces apart by a vector for each.

    Attributes:
        name: for reports, with the file or package it comes from.
        measure: what ``similarity`` computes, e.g. "cosine"; numbers of two embedders are not comparable.
        same_person: the likeness from which on two pictures are usually of one person: a rule of thumb for warnings,
            never part of a score.
    """

    name: str
    measure: str
    same_person: float

    def embed_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """[n, d] float32 of RGB face crops [H, W, 3] uint8 taken whole, as the release does: resized, not aligned."""

    def embed_faces(self, pixels: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """[n, d] float32 of faces in one RGB picture [H, W, 3] uint8, aligned by their landmarks."""

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """[n, m] float32 of vectors [n, d] and [m, d]; 1 for equal ones, less for others."""


@dataclass(frozen=True)
class ModelFolders:
    """Where a user keeps weights that are looked for, never downloaded.

    Attributes:
        insightface: folders that hold InsightFace packs, as ``<pack>/*.onnx`` or ``models/<pack>/*.onnx``.
        lumosx: folders that hold what scores need besides: the release's face networks and transformers' folders.
    """

    insightface: tuple[Path, ...] = ()
    lumosx: tuple[Path, ...] = ()
