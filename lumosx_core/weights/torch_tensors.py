"""Dense tensors from what a pickle of torch's says of them, every number checked against the bytes that are there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
import torch

from .records import PERSISTENT, Damaged, Foreign, GlobalName, PickledObject
from .source import DTYPES, MOST_DIMENSIONS, TORCH_KINDS
from .zip_entries import OpenArchive, Stretch

_MOST_NUMBERS = 1 << 62
_ALIGNMENT = 16
_MOST_TIMES = 4
"""How often the bytes of a file may be claimed by tensors in all; a model and its averages may share theirs."""

_KINDS = {dtype: kind for kind, dtype in TORCH_KINDS.items()}
_STORAGE = re.compile(r"torch\.(?:storage\.)?([A-Z][A-Za-z0-9]*)Storage")
_QUANTISED = re.compile(r"torch\.(q|bits)")
_STORAGES = {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexDouble": torch.complex128, "ComplexFloat": torch.complex64, "Untyped": torch.uint8,
}
_TENSOR_V2, _TENSOR_V3 = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3"
_FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
_PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
_PLAIN_TYPES = ("torch.Tensor", "torch.nn.parameter.Parameter")
_SIZE = "torch.Size"
_INERT = ("torch.device", "torch.serialization._get_layout")
_NAMES = frozenset((
    _TENSOR_V2, _TENSOR_V3, _FROM_TYPE, *_PARAMETERS, *_PLAIN_TYPES, _SIZE, *_INERT, "collections.OrderedDict",
))


class TooLarge(Damaged):
    """Tensors claim more than there is; the message is who claims how much."""


def kind_of(dtype: torch.dtype) -> str:
    """The key of TORCH_KINDS, or torch's own name of a dtype that has none there."""
    return _KINDS.get(dtype, str(dtype).removeprefix("torch."))


def may_mention(name: str) -> bool:
    """Whether a global belongs into the pickle of plain weights."""
    return name in _NAMES or _STORAGE.fullmatch(name) is not None or name in DTYPES


class StorageReader:
    """Bytes of a file as flat tensors.

    Args:
        file: open for reading.
        path: of the same file, for mapping.
        mapped: map the bytes, privately, instead of reading them.
    """

    def __init__(self, file: OpenArchive, path: Path, mapped: bool) -> None:
        self._file = file
        self.size = file.seek(0, 2)
        self._mapped = np.memmap(path, np.uint8, "c") if mapped else None

    def read(self, stretch: Stretch) -> torch.Tensor:
        """uint8 [size], at an address that suits every type.

        Raises:
            Damaged: the file is shorter.
        """
        if self._mapped is not None:
            # A mapping begins at a page, so the place in the file is that in memory.
            piece = torch.from_numpy(self._mapped[stretch.start:stretch.start + stretch.size])
            return piece.clone() if stretch.start % _ALIGNMENT else piece
        data = torch.empty(stretch.size, dtype=torch.uint8)
        self._file.seek(stretch.start)
        if self._file.readinto(data.numpy().data) != stretch.size:
            raise Damaged("short")
        return data


@dataclass(frozen=True)
class _Storage:
    """What a persistent id says: numbers of one type, and where their bytes are."""

    entry: Stretch
    nbytes: int
    dtype: torch.dtype


class TensorMaker:
    """Answers the calls of a pickle of torch's.

    Args:
        entries: of the archive, inside its folder.
        reader: of the archive.
    """

    def __init__(self, entries: Mapping[str, Stretch], reader: StorageReader) -> None:
        self._entries, self._reader = entries, reader
        self._read: dict[Stretch, torch.Tensor] = {}
        self._claimed = 0

    def make(self, name: str, arguments: tuple) -> object:
        """The replacement for a call.

        Raises:
            Foreign: nothing that plain weights need.
            Damaged: arguments that torch would not have written.
            TooLarge: tensors larger than what is stored, such as one number that is said to be a billion.
        """
        if name in (_TENSOR_V2, _TENSOR_V3):
            return self._tensor(name, arguments)
        if name == PERSISTENT:
            return self._storage(*arguments)
        if name in _PARAMETERS:
            return _tensor_among(arguments)
        if name == _FROM_TYPE:
            return self._from_type(arguments)
        if name == _SIZE:
            return _sizes(arguments[0])
        if name in _INERT:
            return PickledObject(name, arguments, None)
        raise Foreign(name)

    def _from_type(self, arguments: tuple) -> object:
        """A tensor that has attributes, which are left out."""
        function, kind, inner, _ = arguments
        if type(function) is not GlobalName or type(kind) is not GlobalName or type(inner) is not tuple:
            raise Damaged("type")
        if kind not in _PLAIN_TYPES:
            raise Foreign(kind)
        if function == _FROM_TYPE:
            raise Damaged("type")
        return self.make(function, inner)

    def _storage(self, identity: object) -> _Storage:
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise Damaged("storage")
        _, kind, key, _, count = identity
        found = _STORAGE.fullmatch(kind) if type(kind) is GlobalName else None
        if found is None or type(key) is not str or type(count) is not int:
            raise Damaged("storage")
        if found[1] not in _STORAGES:
            raise Foreign(kind)
        dtype, entry = _STORAGES[found[1]], self._entries.get(f"data/{key}")
        if entry is None or not 0 <= count * dtype.itemsize <= entry.size:
            raise Damaged("storage")
        return _Storage(entry, count * dtype.itemsize, dtype)

    def _tensor(self, name: str, arguments: tuple) -> torch.Tensor:
        storage, offset, size, stride = arguments[:4]
        if type(storage) is not _Storage or type(offset) is not int or offset < 0:
            raise Damaged("tensor")
        dtype = storage.dtype
        if name == _TENSOR_V3:
            dtype = DTYPES.get(arguments[6]) if type(arguments[6]) is GlobalName else None
            if dtype is None:
                raise Damaged("dtype")
        if _QUANTISED.match(str(dtype)):
            raise Foreign(str(dtype))
        size = _sizes(size)
        if not _are_numbers(stride) or len(size) != len(stride):
            raise Damaged("stride")
        count = math.prod(size)
        self._claim(count * dtype.itemsize)
        if not count:
            return torch.empty(size, dtype=dtype)
        numbers = self._numbers(storage, dtype)
        if offset + sum((length - 1) * step for length, step in zip(size, stride)) >= len(numbers):
            raise Damaged("extent")
        return numbers.as_strided(size, stride, offset)

    def _claim(self, nbytes: int) -> None:
        """Many views of one number are a small file and a large tensor, and so are many such views."""
        self._claimed += nbytes
        if nbytes > self._reader.size:
            raise TooLarge(f"a tensor claims {nbytes}")
        if self._claimed > _MOST_TIMES * self._reader.size:
            raise TooLarge(f"its tensors claim {self._claimed}")

    def _numbers(self, storage: _Storage, dtype: torch.dtype) -> torch.Tensor:
        """All numbers of a storage; its entry is read once."""
        entry = storage.entry
        if entry not in self._read:
            self._read[entry] = self._reader.read(entry)
        return self._read[entry][:storage.nbytes // dtype.itemsize * dtype.itemsize].view(dtype)


def _tensor_among(arguments: tuple) -> torch.Tensor:
    if not isinstance(arguments[0], torch.Tensor):
        raise Damaged("parameter")
    return arguments[0]


def _are_numbers(numbers: object) -> TypeGuard[tuple[int, ...]]:
    """Whether it is a tuple of sizes or strides."""
    if not isinstance(numbers, tuple) or len(numbers) > MOST_DIMENSIONS:
        return False
    return all(type(number) is int and 0 <= number < _MOST_NUMBERS for number in numbers)


def _sizes(numbers: object) -> torch.Size:
    """Sizes whose product still fits into torch's integers."""
    if not _are_numbers(numbers) or math.prod(max(number, 1) for number in numbers) >= _MOST_NUMBERS:
        raise Damaged("size")
    return torch.Size(numbers)
