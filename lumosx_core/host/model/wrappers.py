"""Wrappers on a MODEL under a key of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def put_wrappers(patcher: Any, key: str, wrappers: Mapping[str, Callable]) -> None:
    """Put wrappers onto a clone of a MODEL; what an earlier node put there under the same key and kinds goes.

    Args:
        patcher: the clone.
        wrappers: by ComfyUI's ``WrappersMP``.
    """
    for kind, wrapper in wrappers.items():
        patcher.remove_wrappers_with_key(kind, key)
        patcher.add_wrapper_with_key(kind, key, wrapper)
