"""The positions of the entries of a zip archive, for archives that can be read in only one way.

Zip says everything twice, in front of each entry and in a directory at the end, and readers differ in which they
believe. So an archive is refused unless it is laid out as torch and Python write it: entries in a row from the first
byte on, stored without compression, then the directory, and nothing behind it (PKWARE's APPNOTE.TXT).
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .source import MOST_TENSORS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_LARGEST_DIRECTORY = 1 << 22
_MOST_ENTRIES = 2 * MOST_TENSORS
_LOCAL = struct.Struct("<4s5H3I2H")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_END, _END_SIGNATURE = struct.Struct("<4s8x2I2x"), b"PK\x05\x06"
_ZIP64, _ZIP64_SIGNATURE = struct.Struct("<40x2Q"), b"PK\x06\x06"
_LONGEST_END = 56 + 20 + _END.size
"""Bytes behind the directory with the two records of zip64."""
_ELSEWHERE = 0xFFFFFFFF
"""What stands in 32 bits for a number that is in a record of zip64."""
_DESCRIPTORS = (0, 12, 16, 20, 24)
"""Bytes that may follow an entry: checksum and sizes, with or without signature, in 32 or 64 bits."""


class NotCanonical(ValueError):
    """The archive is damaged, or not laid out as torch does it."""


class Repacked(ValueError):
    """The archive is compressed or encrypted, so another program made it."""


class OpenArchive(Protocol):
    """A file of bytes that is open for reading."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def seekable(self) -> bool: ...
    def read(self, size: int = -1, /) -> bytes: ...
    def readinto(self, buffer: WriteableBuffer, /) -> int | None: ...


@dataclass(frozen=True)
class Stretch:
    """The bytes of an entry: first byte in the file, and how many."""

    start: int
    size: int


def find_entries(file: OpenArchive) -> dict[str, Stretch]:
    """The entries by their full name.

    Args:
        file: the archive and nothing else, open for reading.

    Raises:
        NotCanonical: see above.
        Repacked: an entry is not stored as it is.
    """
    end = file.seek(0, io.SEEK_END)
    try:
        with zipfile.ZipFile(_BoundedReads(file)) as archive:
            listed, directory, comment = archive.infolist(), archive.start_dir, archive.comment
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise NotCanonical(type(error).__name__) from error
    if comment or len(listed) > _MOST_ENTRIES:
        raise NotCanonical("comment or size")
    entries: dict[str, Stretch] = {}
    place = 0
    for info in sorted(listed, key=lambda info: info.header_offset):
        if info.header_offset - place not in (_DESCRIPTORS if entries else (0,)):
            raise NotCanonical("gap")
        stretch = _locate(file, info)
        place = stretch.start + stretch.size
        if info.filename in entries or place > directory:
            raise NotCanonical("overlap")
        entries[info.filename] = stretch
    if directory - place not in _DESCRIPTORS:
        raise NotCanonical("gap")
    _check_end(file, directory, end)
    return entries


def _locate(file: OpenArchive, info: zipfile.ZipInfo) -> Stretch:
    """Where an entry's bytes are, once what stands in front of them agrees with the directory."""
    file.seek(info.header_offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size:
        raise NotCanonical("cut off")
    signature, _, flags, method, _, _, checksum, packed, size, name_length, extra_length = _LOCAL.unpack(head)
    name = file.read(name_length)
    # zipfile replaces what does not belong into a name, and the directory's own spelling is kept beside it.
    same_name = name == info.orig_filename.encode("utf-8" if flags & 0x800 else "cp437", "replace")
    if signature != _LOCAL_SIGNATURE or not same_name or info.filename != info.orig_filename:
        raise NotCanonical("header")
    if method != info.compress_type or flags != info.flag_bits:
        raise NotCanonical("header")
    if method != zipfile.ZIP_STORED or flags & 1:
        raise Repacked("method")
    # Sizes that are not said here follow the entry, or are those of zip64.
    said = ((checksum, info.CRC), (packed, info.compress_size), (size, info.file_size))
    if info.file_size != info.compress_size or any(here not in (0, there, _ELSEWHERE) for here, there in said):
        raise NotCanonical("sizes")
    return Stretch(info.header_offset + _LOCAL.size + name_length + extra_length, info.file_size)


def _check_end(file: OpenArchive, directory: int, end: int) -> None:
    """Whether the records at the end say where the directory is, and nothing lies between it and them."""
    file.seek(max(directory, end - _LONGEST_END))
    tail = file.read(_LONGEST_END)
    signature, size, offset = _END.unpack(tail[-_END.size:]) if len(tail) >= _END.size else (b"", 0, 0)
    records = _END.size
    if tail[:4] == _ZIP64_SIGNATURE and len(tail) == _LONGEST_END:
        said = _ZIP64.unpack(tail[:_ZIP64.size])
        if size not in (said[0], _ELSEWHERE) or offset not in (said[1], _ELSEWHERE):
            raise NotCanonical("end")
        (size, offset), records = said, _LONGEST_END
    if signature != _END_SIGNATURE or offset != directory or offset + size + records != end:
        raise NotCanonical("end")


class _BoundedReads:
    """A file for ``zipfile``, which otherwise reads as much as a damaged archive says."""

    def __init__(self, file: OpenArchive) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self._read = file.read

    def read(self, size: int = -1) -> bytes:
        if size > _LARGEST_DIRECTORY:
            raise NotCanonical("size")
        return self._read(_LARGEST_DIRECTORY if size < 0 else size)
