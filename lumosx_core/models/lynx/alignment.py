"""A face laid on the two templates that Lynx was trained with (spec section 3), from five landmarks.

Landmarks are pixel coordinates (x, y) in the order left eye, right eye, nose, left and right corner of the mouth, where
left is the picture's left.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from ...errors import LumosXError
from ...faces.vectors import TEMPLATE, similarity_transform

ID_SIZE, REF_SIZE = 112, 256
"""Width and height of the crop for the recogniser, and of the crop for the reference pass."""

# The reference crop is wider and moved up: hair and neck are to be seen in it.
_REF_POINTS = ((TEMPLATE + (0, 10) - 56) * 0.8 + 56) * 2 + (16, 0)
TEMPLATES: dict[int, np.ndarray] = {ID_SIZE: TEMPLATE, REF_SIZE: _REF_POINTS}
"""Size of a crop to where its five landmarks lie, [5, 2] float64."""

_SMALLEST_SPREAD = 1e-6
"""Pixels; closer landmarks are one point, to which no turn or scale belongs."""


def similarity_matrix(landmarks: np.ndarray, size: Literal[112, 256]) -> np.ndarray:
    """The turn, scale and shift that bring landmarks closest to a template, see ``similarity_transform``.

    Args:
        landmarks: [5, 2].

    Returns:
        [2, 3] float64, from the picture's pixels to the crop's.

    Raises:
        LumosXError: the landmarks are not five points, are not finite, or all the same point.
    """
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all():
        raise LumosXError(
            f"landmarks: five finite points (x, y) are needed, but the shape is {list(landmarks.shape)}; link a "
            "detector that gives five."
        )
    if np.square(landmarks - landmarks.mean(0)).sum() <= _SMALLEST_SPREAD**2:
        raise LumosXError("landmarks: all five are the same point; choose another picture or detector.")
    return similarity_transform(landmarks, TEMPLATES[size])


def aligned_crop(picture: torch.Tensor, landmarks: np.ndarray, size: Literal[112, 256]) -> torch.Tensor:
    """A face on a template.

    Args:
        picture: RGB [height, width, 3] uint8.
        landmarks: [5, 2].

    Returns:
        [size, size, 3] uint8, bilinear; black where the picture ends.

    Raises:
        LumosXError: see ``similarity_matrix``.
    """
    return warp(picture, similarity_matrix(landmarks, size), size)


def warp(picture: torch.Tensor, matrix: np.ndarray, size: int) -> torch.Tensor:
    """What a matrix [2, 3] (picture to crop) makes of a picture: [size, size, 3] uint8; see ``aligned_crop``."""
    turn = matrix[:, :2]
    if abs(np.linalg.det(turn)) < 1e-12:
        # Landmarks that look mirrored may leave nothing of the scale.
        return torch.zeros(size, size, 3, dtype=torch.uint8)
    inverse = np.linalg.inv(turn)
    steps = np.arange(size, dtype=np.float64)
    crop_points = np.stack(np.meshgrid(steps, steps), axis=-1)
    points = (crop_points - matrix[:, 2]) @ inverse.T
    # Only the part of the picture that the crop shows is turned into floats, with a margin for neighbours.
    extent = picture.shape[1::-1]
    left, top = np.clip(np.floor(points.min(axis=(0, 1))) - 1, 0, extent).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=(0, 1))) + 2, 0, extent).astype(int)
    part = picture[top:bottom, left:right]
    if not part.numel():
        return torch.zeros(size, size, 3, dtype=torch.uint8)
    # grid_sample counts from -1 to 1 between the outer edges of the outermost pixels.
    grid = torch.from_numpy((points - (left, top) + 0.5) / part.shape[1::-1] * 2 - 1).float()
    numbers = part.permute(2, 0, 1)[None].float()
    crop = F.grid_sample(numbers, grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)
    return crop[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)
