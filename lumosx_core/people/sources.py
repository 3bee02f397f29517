"""Where a person's files are: a folder, or a zip file of one. Both may come from a stranger."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..cases.description import file_key
from ..errors import LumosXError
from ..untrusted import LEADS_OUT, MOST_ENTRIES, children, inside, read_inside, shown
from .description import VIEWS

ZIP = ".zip"
MOST_ZIP_BYTES = 512_000_000
"""Of a zip file, and of all that is packed into it."""
_MOST_DIRECTORY = 1 << 20
_END, _END_BYTES, _LONGEST_COMMENT = b"PK\x05\x06", 22, 65_535
_ZIP64 = b"PK\x06\x07"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
# What macOS adds to its zip files.
_LITTER = "__MACOSX"


class PersonFiles(Protocol):
    """The files of one person.

    Attributes:
        name: how messages call the person.
        files: paths of all regular files, relative to the person, with ``/``; no dotfiles, nothing that leads out.
        notes: what was left out and why, one sentence each.
    """

    name: str
    notes: list[str]

    @property
    def files(self) -> list[str]: ...

    def read(self, file: str, most: int) -> bytes:
        """The bytes of one of ``files``, of which there may be ``most``. Raises OSError as ``read_inside`` does."""


def open_person(path: Path) -> PersonFiles:
    """The files of a person's folder or zip file.

    Raises:
        LumosXError: nothing is there, it cannot be read, or is not what a person may be.
    """
    try:
        return _open_zip(path) if path.suffix.lower() == ZIP and not path.is_dir() else _open_folder(path)
    except OSError as error:
        raise LumosXError(
            f"person: {shown(path.name)} cannot be read ({error.strerror}); make its files readable."
        ) from error


@dataclass
class _Folder:
    """See ``PersonFiles``."""

    path: Path
    name: str
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def read(self, file: str, most: int) -> bytes:
        return read_inside(self.path, self.path / file, most)


def _open_folder(path: Path) -> _Folder:
    found = _Folder(path, path.name)
    entries = children(path, "person")
    views = path / VIEWS
    if inside(path, views) is not None and views.is_dir():
        entries += children(views, "person")
    for entry in sorted(entries):
        file = entry.relative_to(path).as_posix()
        reason = _why_not(path, entry)
        if reason:
            found.notes.append(f"{shown(file)} was left out: {reason}.")
        elif entry.is_file():
            found.files.append(file)
        elif file != VIEWS:
            found.notes.append(f"{shown(file)} was left out: it is not a file.")
    return found


def _why_not(folder: Path, path: Path) -> str:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return LEADS_OUT if inside(folder, path) is None else ""


@dataclass
class _Zip:
    """See ``PersonFiles``; all of it was read before, so it cannot change any more."""

    archive: zipfile.ZipFile
    name: str
    entries: dict[str, zipfile.ZipInfo]
    notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return sorted(self.entries)

    def read(self, file: str, most: int) -> bytes:
        try:
            with self.archive.open(self.entries[file]) as packed:
                content = packed.read(most + 1)
        # As when it was opened.
        except Exception as error:
            raise _bad_zip(self.name, f"is damaged at {shown(file)}") from error
        if len(content) > most:
            raise _bad_zip(self.name, f"holds more than {most / 1e6:g} MB as {shown(file)}")
        return content


def _open_zip(path: Path) -> _Zip:
    content, name = read_inside(path.parent, path, MOST_ZIP_BYTES), path.stem
    _check_directory(name, content)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = archive.infolist()
    # Python's reader raises whatever its parts do.
    except Exception as error:
        raise _bad_zip(name, "is damaged") from error
    files = [entry for entry in entries if not entry.filename.endswith("/")]
    for entry in files:
        _check_entry(name, entry)
    if sum(entry.file_size for entry in files) > MOST_ZIP_BYTES:
        raise _bad_zip(name, f"holds more than {MOST_ZIP_BYTES / 1e6:g} MB")
    found = _Zip(archive, name, {})
    kept = [entry for entry in files if not _is_hidden(entry.filename)]
    top = {entry.filename.partition("/")[0] for entry in kept}
    # The folder itself is often packed, not only what is in it.
    packed = len(top) == 1 and all("/" in entry.filename for entry in kept)
    skipped = len(next(iter(top))) + 1 if packed and top != {VIEWS} else 0
    seen = set()
    for entry in kept:
        file = entry.filename[skipped:]
        if file_key(file) in seen:
            raise _bad_zip(name, f"holds {shown(file)} twice")
        seen.add(file_key(file))
        if file.count("/") > file.startswith(f"{VIEWS}/"):
            found.notes.append(f"{shown(file)} was left out: a person has only files and the folder {VIEWS}.")
        else:
            found.entries[file] = entry
    return found


def _check_directory(name: str, content: bytes) -> None:
    """Refuse more entries than a folder may have, before Python makes an object of each."""
    place = content.rfind(_END, max(0, len(content) - _END_BYTES - _LONGEST_COMMENT))
    if place < 0 or len(content) < place + _END_BYTES:
        raise _bad_zip(name, "is damaged")
    entries, size = struct.unpack_from("<10xHI", content, place)
    if content[max(0, place - 20):place].startswith(_ZIP64) or entries > MOST_ENTRIES or size > _MOST_DIRECTORY:
        raise _bad_zip(name, f"contains more than {MOST_ENTRIES} files")


def _check_entry(name: str, entry: zipfile.ZipInfo) -> None:
    parts = entry.filename.split("/")
    if not parts[0] or ".." in parts or "\\" in entry.orig_filename or ":" in entry.filename:
        raise _bad_zip(name, f"names {shown(entry.filename[:60])!r}, which leads out of the person")
    # Only Unix writes a file's kind there; elsewhere it is 0.
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise _bad_zip(name, f"holds a link or a device, {shown(entry.filename[:60])!r}")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise _bad_zip(name, "is encrypted, or packed in an unusual way")


def _is_hidden(file: str) -> bool:
    return any(part.startswith(".") or part == _LITTER for part in file.split("/"))


def _bad_zip(name: str, what: str) -> LumosXError:
    return LumosXError(f"person: {shown(name)}{ZIP} {what}; get it again, or unpack it and use the folder.")
