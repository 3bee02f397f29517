"""Means and text of scores, of which some may be unknown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def mean_of_known(values: Sequence[float | None]) -> float | None:
    """The mean without the Nones; None if nothing else is there."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def strict_json(values: Any, indent: int | None = None) -> str:
    """JSON that every reader accepts: unescaped letters, and no NaN (a ValueError)."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False, indent=indent)
