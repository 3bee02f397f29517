"""Folders that ``torch.distributed.checkpoint`` saved, on one machine or many."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..errors import LumosXError
from .checkpoint_index import Chunk, IndexedTensor, read_index
from .source import WeightSource
from .torch_archive import load_archive
from .zip_entries import OpenArchive

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class CheckpointFolder(WeightSource):
    """A folder with ``.metadata`` and ``*.distcp`` files. Files are open only while one of their tensors is read.

    Entries that are not tensors, such as an optimiser's settings, are left out.

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
        # The boxes have as many elements as the whole, so without overlap they cover it.
        if _overlap(entry.chunks):
            raise LumosXError(f"{self.path}: parts of {name[:80]!r} overlap; get the folder again.")
        whole = torch.empty(entry.info.shape, dtype=entry.dtype)
        for chunk in entry.chunks:
            box = tuple(slice(offset, offset + size) for offset, size in zip(chunk.offsets, chunk.sizes))
            whole[box] = self._read_chunk(chunk, entry)
        return whole

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _read_chunk(self, chunk: Chunk, entry: IndexedTensor) -> torch.Tensor:
        path = self.path / chunk.file
        try:
            with path.open("rb") as file:
                tensor = load_archive(_Stretch(file, chunk.start, chunk.length), path)
        except OSError as error:
            raise LumosXError(f"{path}: cannot be read ({error.strerror}); get the folder again.") from error
        if not isinstance(tensor, torch.Tensor) or (tensor.dtype, tuple(tensor.shape)) != (entry.dtype, chunk.sizes):
            raise LumosXError(f"{path}: a tensor is not what the checkpoint's .metadata says; get the folder again.")
        return tensor.contiguous()


class _Stretch(io.RawIOBase):
    """Some of the bytes of a file as a file of their own, so that a tensor is read straight to where it stays.

    Mapping would not do: the archives follow each other without a gap, so that most numbers lie across their alignment.
    """

    def __init__(self, file: OpenArchive, start: int, length: int) -> None:
        self._file, self._start, self._length, self._place = file, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}[whence]
        if place < 0:
            raise ValueError("before the beginning")
        self._place = place
        return place

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._file.seek(self._start + self._place)
        count = self._file.readinto(memoryview(buffer)[:max(0, self._length - self._place)]) or 0
        self._place += count
        return count


def _overlap(chunks: tuple[Chunk, ...]) -> bool:
    """Whether boxes have elements in common, on a grid of all their edges, which is never finer than the tensor."""
    edges = [
        sorted({edge for begin, size in sides for edge in (begin, begin + size)})
        for sides in zip(*(zip(chunk.offsets, chunk.sizes) for chunk in chunks))
    ]
    cells = [{edge: cell for cell, edge in enumerate(dimension)} for dimension in edges]
    seen = torch.zeros([len(dimension) - 1 for dimension in edges], dtype=torch.bool)
    for chunk in chunks:
        box = tuple(
            slice(cell[begin], cell[begin + size]) for cell, begin, size in zip(cells, chunk.offsets, chunk.sizes)
        )
        if seen[box].any():
            return True
        seen[box] = True
    return False
