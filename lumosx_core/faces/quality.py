"""How good a reference a face makes: its size, sharpness, frontality and whether it is whole, as figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..packages import opencv
from .face import SMALLEST_FACE, Face

SHARP = 100.0
"""Photographed faces measured 370 to 1610, and the same faces blurred by 3 % of their width 28 to 97."""
TURNED = 0.4
"""About 54 degrees away from the camera; beyond it one eye is all but hidden."""
WHOLE = 0.85
"""Share of a face inside the picture; the release's crops have 0.89 and more, faces cut by a third 0.70 to 0.84."""
TILTED, UPSIDE_DOWN = 60.0, 135.0
"""Degrees: a reference that lies like this shows nobody as they stand in a video."""

_MEASURED_SIDE = 64
# The tip of a straight face's nose lies at 57 % of the way from the eyes to the mouth; it stands out by
# about 0.4 of the eyes' distance.
_NOSE_HEIGHT, _NOSE_LENGTH = 0.57, 0.4
# How far faces reach at least, in distances of eyes and mouth: above the eyes, below the mouth, to each side.
_FOREHEAD, _CHIN, _CHEEK = 1.0, 0.65, 0.9
_GRID = 32


@dataclass(frozen=True)
class Quality:
    """Figures of one face.

    Attributes:
        short_side: of its box, in pixels.
        sharpness: variance of the Laplacian of its 8-bit grey values at 64 x 64 pixels; comparable between photos.
        frontality: 1 straight into the camera, 0 turned away by a right angle or more.
        whole: the share of it that lies inside the picture, in [0, 1], see ``whole``.
        tilt: how far it leans from upright to either side, in degrees, in [0, 180].
    """

    short_side: float
    sharpness: float
    frontality: float
    whole: float
    tilt: float

    @property
    def too_small(self) -> bool:
        """Whether too little is left of a likeness."""
        return self.short_side < SMALLEST_FACE

    def problems(self, upright: bool = False) -> list[str]:
        """What is wrong with it, one half-sentence with its figure each, worst first.

        Args:
            upright: whether it will be turned, so that its tilt does not matter.
        """
        found = []
        if self.too_small:
            found.append(f"its short side is {self.short_side:.0f} px, below {SMALLEST_FACE} px")
        if self.tilt > TILTED and not upright:
            lies = "on its head" if self.tilt > UPSIDE_DOWN else "on its side"
            found.append(
                f"it is {lies}, tilt about {self.tilt:.0f} degrees; turn the photo, or use upright of LumosX Face Crop"
            )
        if self.whole < WHOLE:
            found.append(f"{1 - self.whole:.0%} of it is cut off by the edge of the picture")
        if self.sharpness < SHARP:
            found.append(f"it is blurred: its sharpness is {self.sharpness:.0f}, below {SHARP:.0f}")
        if self.frontality < TURNED:
            found.append(f"it is turned far away: its frontality is {self.frontality:.2f}, below {TURNED}")
        return found


def measure_quality(pixels: np.ndarray, face: Face) -> Quality:
    """The figures of a face in an RGB picture [H, W, 3] uint8."""
    height, width = pixels.shape[:2]
    left, top = (max(math.floor(side), 0) for side in face.box[:2])
    right, bottom = (max(math.ceil(side), 0) for side in face.box[2:])
    return Quality(
        min(face.width, face.height), sharpness(pixels[top:bottom, left:right], _MEASURED_SIDE),
        frontality(face.landmarks), whole(face.landmarks, width, height), tilt(face.landmarks),
    )


def sharpness(pixels: np.ndarray, side: int) -> float:
    """Variance of the Laplacian of the grey values of an RGB picture [H, W, 3] uint8 at side x side; 0 if empty."""
    if pixels.size == 0:
        return 0.0
    cv2 = opencv()
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # Averaging where it shrinks, so that fine noise does not pass for sharpness.
    shrinks = min(grey.shape) > side
    grey = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def frontality(landmarks: np.ndarray) -> float:
    """1 for a straight face, 0 for a profile, from five landmarks [5, 2]; however the face is tilted in the picture.

    The turn is the angle under which the tip of the nose left its place between the eyes and the mouth.
    """
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    down, nose = mouth - eyes, landmarks[2] - eyes
    length, eye_distance = np.linalg.norm(down), np.linalg.norm(landmarks[1] - landmarks[0])
    if length == 0 or eye_distance == 0:
        return 0.0
    aside = (nose[0] * down[1] - nose[1] * down[0]) / length / eye_distance
    along = (nose @ down) / length**2 - _NOSE_HEIGHT
    return 1 - math.atan2(math.hypot(aside, along), _NOSE_LENGTH) / (math.pi / 2)


def tilt(landmarks: np.ndarray) -> float:
    """Degrees between straight down and the way from the eyes to the mouth, from five landmarks [5, 2]; in [0, 180]."""
    x, y = landmarks[3:].mean(0) - landmarks[:2].mean(0)
    return math.degrees(abs(math.atan2(x, y)))


def whole(landmarks: np.ndarray, width: int, height: int) -> float:
    """The share of a face inside a picture of this size, from five landmarks [5, 2], in [0, 1].

    Detectors shrink the box of a face that is cut off; its eyes and mouth say how far it must have reached.
    """
    eyes = landmarks[:2].mean(0)
    down = landmarks[3:].mean(0) - eyes
    steps = (np.arange(_GRID) + 0.5) / _GRID
    aside, along = np.meshgrid(_CHEEK * (2 * steps - 1), -_FOREHEAD + (_FOREHEAD + 1 + _CHIN) * steps)
    points = eyes + along[..., None] * down + aside[..., None] * np.array([down[1], -down[0]])
    return float(((points >= 0) & (points <= (width, height))).all(-1).mean())
