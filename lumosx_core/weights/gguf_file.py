"""GGUF files, through the gguf package."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from gguf import GGUFReader, GGUFValueType, ReaderTensor

from ..errors import LumosXError
from .gguf_header import check_header
from .source import TORCH_KINDS, TensorInfo, WeightSource

_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
_OWN_FIELDS = ("GGUF.version", "GGUF.tensor_count", "GGUF.kv_count")
_MOST_DIMENSIONS = 8


class GGUFFile(WeightSource):
    """A GGUF file, mapped from disk. Kinds are the names of the GGML types.

    The shape is the file's, outermost first, or the one that ``comfy.gguf.orig_shape.NAME`` gives (a convention of
    ComfyUI-GGUF). Where that shape splits the file's rows of blocks, ``read`` gives the rows as they are stored:
    uint8 [rows, bytes of a row].

    Raises:
        LumosXError: see ``gguf_header.check_header``.
    """

    format = "GGUF"

    def __init__(self, path: Path) -> None:
        self.path = path
        check_header(path)
        reader = _open(path)
        self._stored: dict[str, ReaderTensor] = {tensor.name: tensor for tensor in reader.tensors}
        self.tensors = {
            name: TensorInfo(tensor.tensor_type.name, _logical_shape(tensor, reader, path))
            for name, tensor in self._stored.items()
        }
        self.metadata = {
            key: bytes(field.parts[-1]).decode("utf-8", "replace") if field.types == [GGUFValueType.STRING]
            else str(field.parts[-1].tolist()[0])
            for key, field in reader.fields.items()
            if key not in _OWN_FIELDS and GGUFValueType.ARRAY not in field.types
        }

    def read(self, name: str) -> torch.Tensor:
        stored, info = self._stored[name], self.tensors[name]
        data = torch.from_numpy(stored.data)
        if info.kind in TORCH_KINDS:
            return data.view(TORCH_KINDS[info.kind]).reshape(info.shape)
        if info.shape[-1] == stored.shape[0]:
            return data.reshape(*info.shape[:-1], data.shape[-1])
        return data.reshape(-1, data.shape[-1])

    def close(self) -> None:
        self._stored = {}


def _open(path: Path) -> GGUFReader:
    try:
        # Private pages: a tensor over them may be written to without touching the file, and torch does not warn.
        return GGUFReader(path, "c")
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, OSError) as error:
        reason = type(error).__name__
    # Outside of the handler, so that no traceback keeps the mapping alive and the file locked.
    raise LumosXError(f"{path}: the gguf package cannot read it ({reason}); the file is damaged, get it again.")


def _logical_shape(tensor: ReaderTensor, reader: GGUFReader, path: Path) -> tuple[int, ...]:
    stored = tuple(tensor.shape.tolist()[::-1])
    field = reader.get_field(f"{_ORIGINAL_SHAPE}{tensor.name}")
    if field is None:
        return stored
    numbers = field.types == [GGUFValueType.ARRAY, GGUFValueType.INT32] and 1 <= len(field.data) <= _MOST_DIMENSIONS
    # gguf before 0.15 has no ReaderField.contents().
    shape = tuple(int(field.parts[place][0]) for place in field.data) if numbers else (0,)
    if min(shape) < 1 or math.prod(shape) != math.prod(stored):
        raise LumosXError(f"{path}: the original shape of {tensor.name[:60]!r} does not fit its data; get it again.")
    return shape
