"""Blocks or rows as a user names them: "0-19, 30"."""

from __future__ import annotations

import re

from ...errors import LumosXError, shown

ALL = "all"
_MOST = 512
_RANGE = re.compile(r"([0-9]{1,3})(?:\s*-\s*([0-9]{1,3}))?")


def read_numbers(source: str, text: str) -> frozenset[int] | None:
    """The numbers that a text names, with ranges; None for ``ALL`` or nothing.

    Args:
        source: the input's name, for messages.

    Raises:
        LumosXError: it is no list of numbers below 512.
    """
    if text.strip().lower() in ("", ALL):
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if first > last or last >= _MOST:
            raise LumosXError(
                f"{source}: \"{shown(part.strip()[:40])}\" is not a number or a range below {_MOST}; write numbers and "
                f"ranges such as 0-19, 30, or {ALL}."
            )
        numbers.update(range(first, last + 1))
    return frozenset(numbers)
