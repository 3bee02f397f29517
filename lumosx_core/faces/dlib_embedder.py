"""dlib's face network: small, public domain, and complete after two pip packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import LumosXError
from ..install_line import PACKAGES, install_line, missing_packages, reinstall_line
from ..packages import folder_of, opencv, require
from .face import Face

_NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
_LANDMARKS = "shape_predictor_5_face_landmarks.dat"
_MODULES = ("dlib", "face_recognition_models", "cv2")
_CHIP = 150
_WIDTH = 128


def is_installed() -> bool:
    """Whether dlib, its weights and OpenCV are there; none is imported."""
    folder = _weights_folder()
    return folder is not None and not missing_packages(_MODULES) and all(
        (folder / name).is_file() for name in (_NETWORK, _LANDMARKS)
    )


def dlib_line() -> str:
    """The command that installs what is missing, or reinstalls everything if nothing is missing."""
    return install_line(_MODULES) or reinstall_line(PACKAGES["dlib"], PACKAGES["face_recognition_models"])


def _weights_folder() -> Path | None:
    # Importing the package would need setuptools, which newer Pythons come without.
    folder = folder_of("face_recognition_models")
    return folder and folder / "models"


class DlibEmbedder:
    """Vectors of 128 numbers.

    Raises:
        LumosXError: a package is missing or its weights are damaged.
    """

    name = "dlib (face-recognition-models)"
    measure = "1 - L2 distance"
    # dlib's own example takes two faces for one person up to a distance of 0.6.
    same_person = 0.4

    def __init__(self) -> None:
        require(*_MODULES, purpose="embedder: ")
        folder = _weights_folder() or Path()
        try:
            import dlib

            self._network = dlib.face_recognition_model_v1(str(folder / _NETWORK))
            self._predictor = dlib.shape_predictor(str(folder / _LANDMARKS))
        except (ImportError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            # It takes paths only, and reads them in the system's code page.
            path = "" if str(folder).isascii() else (
                "; if that does not help, install Python in a folder whose name has only ASCII letters, since dlib "
                f"may be unable to open {folder}"
            )
            raise LumosXError(
                f"embedder: dlib cannot be used ({reason}); run {dlib_line()} and restart ComfyUI{path}."
            ) from error

    def embed_crops(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        cv2 = opencv()
        chips = [cv2.resize(np.ascontiguousarray(crop), (_CHIP, _CHIP)) for crop in crops]
        return _stacked([self._network.compute_face_descriptor(chip) for chip in chips])

    def embed_faces(self, pixels: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """Aligned by five landmarks that dlib looks for in the face's box: its own are at the corners of the eyes."""
        import dlib

        pixels = np.ascontiguousarray(pixels)
        boxes = [dlib.rectangle(*(round(side) for side in face.box)) for face in faces]
        return _stacked([
            self._network.compute_face_descriptor(pixels, self._predictor(pixels, box)) for box in boxes
        ])

    def similarity(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """[n, m] float32 in (-inf, 1]: 1 - the distance between the vectors."""
        return (1 - np.linalg.norm(first[:, None] - second[None], axis=2)).astype(np.float32)


def _stacked(vectors: list) -> np.ndarray:
    return np.array(vectors, dtype=np.float32).reshape(-1, _WIDTH)
