"""Faces of the drawn world as inputs of Lynx: two crops, and a substitute for the embedding of a face recogniser."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..models.lynx.alignment import ID_SIZE, REF_SIZE, TEMPLATES, aligned_crop
from .world.cast import DrawnFace
from .world.clip import Viewpoint, view_of_face

_CELLS = 14
EMBEDDING = 3 * _CELLS**2
"""Length of an embedding. It identifies a resampler of the drawn world: ArcFace's embeddings have 512 numbers."""

_ZOOM = 6
"""Pixels per unit of the world, close to the scale of the larger crop."""
_MIDDLE, _EYES_Y, _EYE_X, _LOOK = (30.0, 26.0), 1.0, 5.2, 4.0
"""In units of the world: the middle of a head in ``view_of_face``, how far the eyes are below it and to its sides, and
how far they move when the head turns."""


def face_crops(face: DrawnFace, turn: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """The two crops of a drawn face, aligned by its eyes to Lynx's templates.

    Args:
        face: the drawn face.
        turn: where the face looks, -1 (left) to 1 (right).

    Returns:
        RGB uint8: [112, 112, 3] for the recogniser and [256, 256, 3] for the reference pass.
    """
    picture = torch.from_numpy(np.asarray(view_of_face(face, Viewpoint(turn=turn), _ZOOM)).copy())
    points = TEMPLATES[ID_SIZE]
    eyes = points[:2].mean(axis=0)
    units = (points - eyes) * (2 * _EYE_X / np.diff(points[:2, 0])[0])
    landmarks = (units + _MIDDLE + (_LOOK * turn, _EYES_Y)) * _ZOOM
    return aligned_crop(picture, landmarks, ID_SIZE), aligned_crop(picture, landmarks, REF_SIZE)


def world_embedding(crops: torch.Tensor) -> torch.Tensor:
    """The mean colours of the cells of a crop, which are enough to identify a person of the drawn world.

    Args:
        crops: RGB [n, 112, 112, 3] uint8.

    Returns:
        [n, EMBEDDING] float32, of unit length.
    """
    cells = F.adaptive_avg_pool2d(crops.permute(0, 3, 1, 2).float() / 127.5 - 1, _CELLS)
    return F.normalize(cells.flatten(1), dim=1)
