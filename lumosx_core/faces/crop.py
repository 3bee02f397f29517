"""Faces cut out of pictures with the margins of the release."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..packages import opencv
from .face import Face

RELEASE_UP, RELEASE_DOWN = 0.17, 0.03
SIDES = 0.25
"""On photographs 0.2 left part of some ears out, and 0.3 brought shoulders and neighbours in."""
LARGEST_MARGIN = 2.0

# What an upright face's box has for (h² - w²) / (h² + w²): 1.32 times as high as wide, the median of photographs.
_USUAL_SHAPE = 0.27


@dataclass(frozen=True)
class Margins:
    """What is kept around a face's box.

    Attributes:
        up: above, as a share of the box's height.
        down: below, as a share of the height that ``up`` has made larger already.
        sides: on each side, as a share of the box's width; the release has none.
    """

    up: float = RELEASE_UP
    down: float = RELEASE_DOWN
    sides: float = SIDES


def crop_box(face: Face, margins: Margins, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the whole pixels to cut out of a picture of this size; at least one pixel."""
    left, top, right, bottom = _enlarged(face.box, margins)
    left, top = min(max(round(left), 0), width - 1), min(max(round(top), 0), height - 1)
    return left, top, max(min(round(right), width), left + 1), max(min(round(bottom), height), top + 1)


def upright_crop(pixels: np.ndarray, face: Face, margins: Margins) -> np.ndarray:
    """A face cut out of an RGB picture [H, W, 3] uint8 and turned about the eyes' middle until the eyes are level.

    The scale stays. The crop ends where the turned picture ends; corners that it does not reach repeat its edge.
    """
    cv2 = opencv()
    height, width = pixels.shape[:2]
    (x, y), angle = face.landmarks[:2].mean(0), _tilt(face)
    turn = cv2.getRotationMatrix2D((float(x), float(y)), math.degrees(angle), 1.0)
    corners = _turned(np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64), turn)
    left, top, right, bottom = _enlarged(_upright_box(face, angle, turn), margins)
    left, top = np.maximum([left, top], corners.min(0)).round().astype(int)
    right, bottom = np.minimum([right, bottom], corners.max(0)).round().astype(int)
    turn[:, 2] -= left, top
    size = max(int(right - left), 1), max(int(bottom - top), 1)
    return cv2.warpAffine(pixels, turn, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _enlarged(
    box: tuple[float, float, float, float], margins: Margins
) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    aside = margins.sides * (right - left)
    top -= margins.up * (bottom - top)
    bottom += margins.down * (bottom - top)
    return left - aside, top, right + aside, bottom


def _tilt(face: Face) -> float:
    """How far the face is turned clockwise, in radians: by the eyes' line, and by the mouth which way round."""
    along, down = face.landmarks[1] - face.landmarks[0]
    angle = math.atan2(down, along)
    x, y = face.landmarks[3:].mean(0) - face.landmarks[:2].mean(0)
    return angle if math.cos(angle) * y - math.sin(angle) * x >= 0 else angle + math.pi


def _upright_box(face: Face, angle: float, turn: np.ndarray) -> tuple[float, float, float, float]:
    """The box that the face will have when it stands upright.

    A tilted face is taken for an ellipse of width w and height h in a box of W and H: then W² + H² = w² + h² and
    H² - W² = (h² - w²) cos 2a. Towards 45 degrees, where the second says nothing, the usual shape takes over.
    """
    both, lean = face.width**2 + face.height**2, math.cos(2 * angle)
    difference = (face.height**2 - face.width**2) * lean + _USUAL_SHAPE * both * (1 - lean**2)
    width, height = math.sqrt(max(both - difference, 0) / 2), math.sqrt(max(both + difference, 0) / 2)
    x, y = _turned(np.array([face.centre]), turn)[0]
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _turned(points: np.ndarray, turn: np.ndarray) -> np.ndarray:
    return points @ turn[:, :2].T + turn[:, 2]
