"""Numbers as a user names them: ``7``, or ``0-9`` for a range."""

from __future__ import annotations

import re

_RANGE = re.compile(r"([0-9]{1,3})(?:\s*-\s*([0-9]{1,3}))?")


def range_named(text: str, most: int) -> range | None:
    """The numbers that one word names; None if it names none, runs backwards, or reaches ``most``."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    return range(first, last + 1) if first <= last < most else None
