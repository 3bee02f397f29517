"""Check the header of a GGUF file before the gguf package reads it, which believes every number.

The layout is that of the public GGUF specification (ggml/docs/gguf.md), versions 2 and 3, little-endian.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from gguf import GGML_QUANT_SIZES, GGUF_DEFAULT_ALIGNMENT, GGMLQuantizationType, GGUFValueType

from ..errors import LumosXError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_ENTRIES = 1 << 16
_MOST_VALUES = 1 << 17
"""Array elements in all. The gguf package takes 10 µs and 700 bytes for each; only vocabularies have more."""

_LONGEST_NAME = 1 << 10
_LONGEST_TEXT = 1 << 26
_DEEPEST = 4
_LARGEST_SIZE = 1 << 48
_NUMBERS = {
    GGUFValueType.UINT8: 1, GGUFValueType.INT8: 1, GGUFValueType.BOOL: 1, GGUFValueType.UINT16: 2,
    GGUFValueType.INT16: 2, GGUFValueType.UINT32: 4, GGUFValueType.INT32: 4, GGUFValueType.FLOAT32: 4,
    GGUFValueType.UINT64: 8, GGUFValueType.INT64: 8, GGUFValueType.FLOAT64: 8,
}
"""Bytes of each type of number."""


def check_header(path: Path) -> None:
    """Walk through the header once.

    Raises:
        LumosXError: no GGUF, big-endian, of another version, cut off, with absurd counts or lengths, with a name
            twice, with an unknown type, with a vocabulary, or with a tensor that does not lie
            inside the file.
    """
    with path.open("rb", buffering=1 << 18) as file:
        try:
            _Header(file, path).check()
        except (_Absurd, UnicodeDecodeError) as error:
            raise LumosXError(f"{path}: its header is cut off or damaged ({error}); get it again.") from error


class _Absurd(ValueError):
    """A few words on what cannot be."""


class _Header:
    """A header being walked through; every number is compared with the bytes that remain."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._end = os.fstat(file.fileno()).st_size
        self._alignment = GGUF_DEFAULT_ALIGNMENT
        self._values = 0

    def check(self) -> None:
        self._check_version()
        tensors, fields = self._number("Q"), self._number("Q")
        if max(tensors, fields) > _MOST_ENTRIES:
            raise _Absurd("too many entries")
        # The gguf package lists these three among the file's own keys.
        keys = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count"}
        for _ in range(fields):
            self._check_field(keys)
        names: set[str] = set()
        ends = [self._check_tensor(names) for _ in range(tensors)]
        start = -(-self._file.tell() // self._alignment) * self._alignment
        if ends and start + max(ends) > self._end:
            raise LumosXError(f"{self._path}: it is cut off, its last tensors are missing; get it again.")

    def _check_version(self) -> None:
        if self._read(4) != _MAGIC:
            raise _Absurd("no GGUF")
        version = self._number("I")
        if version & 0xFFFF == 0:
            raise LumosXError(f"{self._path}: it is a big-endian GGUF; take the little-endian version of it.")
        if version not in _VERSIONS:
            raise LumosXError(f"{self._path}: GGUF version {version} is not known; take a version 3 file.")

    def _check_field(self, keys: set[str]) -> None:
        key = self._name(keys)
        kind = self._kind()
        if key == "general.alignment":
            self._alignment = self._number("I")
            if kind != GGUFValueType.UINT32 or self._alignment < 8 or self._alignment & (self._alignment - 1):
                raise _Absurd("its alignment")
        else:
            self._check_value(kind, 0)

    def _check_value(self, kind: GGUFValueType, depth: int) -> None:
        if kind in _NUMBERS:
            self._skip(_NUMBERS[kind])
        elif kind == GGUFValueType.STRING:
            self._skip(self._number("Q"), _LONGEST_TEXT)
        else:
            self._check_array(depth + 1)

    def _check_array(self, depth: int) -> None:
        kind, count = self._kind(), self._number("Q")
        self._values += count
        if depth > _DEEPEST or count > self._end - self._file.tell():
            raise _Absurd("an array's length")
        if self._values > _MOST_VALUES:
            raise LumosXError(
                f"{self._path}: its header holds a vocabulary, so it is a text model; give the diffusion model instead."
            )
        if kind in _NUMBERS:
            self._skip(count * _NUMBERS[kind])
        else:
            for _ in range(count):
                self._check_value(kind, depth)

    def _check_tensor(self, names: set[str]) -> int:
        """The end of a tensor, counted from where tensors begin."""
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
        numbers_of_block, bytes_of_block = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        elements = 1
        for size in sizes:
            elements *= size
            if not 1 <= elements <= _LARGEST_SIZE:
                raise _Absurd(f"the size of {name[:60]!r}")
        if sizes[0] % numbers_of_block or offset % self._alignment:
            raise _Absurd(f"the layout of {name[:60]!r}")
        return offset + elements // numbers_of_block * bytes_of_block

    def _name(self, taken: set[str]) -> str:
        length = self._number("Q")
        if length > _LONGEST_NAME:
            raise _Absurd("a name's length")
        name = self._read(length).decode("utf-8")
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

    def _read(self, length: int) -> bytes:
        found = self._file.read(length)
        if len(found) < length:
            raise _Absurd("it ends too early")
        return found

    def _skip(self, length: int, most: int = _LARGEST_SIZE) -> None:
        if length > min(most, self._end - self._file.tell()):
            raise _Absurd("it ends too early")
        self._file.seek(length, os.SEEK_CUR)
