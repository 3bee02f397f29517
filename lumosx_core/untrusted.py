"""Folders that came from somebody else: nothing outside of them is read, and nothing without a bound."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from pathlib import Path

from .errors import LumosXError, shown

MOST_ENTRIES = 4096
"""Files and folders in one folder; more are not listed."""
LONGEST_PATH = 4096
"""Letters of a path; following each of its steps takes longer the longer it is."""
LEADS_OUT = "it is a link that leads out of the folder"


def inside(folder: Path, path: Path) -> Path | None:
    """Where a path really is, with every link and junction followed; None unless that is below the folder, and for a
    path that is too long.

    What a link points to is not looked at, so the answer does not depend on whether it exists.
    """
    if len(str(path)) > LONGEST_PATH + len(str(folder)):
        return None
    try:
        home, real = (Path(os.path.realpath(each)) for each in (folder, path))
    except (OSError, ValueError):
        return None
    return real if home in real.parents else None


def read_inside(folder: Path, path: Path, most: int) -> bytes:
    """The bytes of a regular file below a folder.

    Args:
        most: bytes that it may have.

    Raises:
        OSError: it leads out of the folder, is not a regular file, is too large, or cannot be read; ``strerror`` says
            which, without a path.
    """
    real = inside(folder, path)
    if real is None:
        raise OSError(errno.EXDEV, LEADS_OUT, str(path))
    # The file may have been exchanged since: a new link is not followed, and a pipe does not hold us up.
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))
    handle = os.open(real, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    with open(handle, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most / 1e6:g} MB", str(path))
    return content


def children(folder: Path, kind: str = "case") -> list[Path]:
    """The entries of a folder, without dotfiles, in no order.

    Args:
        kind: what the folder is, for the message.

    Raises:
        LumosXError: there are more than ``MOST_ENTRIES``.
        OSError: it cannot be listed.
    """
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in itertools.islice(entries, MOST_ENTRIES + 1)]
    if len(found) > MOST_ENTRIES:
        raise LumosXError(
            f"{kind}: {shown(folder.name)} contains more than {MOST_ENTRIES} files; keep only the files of the "
            f"{kind} there."
        )
    return [path for path in found if not path.name.startswith(".")]
