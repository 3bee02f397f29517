"""Read the header of a GGUF file, and check every number in it against the file before use.

The gguf package's own reader believes every number, and takes ten to a hundred times as long. The layout is that of the
public GGUF specification (ggml/docs/gguf.md), versions 2 and 3, little-endian.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from gguf import GGML_QUANT_SIZES, GGUF_DEFAULT_ALIGNMENT, GGMLQuantizationType, GGUFValueType

from ..errors import LumosXError
from .source import LONGEST_NAME, MOST_TENSORS, check_tensor_count

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_FIELDS = 2 * MOST_TENSORS
"""One for each tensor, with its original shape, and what is said of the whole."""

_MOST_VALUES = 1 << 15
"""Array elements in all; original shapes need four a tensor, and only vocabularies have more."""

_LARGEST_HEADER = 1 << 23
_DEEPEST = 4
_LARGEST_SIZE = 1 << 48
_NUMBERS = {
    GGUFValueType.UINT8: "B", GGUFValueType.INT8: "b", GGUFValueType.BOOL: "?", GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h", GGUFValueType.UINT32: "I", GGUFValueType.INT32: "i", GGUFValueType.FLOAT32: "f",
    GGUFValueType.UINT64: "Q", GGUFValueType.INT64: "q", GGUFValueType.FLOAT64: "d",
}
"""How ``struct`` calls each type of number."""


@dataclass(frozen=True)
class StoredTensor:
    """What a header says of a tensor.

    Attributes:
        kind: name of the GGML type.
        shape: outermost first.
        start: its first byte in the file.
        nbytes: how many there are.
    """

    kind: str
    shape: tuple[int, ...]
    start: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        tensors: by name; no two share a byte, and all lie inside the file.
        texts: the single values, as text.
        arrays: those of int32, by key; others are empty.
    """

    tensors: dict[str, StoredTensor]
    texts: dict[str, str]
    arrays: dict[str, tuple[int, ...]]


def read_header(path: Path) -> Header:
    """Walk through the header once.

    Raises:
        LumosXError: no GGUF, big-endian, of another version, cut off, with absurd counts or lengths, with a name
            twice, with an unknown type, with a vocabulary, or with a tensor that does not lie inside the file or
            shares its bytes with another.
    """
    with path.open("rb", buffering=1 << 18) as file:
        try:
            return _Reader(file, path).read()
        except (_Absurd, UnicodeDecodeError) as error:
            raise LumosXError(f"{path}: its header is cut off or damaged ({error}); get it again.") from error


class _Absurd(ValueError):
    """A few words on what cannot be."""


class _Reader:
    """A header being walked through; every number is compared with the bytes that remain."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._end = os.fstat(file.fileno()).st_size
        self._alignment = GGUF_DEFAULT_ALIGNMENT
        self._values = 0
        self._texts: dict[str, str] = {}
        self._arrays: dict[str, tuple[int, ...]] = {}

    def read(self) -> Header:
        self._check_version()
        tensors, fields = self._number("Q"), self._number("Q")
        if max(tensors, fields) > self._end:
            raise _Absurd("too many entries")
        if fields > _MOST_FIELDS:
            raise LumosXError(f"{self._path}: its header has {fields} fields, more than any model's; get it again.")
        check_tensor_count(self._path, tensors)
        # The gguf package lists these three among the file's own keys.
        keys = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count"}
        for _ in range(fields):
            self._read_field(keys)
        names: set[str] = set()
        found = dict(self._read_tensor(names) for _ in range(tensors))
        self._place(found)
        return Header(found, self._texts, self._arrays)

    def _place(self, tensors: dict[str, StoredTensor]) -> None:
        """Count the tensors' places from the beginning of the file."""
        start = -(-self._file.tell() // self._alignment) * self._alignment
        end = start
        for name, tensor in sorted(tensors.items(), key=lambda item: item[1].start):
            tensors[name] = replace(tensor, start=start + tensor.start)
            if tensors[name].start < end:
                raise _Absurd(f"{name[:60]!r} shares its bytes with another")
            end = tensors[name].start + tensor.nbytes
        if tensors and end > self._end:
            raise LumosXError(f"{self._path}: it is cut off, its last tensors are missing; get it again.")

    def _check_version(self) -> None:
        if self._read(4) != _MAGIC:
            raise _Absurd("no GGUF")
        version = self._number("I")
        if version & 0xFFFF == 0:
            raise LumosXError(f"{self._path}: it is a big-endian GGUF; take the little-endian version of it.")
        if version not in _VERSIONS:
            raise LumosXError(f"{self._path}: GGUF version {version} is not known; take a version 3 file.")

    def _read_field(self, keys: set[str]) -> None:
        key = self._name(keys)
        kind = self._kind()
        if key == "general.alignment":
            self._alignment = self._number("I")
            if kind != GGUFValueType.UINT32 or self._alignment < 8 or self._alignment & (self._alignment - 1):
                raise _Absurd("its alignment")
        elif kind in _NUMBERS:
            self._texts[key] = str(self._number(_NUMBERS[kind]))
        elif kind == GGUFValueType.STRING:
            self._texts[key] = self._text(_LARGEST_HEADER).decode("utf-8", "replace")
        else:
            self._read_array(key, 1)

    def _read_array(self, key: str, depth: int) -> None:
        """Keep an array of int32 under its key; walk through any other."""
        kind, count = self._kind(), self._number("Q")
        self._values += count
        if depth > _DEEPEST or count > self._end - self._file.tell():
            raise _Absurd("an array's length")
        if self._values > _MOST_VALUES:
            raise LumosXError(
                f"{self._path}: its header holds a vocabulary, so it is a text model; give the diffusion model instead."
            )
        self._arrays.setdefault(key, ())
        if kind in _NUMBERS:
            code = f"<{count}{_NUMBERS[kind]}"
            numbers = struct.unpack(code, self._read(struct.calcsize(code)))
            if kind == GGUFValueType.INT32 and depth == 1:
                self._arrays[key] = numbers
        elif kind == GGUFValueType.STRING:
            for _ in range(count):
                self._text(_LARGEST_HEADER)
        else:
            for _ in range(count):
                self._read_array(key, depth + 1)

    def _read_tensor(self, names: set[str]) -> tuple[str, StoredTensor]:
        """Name and tensor, whose place is counted from where tensors begin."""
        name = self._name(names)
        dimensions = self._number("I")
        if not 1 <= dimensions <= 5:
            raise _Absurd(f"{name[:60]!r} has {dimensions} dimensions")
        sizes = [self._number("Q") for _ in range(dimensions)]
        kind, offset = self._number("I"), self._number("Q")
        if kind not in GGML_QUANT_SIZES:
            raise LumosXError(
                f"{self._path}: {name[:60]!r} is of GGML type {kind}, which the installed gguf package does not know; "
                "update gguf or take another file."
            )
        kind = GGMLQuantizationType(kind)
        numbers_of_block, bytes_of_block = GGML_QUANT_SIZES[kind]
        elements = 1
        for size in sizes:
            elements *= size
            if not 1 <= elements <= _LARGEST_SIZE:
                raise _Absurd(f"the size of {name[:60]!r}")
        if sizes[0] % numbers_of_block or offset % self._alignment:
            raise _Absurd(f"the layout of {name[:60]!r}")
        nbytes = elements // numbers_of_block * bytes_of_block
        return name, StoredTensor(kind.name, tuple(sizes[::-1]), offset, nbytes)

    def _name(self, taken: set[str]) -> str:
        name = self._text(LONGEST_NAME).decode("utf-8")
        if name in taken:
            raise _Absurd(f"{name[:60]!r} occurs twice")
        taken.add(name)
        return name

    def _kind(self) -> GGUFValueType:
        kind = self._number("I")
        if kind not in list(GGUFValueType):
            raise _Absurd(f"a value of type {kind}")
        return GGUFValueType(kind)

    def _number(self, code: str) -> int:
        return struct.unpack(f"<{code}", self._read(struct.calcsize(f"<{code}")))[0]

    def _text(self, most: int) -> bytes:
        length = self._number("Q")
        if length > most:
            raise _Absurd("a text's length")
        return self._read(length)

    def _read(self, length: int) -> bytes:
        if self._file.tell() + length > _LARGEST_HEADER:
            raise _Absurd("it is longer than any model's")
        found = self._file.read(length)
        if len(found) < length:
            raise _Absurd("it ends too early")
        return found
