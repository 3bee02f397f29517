"""Faces of the drawn world as Lynx is given them: two crops, and what stands in for a face recogniser."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from ..models.lynx.alignment import ID_SIZE, REF_SIZE, TEMPLATES, aligned_crop
from .world.cast import DrawnFace
from .world.clip import Viewpoint, view_of_face

_CELLS = 14
EMBEDDING = 3 * _CELLS**2
"""Numbers of an embedding, by which a resampler for the drawn world is known: ArcFace's has 512."""

_ZOOM = 6
"""Pixels of a unit of the world, about as many as the larger crop has."""
_MIDDLE, _EYES_Y, _EYE_X, _LOOK = (30.0, 26.0), 1.0, 5.2, 4.0
"""In units: the middle of a head in ``view_of_face``; the eyes below it and beside it; how far they follow a turn."""


def face_crops(face: DrawnFace, turn: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """A drawn face on Lynx's two templates, by its eyes.

    Args:
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
    """The mean colours of cells of a crop: on the drawn world they say who somebody is.

    Args:
        crops: RGB [n, 112, 112, 3] uint8.

    Returns:
        [n, EMBEDDING] float32, of unit length.
    """
    cells = F.adaptive_avg_pool2d(crops.permute(0, 3, 1, 2).float() / 127.5 - 1, _CELLS)
    return F.normalize(cells.flatten(1), dim=1)
