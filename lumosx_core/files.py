"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unfinished_beside(target: Path) -> Iterator[Path]:
    """A path in the target's folder to write to; move the file away once it is whole, else it is gone at the end."""
    # Not from the target's own name, which may be as long as names can be.
    part = target.with_name(f"lumosx-{uuid.uuid4().hex}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def write_aside(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that nobody ever sees half of it.

    Raises:
        OSError: it cannot be written, for example because the disk is full; what was at ``path`` is still there.
    """
    with unfinished_beside(path) as part:
        part.write_bytes(content)
        os.replace(part, path)
