"""Whether a converted file comes from a source, by the checksums that it carries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import LumosXError
from . import checksum
from .opening import open_weights


def was_made_from(target: Path, source: Path, to: str, progress: Callable[[int, int, str], None]) -> bool:
    """Whether ``convert`` made a file from this very source in this format.

    Args:
        target: an existing file of any kind.
        source: what ``convert`` was given.
        to: one of ``precision.FORMATS``.
        progress: called with bytes done, bytes to do and a name, while the source is read for its checksum.

    Raises:
        LumosXError: the source cannot be read.
    """
    try:
        with open_weights(target) as made:
            metadata = made.metadata
    except LumosXError:
        return False
    if metadata.get(checksum.CONVERTED_TO) != to:
        return False
    with open_weights(source) as opened:
        files = checksum.source_files(opened.path)
    total, done = sum(files.values()), 0

    def advance(count: int, name: str) -> None:
        nonlocal done
        done += count
        progress(done, total, name)

    return metadata.get(checksum.SOURCE_SHA256) == checksum.files_sha256(files, advance)
