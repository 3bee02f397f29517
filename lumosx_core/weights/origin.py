"""Whether a converted file comes from a source, by the checksums that it carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import LumosXError
from . import checksum
from .opening import open_weights


def was_made_from(target: Path, source: Path, to: str, progress: Callable[[int, int, str], None]) -> bool:
    """Whether ``convert`` made a file from exactly this source in this format.

    Args:
        target: an existing file of any kind.
        source: what ``convert`` was given.
        to: one of ``precision.FORMATS``.
        progress: called with bytes done, bytes to do and a name, while the source is read for its checksum.

    Raises:
        LumosXError: the source cannot be read.
    """
    metadata = _metadata(target)
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


def is_up_to_date(target: Path, source: Path, to: str) -> bool:
    """The same without reading the source: whether no file of it was written since.

    Raises:
        LumosXError: the source cannot be opened.
    """
    metadata = _metadata(target)
    if metadata.get(checksum.CONVERTED_TO) != to or checksum.SOURCE_STATE not in metadata:
        return False
    with open_weights(source) as opened:
        return metadata[checksum.SOURCE_STATE] == checksum.files_state(checksum.source_files(opened.path))


def names_as_source(target: Path, source: Path, to: str) -> bool:
    """Whether ``convert`` made a file in this format from a source of this name, whatever has become of that."""
    metadata = _metadata(target)
    return (metadata.get(checksum.CONVERTED_TO), metadata.get(checksum.SOURCE_NAME)) == (to, source.name)


def _metadata(path: Path) -> Mapping[str, str]:
    """A file's own metadata; empty if it is not a weight file."""
    try:
        with open_weights(path) as made:
            return made.metadata
    except LumosXError:
        return {}
