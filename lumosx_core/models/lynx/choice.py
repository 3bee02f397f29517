"""Blocks or rows as a user names them: "0-19, 30"."""

from __future__ import annotations

from ...errors import LumosXError, shown
from ..ranges import range_named

ALL = "all"
_MOST = 512


def parse_block_numbers(source: str, text: str) -> frozenset[int] | None:
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
        named = range_named(part.strip(), _MOST)
        if named is None:
            raise LumosXError(
                f"{source}: \"{shown(part.strip()[:40])}\" is not a number or a range below {_MOST}; write numbers and "
                f"ranges such as 0-19, 30, or {ALL}."
            )
        numbers.update(named)
    return frozenset(numbers)
