"""SciPy, imported where it is first needed."""

from __future__ import annotations

from types import ModuleType

from ..errors import LumosXError


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
