"""Packages that attribute scores need, imported when they are first used."""

from __future__ import annotations

from types import ModuleType

from ..errors import LumosXError


def transformers() -> ModuleType:
    """Hugging Face's transformers, which ComfyUI has too.

    Raises:
        LumosXError: it is missing.
    """
    try:
        import transformers
    except ImportError as error:
        raise LumosXError(
            f"the package transformers is missing ({error}); install it with pip install transformers."
        ) from error
    return transformers
