"""JSON objects inside a text that somebody else wrote, such as the answer of a language model."""

from __future__ import annotations

import re
from typing import Any

from ..validation import parse_json

DEEPEST = 8
"""Brackets inside brackets that are read."""
# Beginnings that no bracket closes, each of which is searched for its end, and all that are looked at.
_MOST_OPEN, _MOST_PIECES = 16, 1000
# A string that is not closed takes the rest of the text, so that the text is not searched again and again.
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|\Z)|[{}\[\]]', re.DOTALL)


def json_objects(text: str) -> tuple[list[dict[str, Any]], str]:
    """The outermost JSON objects of a text, whatever stands around them.

    NaN and Infinity, keys that stand twice and halves of characters are not JSON here.

    Returns:
        The objects, and why the first piece in braces is none, as the rest of a sentence; empty if every piece is one.

    Raises:
        ValueError: brackets are more than ``DEEPEST`` deep; the message is the rest of a sentence.
    """
    found, reason, position, unclosed = [], "", 0, 0
    for _ in range(_MOST_PIECES):
        start = text.find("{", position)
        if start < 0 or unclosed == _MOST_OPEN:
            break
        end = _end_of(text, start)
        if end is None:
            unclosed += 1
            position, reason = start + 1, reason or "ends before its last brace"
            continue
        position = end
        try:
            piece = text[start:end]
            found.append(parse_json(piece, object_pairs_hook=_with_single_keys, parse_constant=_refuse_constant))
        except (ValueError, RecursionError) as error:
            reason = reason or f"cannot be read ({error})"
    return found, reason


def _end_of(text: str, start: int) -> int | None:
    depth = 0
    for sign in _STRUCTURE.finditer(text, start):
        if sign.group() in "{[":
            depth += 1
        elif sign.group() in "}]":
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"has brackets more than {DEEPEST} deep")
        if depth == 0:
            return sign.end()
    return None


def _with_single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice")
    return made


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
