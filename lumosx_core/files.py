"""Files that appear complete or not at all."""

from __future__ import annotations

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
