"""The zip archives of ``torch.save``: checked first, then read by torch.

The layout is that of torch's serialization notes: ``NAME/data.pkl`` describes the objects, ``NAME/data/0`` … are the
bytes of the tensors, stored without compression, ``NAME/byteorder`` says in which order.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from ..errors import LumosXError
from .records import Damaged, Foreign, read_records
from .source import TORCH_KINDS

_LARGEST_TABLE = 1 << 25
"""Bytes of a zip directory, of data.pkl, or of any other entry that is no tensor."""

_KINDS = {dtype: kind for kind, dtype in TORCH_KINDS.items()}
_STORAGE = re.compile(r"torch\.(storage\.)?[A-Z][A-Za-z0-9]*Storage")
_CALLED = frozenset((
    "collections.OrderedDict",
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2",
))
_MENTIONED = _CALLED | {"torch.Tensor", "torch.nn.parameter.Parameter"}


def load_archive(file: BinaryIO, path: Path, mapped: bool = False) -> object:
    """What was saved, with its tensors on the CPU.

    Args:
        file: the archive, open for reading, beginning at 0; its own bytes are read unless it is mapped.
        path: of the file, for messages and for mapping.
        mapped: map the tensors from ``path`` instead of reading them.

    Raises:
        LumosXError: damaged, compressed, big-endian, asking to run code, or nothing that torch can read.
    """
    _check(file, path)
    file.seek(0)
    try:
        if mapped:
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its pieces raise
        reason = type(error).__name__
    # Outside of the handler, so that no traceback keeps the mapping alive and the file locked.
    raise LumosXError(f"{path}: torch cannot read it ({reason}); the file is damaged, get it again.")


def plain_tensor(tensor: torch.Tensor, largest: int, path: Path) -> torch.Tensor:
    """A tensor without gradient, subclass or special layout.

    Raises:
        LumosXError: sparse, quantised, on no real device, of a subclass, or more than ``largest`` bytes.
    """
    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.device.type == "cpu"
    if not plain or tensor.layout != torch.strided or tensor.is_quantized:
        raise LumosXError(f"{path}: it holds a tensor that is not plain numbers; take the safetensors version of it.")
    if tensor.nbytes > largest:
        raise LumosXError(
            f"{path}: a tensor claims {tensor.nbytes} bytes, more than there are; the file is damaged, get it again."
        )
    return tensor.detach()


def kind_of(dtype: torch.dtype) -> str:
    """The key of TORCH_KINDS, or torch's own name of a dtype that has none there."""
    return _KINDS.get(dtype, str(dtype).removeprefix("torch."))


def _check(file: BinaryIO, path: Path) -> None:
    """Refuse what could make torch allocate, call or misread."""
    end = file.seek(0, io.SEEK_END)
    try:
        with zipfile.ZipFile(_BoundedReads(file)) as archive:
            entries = _check_entries(archive, end, path)
            order = archive.read(entries["byteorder"]) if "byteorder" in entries else b"little"
            if order != b"little":
                raise LumosXError(
                    f"{path}: it was saved on a big-endian machine; save it again as safetensors with a current torch."
                )
            read_records(archive.read(entries["data.pkl"]), _may_mention, _may_call)
    except Foreign as error:
        raise LumosXError(
            f"{path}: loading it would run {str(error)[:60]!r}, which plain weights never need; take the safetensors "
            "version of it."
        ) from error
    except LumosXError:
        raise
    except (Damaged, zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise LumosXError(f"{path}: its archive is damaged; get it again.") from error


def _check_entries(archive: zipfile.ZipFile, end: int, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The entries by their name inside the archive's one folder."""
    listed = archive.infolist()
    folder = listed[0].filename.partition("/")[0] if listed else ""
    entries = {entry.filename.removeprefix(f"{folder}/"): entry for entry in listed}
    if "constants.pkl" in entries:
        raise LumosXError(f"{path}: it is a TorchScript program; take the safetensors version of it.")
    if "data.pkl" not in entries:
        raise LumosXError(f"{path}: it is a zip archive, but not one of torch's; unpack it and give the file inside.")
    if len(entries) < len(listed) or min(entry.header_offset for entry in listed) != 0:
        raise LumosXError(f"{path}: its archive is damaged; get it again.")
    for name, entry in entries.items():
        if not entry.filename.startswith(f"{folder}/") or entry.compress_type != zipfile.ZIP_STORED:
            raise LumosXError(f"{path}: it was packed by another program; save it again with torch.")
        if entry.file_size != entry.compress_size or entry.header_offset + entry.file_size > end:
            raise LumosXError(f"{path}: its archive is cut off or damaged; get it again.")
        if entry.file_size > _LARGEST_TABLE and not name.startswith("data/"):
            raise LumosXError(f"{path}: its table of contents is larger than any model needs; get it again.")
    return entries


def _may_call(name: str, _arguments: tuple) -> bool:
    return name in _CALLED


def _may_mention(name: str) -> bool:
    module, _, last = name.rpartition(".")
    dtype = module == "torch" and isinstance(getattr(torch, last, None), torch.dtype)
    return dtype or name in _MENTIONED or _STORAGE.fullmatch(name) is not None


class _BoundedReads:
    """A file for ``zipfile``, which otherwise reads as much as a damaged archive says."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self._read = file.read

    def read(self, size: int = -1) -> bytes:
        if size > _LARGEST_TABLE:
            raise Damaged("size")
        return self._read(_LARGEST_TABLE if size < 0 else size)
