"""The settings of an adapter as the text metadata of its file (section 10 of the specification)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ...errors import LumosXError
from .config import CHOICES, AdapterConfig

FORMAT, VERSION, BASE = "polyvivid-adapter", "1", "hunyuan_video"
_FIXED = {"format": FORMAT, "version": VERSION, "base": BASE}
_LARGEST = 1 << 16
"""Pixels or grid cells that a number in the metadata may stand for."""


def metadata_of(config: AdapterConfig) -> dict[str, str]:
    """The settings as text."""
    metadata = {
        **_FIXED, "rank": str(config.rank), "layers": json.dumps(config.layers),
        "image_grid": json.dumps(config.image_grid), "ref_size": str(config.ref_size),
        **{name: getattr(config, name) for name in CHOICES},
    }
    return metadata if config.alpha is None else {**metadata, "alpha": repr(config.alpha)}


def settings_of(metadata: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The settings that a file states, checked, and the names of those that it leaves open.

    Returns:
        Values for ``AdapterConfig`` (of ``rank``, ``alpha`` and ``layers`` as well, if they are stated); and the names
        of the settings that are missing, which then have their defaults.

    Raises:
        LumosXError: a value that cannot be used; the sentence starts with its name.
    """
    for name, expected in _FIXED.items():
        if metadata.get(name, expected) != expected:
            raise LumosXError(
                f"{name}: {metadata[name][:80]!r} is not supported, only {expected!r} is; update LumosX."
            )
    readers = {
        "rank": _count, "alpha": _alpha, "layers": _layers, "image_grid": _grid, "ref_size": _count,
        **dict.fromkeys(CHOICES, str),
    }
    settings: dict[str, Any] = {}
    for name, read in readers.items():
        if name in metadata:
            try:
                settings[name] = read(metadata[name])
            except (ValueError, TypeError, RecursionError) as error:
                raise LumosXError(f"{name}: {metadata[name][:80]!r} cannot be used; get the adapter again.") from error
    return settings, tuple(name for name in readers if name not in metadata)


def _count(text: str) -> int:
    return _checked(int(text))


def _alpha(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError
    return value


def _layers(text: str) -> tuple[int, ...]:
    return tuple(_checked(value, least=0) for value in json.loads(text))


def _grid(text: str) -> tuple[int, int]:
    rows, columns = (_checked(value) for value in json.loads(text))
    return rows, columns


def _checked(value: Any, least: int = 1) -> int:
    if type(value) is not int or not least <= value <= _LARGEST:
        raise ValueError
    return value
