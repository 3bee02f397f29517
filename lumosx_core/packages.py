"""Packages that faces, cut-outs and scores need, each imported where it is first used."""

from __future__ import annotations

from types import ModuleType

from .errors import LumosXError


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


def matplotlib() -> ModuleType:
    """The module matplotlib, with ``figure`` and ``backends.backend_agg``.

    Raises:
        LumosXError: it is not installed, or cannot be loaded.
    """
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    except ImportError as error:
        raise LumosXError(f"plot: matplotlib is missing ({error}); install it with pip install matplotlib.") from error
    return matplotlib


def scipy() -> ModuleType:
    """The module scipy, with ``ndimage`` and ``optimize``.

    Raises:
        LumosXError: it is not installed, or cannot be loaded.
    """
    try:
        import scipy.ndimage
        import scipy.optimize
    except ImportError as error:
        raise LumosXError(
            f"the package scipy cannot be used ({error}); install it with pip install scipy, as ComfyUI's own "
            "requirements do."
        ) from error
    return scipy


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
