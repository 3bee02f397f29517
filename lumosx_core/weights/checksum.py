"""Checksums that tell where a converted file came from, and whether its weights are still those that were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from ..errors import LumosXError
from .checkpoint_index import METADATA
from .file_names import part_files
from .safetensors_file import INDEX_ENDING
from .source import WeightSource

SOURCE_SHA256 = "lumosx.source_sha256"
SOURCE_NAME = "lumosx.source_name"
SOURCE_STATE = "lumosx.source_state"
CONVERTED_TO = "lumosx.converted_to"
WEIGHTS_SHA256 = "lumosx.weights_sha256"
_PIECE = 1 << 22


class WeightsDigest:
    """A checksum over tensors, whatever their order in the file.

    It is the sha256 of one line a tensor, in the order of their names: ``name kind shape sha256-of-its-bytes``.
    """

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def add(self, name: str, kind: str, shape: tuple[int, ...], data: memoryview) -> None:
        """Take in one tensor, given as its bytes without padding."""
        self._lines[name] = f"{name} {kind} {list(shape)} {hashlib.sha256(data).hexdigest()}\n"

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256("".join(self._lines[name] for name in sorted(self._lines)).encode()).hexdigest()


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    """A tensor's memory as flat bytes, without a copy where it is contiguous."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def verify_weights(source: WeightSource) -> str:
    """Compare an open file's tensors with the checksum that ``convert`` wrote into it.

    Returns:
        The checksum.

    Raises:
        LumosXError: it has none, or its tensors are not those that were written.
    """
    written = source.metadata.get(WEIGHTS_SHA256)
    if written is None:
        raise LumosXError(
            f"{source.path}: it has no checksum of its weights; only files written by python -m lumosx_core.weights "
            "convert have one."
        )
    if weights_sha256(source) != written:
        raise LumosXError(f"{source.path}: its weights are not those that were written; get or convert it again.")
    return written


def weights_sha256(source: WeightSource) -> str:
    """The ``WeightsDigest`` of all tensors of an open file.

    Raises:
        LumosXError: one of them cannot be read.
    """
    digest = WeightsDigest()
    for name, info in source.tensors.items():
        digest.add(name, info.kind, info.shape, tensor_bytes(source.read(name)))
    return digest.hexdigest()


def source_files(path: Path) -> dict[Path, int]:
    """The files of an open source and how many bytes each has.

    They are the file itself or all parts of its model, an index with its shards, or a checkpoint's metadata and parts.

    Args:
        path: of the source, once it is open.

    Raises:
        LumosXError: one of them is gone or cannot be looked at.
    """
    try:
        return {file: file.stat().st_size for file in listed_files(path)}
    except OSError as error:
        raise LumosXError(f"{path}: cannot be read ({error}); get its files again.") from error


def listed_files(path: Path) -> list[Path]:
    """The same files by their names alone."""
    if path.is_dir():
        return [path / METADATA, *sorted(path.glob("*.distcp"))]
    if path.name.endswith(INDEX_ENDING):
        shards = json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()
        return [path, *(path.parent / shard for shard in sorted(set(shards)))]
    return part_files(path)


def files_state(files: Iterable[Path]) -> str:
    """64 hexadecimal digits that change when a file is written or replaced, without reading any of them.

    Copies and moves that keep the time of the last change keep it too.

    Raises:
        LumosXError: one of them is gone or cannot be looked at.
    """
    lines = []
    for file in files:
        try:
            state = file.stat()
        except OSError as error:
            raise LumosXError(f"{file}: cannot be read ({error.strerror}); get it again.") from error
        lines.append(f"{file.name} {state.st_size} {state.st_mtime_ns}\n".encode(errors="backslashreplace"))
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()


def files_sha256(files: Iterable[Path], advance: Callable[[int, str], None]) -> str:
    """sha256 of one file; of several, that of their lines ``name sha256``, sorted.

    Args:
        advance: called with the number of bytes that were just read, and their file.

    Raises:
        LumosXError: one of them cannot be read.
    """
    found = {file.name: _file_sha256(file, advance) for file in files}
    if len(found) == 1:
        return next(iter(found.values()))
    return hashlib.sha256("".join(f"{name} {found[name]}\n" for name in sorted(found)).encode()).hexdigest()


def _file_sha256(path: Path, advance: Callable[[int, str], None]) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                advance(len(piece), path.name)
    except OSError as error:
        raise LumosXError(f"{path}: cannot be read ({error}); check its disk.") from error
    return digest.hexdigest()
