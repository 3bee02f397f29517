"""Names of files that a model's index gives, which may come from anyone."""

from __future__ import annotations

import re

_PLAIN = re.compile("(?!\\.{1,2}$)[^/\\\\:\0-\x1f\ud800-\udfff]{1,255}")


def is_plain_name(name: object) -> bool:
    """Whether it names a file inside a folder: no path, no drive, nothing that a file system cannot hold."""
    return isinstance(name, str) and _PLAIN.fullmatch(name) is not None
