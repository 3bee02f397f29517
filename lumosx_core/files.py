"""Files that appear complete or not at all, and lines that do."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PART = re.compile(r"lumosx-[0-9a-f]{32}\.part")
_FORGOTTEN_SECONDS = 3600
"""Age after which an unfinished file belongs to nobody any more."""
DEVICE_NAME = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])\s*(\.|$)", re.IGNORECASE)
"""How the names begin that Windows takes for devices, so that no file there can have them."""


@contextmanager
def unfinished_beside(target: Path) -> Iterator[Path]:
    """A path in the target's folder to write to; move the file away once it is whole, else it is gone at the end."""
    # Not from the target's own name, which may be as long as names can be.
    part = target.with_name(f"lumosx-{uuid.uuid4().hex}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def remove_forgotten(folder: Path) -> None:
    """Remove the unfinished files of programs that were killed; what cannot be removed stays."""
    with suppress(OSError):
        for path in folder.iterdir():
            # Another process may remove what was just listed.
            with suppress(OSError):
                if _PART.fullmatch(path.name) and time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS:
                    path.unlink()


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path beside the target to write to, which takes the target's place once the block ends without an error.

    Nobody ever sees half of it. If it cannot be written, what was at ``target`` is still there.

    Raises:
        OSError: the file cannot be moved to its place.
    """
    with unfinished_beside(target) as part:
        yield part
        os.replace(part, target)


def write_aside(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that nobody ever sees half of it.

    Raises:
        OSError: it cannot be written, for example because the disk is full; what was at ``path`` is still there.
    """
    with replacing(path) as part:
        part.write_bytes(content)


def append_line(path: Path, line: bytes) -> None:
    """Append a line, with a line end, to a file. On return it is on disk completely; on failure nothing of it is.

    Raises:
        OSError: the disk is full, or the file may not be written.
    """
    # Without a buffer, which would be written again when the file is closed.
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(line + b"\n")
            while left:
                # A disk that is nearly full takes the beginning, and refuses the rest.
                left = left[file.write(left):]
            os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                file.truncate(before)
            raise
