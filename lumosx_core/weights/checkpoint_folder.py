"""Folders that ``torch.distributed.checkpoint`` saved, on one machine or many."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import torch

from ..errors import LumosXError
from .checkpoint_index import Chunk, Entry, read_index
from .source import WeightSource
from .torch_archive import load_archive, plain_tensor


class CheckpointFolder(WeightSource):
    """A folder with ``.metadata`` and ``*.distcp`` files. Files are open only while one of their tensors is read.

    Entries that are no tensors, as an optimiser's settings, are left out.

    Raises:
        LumosXError: see ``checkpoint_index.read_index``.
    """

    format = "checkpoint folder"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: Mapping[str, str] = {}
        self._entries = read_index(path)
        self.tensors = {name: entry.info for name, entry in self._entries.items()}

    def read(self, name: str) -> torch.Tensor:
        entry = self._entries[name]
        if len(entry.chunks) == 1:
            return self._read_chunk(entry.chunks[0], entry)
        whole = torch.empty(entry.info.shape, dtype=entry.dtype)
        # The boxes have as many elements as the whole, so without overlap they cover it.
        seen = torch.zeros(entry.info.shape, dtype=torch.bool)
        for chunk in entry.chunks:
            box = tuple(slice(offset, offset + size) for offset, size in zip(chunk.offsets, chunk.sizes))
            if seen[box].any():
                raise LumosXError(f"{self.path}: parts of {name[:80]!r} overlap; get the folder again.")
            seen[box] = True
            whole[box] = self._read_chunk(chunk, entry)
        return whole

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _read_chunk(self, chunk: Chunk, entry: Entry) -> torch.Tensor:
        path = self.path / chunk.file
        try:
            with path.open("rb") as file:
                file.seek(chunk.start)
                data = file.read(chunk.length)
        except OSError as error:
            raise LumosXError(f"{path}: cannot be read ({error.strerror}); get the folder again.") from error
        tensor = load_archive(io.BytesIO(data), path)
        if not isinstance(tensor, torch.Tensor) or (tensor.dtype, tuple(tensor.shape)) != (entry.dtype, chunk.sizes):
            raise LumosXError(f"{path}: a tensor is not what the checkpoint's .metadata says; get the folder again.")
        return plain_tensor(tensor, chunk.length, path).contiguous()
