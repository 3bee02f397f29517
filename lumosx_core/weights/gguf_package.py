"""The gguf package, needed for GGUF files only: without it everything else still works."""

from __future__ import annotations

from types import ModuleType

from ..errors import LumosXError


def require_gguf() -> ModuleType:
    """The package.

    Raises:
        LumosXError: it is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise LumosXError(
            f"GGUF files need the Python package gguf ({error}); install LumosX's requirements.txt with ComfyUI's "
            "Python."
        ) from error
    return gguf
