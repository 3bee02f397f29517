"""The gguf package, needed for GGUF files only: without it everything else still works."""

from __future__ import annotations

from types import ModuleType

from ..packages import too_old, usable


def require_gguf() -> ModuleType:
    """The package.

    Raises:
        LumosXError: it is not installed, cannot be imported, or is too old.
    """
    purpose = "GGUF files need a package: "
    with usable("gguf", purpose):
        import gguf
    if not hasattr(gguf, "quants"):
        raise too_old("gguf", "quants", "", "0.13", purpose)
    return gguf
