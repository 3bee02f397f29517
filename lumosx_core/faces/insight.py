"""InsightFace's detector and recogniser, from packs that the user has on disk.

A pack is a folder of ONNX files, e.g. buffalo_l or antelopev2. Only files are opened: InsightFace's own FaceAnalysis,
which downloads, is never used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import LumosXError
from ..install_line import is_there
from ..packages import opencv, require, usable
from .face import Face
from .vectors import CROP, CosineEmbedder

if TYPE_CHECKING:
    from onnx import GraphProto

DETECTION, RECOGNITION = "detection", "recognition"
_PREFERRED = ("antelopev2", "buffalo_l")
# How packs call their networks, as far as known: hundreds of megabytes need not be read to tell what the others are.
_USUAL_NAMES = {DETECTION: ("det_*", "scrfd*"), RECOGNITION: ("w600k*", "glintr*")}
# Score, box and landmarks for each of three or five scales.
_DETECTOR_OUTPUTS = (9, 15)
_PURPOSE = "InsightFace: "
# What InsightFace 2 takes by itself and older ones must be given: width and height of what is searched.
_SEARCHED = (640, 640)
# Below, nothing of a picture's shorter side would be left at InsightFace's smallest scale.
_LONGEST_SIDE = 128


def is_installed() -> bool:
    """Whether the package is there; it is not imported."""
    return is_there("insightface")


def require_insightface(widget: str) -> None:
    """Refuse a choice of InsightFace when it, or what it needs, is not installed.

    Args:
        widget: the input that chose it.

    Raises:
        LumosXError: with the line that installs all of it.
    """
    require("insightface", purpose=f"{widget}: {_PURPOSE}")


def find_model(roots: Sequence[Path], task: str) -> Path | None:
    """The first network for a task in the packs below some folders, recognised by its inputs and outputs; or None.

    A pack is ``<root>/<pack>``, ``<root>/models/<pack>``, or a folder of the same name inside of these, as a bad zip
    leaves it. antelopev2 is looked at first, then buffalo_l, then the others by name; in each the files that are called
    as such networks usually are.

    Raises:
        LumosXError: there is none, but a file that cannot be read.
    """
    broken = None
    for pack in _packs(roots):
        for path in sorted(pack.glob("*.onnx"), key=lambda path: (not _has_usual_name(path, task), path.name)):
            try:
                if _task(path) == task:
                    return path
            except LumosXError as error:
                broken = broken or error
    if broken is not None:
        raise broken
    return None


def _packs(roots: Sequence[Path]) -> Iterator[Path]:
    found = [pack for root in roots for shelf in (root, root / "models") for pack in shelf.glob("*") if pack.is_dir()]
    for pack in sorted(found, key=lambda pack: (pack.name != _PREFERRED[0], pack.name != _PREFERRED[1], pack.name)):
        yield pack
        yield pack / pack.name


def _has_usual_name(path: Path, task: str) -> bool:
    return any(fnmatchcase(path.name.lower(), pattern) for pattern in _USUAL_NAMES[task])


def _task(path: Path) -> str | None:
    """What a network is for, by the rule of InsightFace's model_zoo; None for what is not used here."""
    graph = _graph(path)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        return None
    if len(graph.output) in _DETECTOR_OUTPUTS:
        return DETECTION
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim][2:]
    # Networks that paint pictures, such as face restorers, give more than two dimensions.
    vector = len(graph.output) == 1 and len(graph.output[0].type.tensor_type.shape.dim) == 2
    return RECOGNITION if vector and sides == [CROP, CROP] else None


def _graph(path: Path) -> GraphProto:
    with usable("onnx", _PURPOSE):
        import onnx
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception as error:  # protobuf raises whatever its version raises
        raise _damaged(path, error) from error
    if not graph.node:
        raise LumosXError(f"{path}: this ONNX file contains no network; unpack the pack again.")
    return graph


def _damaged(path: Path, error: Exception) -> LumosXError:
    return LumosXError(f"{path}: it is not a readable ONNX file ({type(error).__name__}); unpack the pack again.")


def _open(path: Path) -> Any:
    """InsightFace's own class for a file, on CUDA where onnxruntime has it and on the CPU elsewhere."""
    # InsightFace imports both itself; here each gets its own sentence.
    opencv(_PURPOSE)
    with usable("onnxruntime", _PURPOSE):
        import onnxruntime
    with usable("insightface", _PURPOSE):
        from insightface.model_zoo import get_model
    offered = onnxruntime.get_available_providers()
    wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in offered]
    try:
        return get_model(str(path), providers=wanted)
    except Exception as error:  # onnxruntime has an exception of its own for everything
        raise _damaged(path, error) from error


class InsightFaceDetector:
    """SCRFD of a pack.

    Raises:
        LumosXError: the package is missing or the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"InsightFace {path.parent.name}/{path.name}"
        self._network = _open(path)

    def detect(self, pixels: np.ndarray) -> list[Face]:
        height, width = pixels.shape[:2]
        if max(height, width) > _LONGEST_SIDE * min(height, width):
            return []
        size = _SEARCHED if self._network.input_size is None else None
        boxes, landmarks = self._network.detect(_bgr(pixels), input_size=size)
        return [
            Face((float(left), float(top), float(right), float(bottom)), min(float(score), 1.0), points)
            for (left, top, right, bottom, score), points in zip(boxes, landmarks)
        ]


class InsightFaceEmbedder(CosineEmbedder):
    """ArcFace of a pack.

    Raises:
        LumosXError: the package is missing or the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"InsightFace {path.parent.name}/{path.name}"
        self._network = _open(path)

    def embed(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        # One by one, since some packs were exported for a batch of one.
        vectors = [self._network.get_feat(_bgr(crop)) for crop in crops]
        return np.concatenate([np.zeros((0, self._network.output_shape[1]), np.float32), *vectors])


def _bgr(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[..., ::-1])
