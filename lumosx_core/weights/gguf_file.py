"""GGUF files, mapped from disk."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from ..errors import LumosXError
from .gguf_header import Header, StoredTensor, read_header
from .source import TORCH_KINDS, TensorInfo, WeightSource

_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
_MOST_DIMENSIONS = 8


class GGUFFile(WeightSource):
    """A GGUF file, mapped from disk. Kinds are the names of the GGML types.

    The shape is the file's, outermost first, or the one that ``comfy.gguf.orig_shape.NAME`` gives (a convention of
    ComfyUI-GGUF). Where that shape splits the file's rows of blocks, ``read`` gives the rows as they are stored:
    uint8 [rows, bytes of a row].

    Raises:
        LumosXError: see ``gguf_header.read_header``.
    """

    format = "GGUF"

    def __init__(self, path: Path) -> None:
        self.path = path
        header = read_header(path)
        self._stored = header.tensors
        self.tensors = {
            name: TensorInfo(tensor.kind, _logical_shape(name, tensor, header, path))
            for name, tensor in self._stored.items()
        }
        self.metadata = header.texts
        # Private pages: a tensor over them may be written to without touching the file.
        self._bytes = np.memmap(path, np.uint8, "c")

    def read(self, name: str) -> torch.Tensor:
        stored, info = self._stored[name], self.tensors[name]
        data = torch.from_numpy(self._bytes[stored.start:stored.start + stored.nbytes])
        if info.kind in TORCH_KINDS:
            return data.view(TORCH_KINDS[info.kind]).reshape(info.shape)
        columns = stored.shape[-1]
        row = stored.nbytes * columns // math.prod(stored.shape)
        if info.shape[-1] == columns:
            return data.reshape(*info.shape[:-1], row)
        return data.reshape(-1, row)

    def close(self) -> None:
        self._stored = {}
        # Tensors that were read hold the mapping themselves.
        del self._bytes


def _logical_shape(name: str, tensor: StoredTensor, header: Header, path: Path) -> tuple[int, ...]:
    key = f"{_ORIGINAL_SHAPE}{name}"
    if key not in header.arrays and key not in header.texts:
        return tensor.shape
    shape = header.arrays.get(key, ())
    fits = 1 <= len(shape) <= _MOST_DIMENSIONS and min(shape) >= 1 and math.prod(shape) == math.prod(tensor.shape)
    if not fits:
        raise LumosXError(f"{path}: the original shape of {name[:60]!r} does not fit its data; get it again.")
    return shape
