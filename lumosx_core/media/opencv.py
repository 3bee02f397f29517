"""OpenCV, imported where it is first needed."""

from __future__ import annotations

from types import ModuleType

from ..errors import LumosXError


def opencv() -> ModuleType:
    """The module cv2.

    Raises:
        LumosXError: it is not installed, or lacks a library of the system.
    """
    try:
        import cv2
    except ImportError as error:
        raise LumosXError(
            f"OpenCV cannot be used ({error}); install it with pip install -r requirements.txt of the pack."
        ) from error
    return cv2
