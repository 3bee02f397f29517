"""Packages that faces, cut-outs, scores and GGUF files need, each imported where it is first used.

A package that cannot be used ends in one sentence: it is not installed, is installed and cannot be imported, or is too
old. The sentence holds one line for a terminal (see ``install_line``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from .errors import LumosXError
from .install_line import (
    PACKAGES,
    Package,
    distributions,
    headless_line,
    install_line,
    missing_packages,
    reinstall_line,
    upgrade_line,
)

_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
_MOVED = re.compile(r"numpy|_ARRAY_API|protobuf|Descriptors cannot be created|gencode", re.IGNORECASE)
"""What imports say that were built for another numpy or protobuf; the same version again would not help."""
_DEBIAN = {
    "libGL.so.1": "libgl1", "libgthread-2.0.so.0": "libglib2.0-0", "libglib-2.0.so.0": "libglib2.0-0",
    "libSM.so.6": "libsm6", "libXext.so.6": "libxext6", "libXrender.so.1": "libxrender1", "libgomp.so.1": "libgomp1",
}
"""What such systems call the packages that bring these libraries."""
_VC_REDISTRIBUTABLE = "https://aka.ms/vs/17/release/vc_redist.x64.exe"


def opencv(purpose: str = "") -> ModuleType:
    """The module cv2, of OpenCV 4 or 5, whichever distribution brings it.

    Args:
        purpose: the beginning of the sentence, such as ``"detector: "``.

    Raises:
        LumosXError: it is not installed, cannot be imported, or is too old.
    """
    with usable("cv2", purpose=purpose):
        import cv2
    if not hasattr(cv2, "DISOpticalFlow_create") or not hasattr(cv2, "dnn"):
        raise too_old("cv2", "DISOpticalFlow and dnn", getattr(cv2, "__version__", ""), "4.5.4", purpose)
    return cv2


def matplotlib() -> ModuleType:
    """The module matplotlib, with ``figure`` and ``backends.backend_agg``.

    Raises:
        LumosXError: it is not installed, or cannot be imported.
    """
    with usable("matplotlib", purpose="plot: "):
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    return matplotlib


def scipy() -> ModuleType:
    """The module scipy, with ``ndimage`` and ``optimize``.

    Raises:
        LumosXError: it is not installed, or cannot be imported.
    """
    with usable("scipy"):
        import scipy.ndimage
        import scipy.optimize
    return scipy


def transformers() -> ModuleType:
    """Hugging Face's transformers, which ComfyUI has too.

    Raises:
        LumosXError: it is not installed, or cannot be imported.
    """
    with usable("transformers"):
        import transformers
    return transformers


def pyav() -> ModuleType:
    """The module av, which ComfyUI has too.

    Raises:
        LumosXError: it is not installed, or cannot be imported.
    """
    with usable("av", purpose="video: "):
        import av
    return av


def require(*modules: str, purpose: str = "") -> None:
    """Refuse, before any work, when some of these modules or of what they need are not installed.

    Args:
        modules: names in ``install_line.PACKAGES``.
        purpose: the beginning of the sentence.

    Raises:
        LumosXError: with the one line that installs all of them.
    """
    absent = missing_packages(modules)
    if absent:
        raise _not_installed([package.title for package in absent], install_line(modules), purpose)


def folder_of(module: str) -> Path | None:
    """The location of a package, without importing it; None if it is not installed."""
    spec = find_spec(module)
    places = spec and spec.submodule_search_locations
    return Path(places[0]) if places else None


@contextmanager
def usable(module: str, purpose: str = "") -> Iterator[None]:
    """Import a package inside of this; whatever the import raises becomes a sentence.

    Args:
        module: the package's name in ``install_line.PACKAGES``.
        purpose: the beginning of the sentence.

    Raises:
        LumosXError: see the module.
    """
    require(module, purpose=purpose)
    try:
        yield
    # Packages built for another numpy, protobuf or system raise whatever they like.
    except Exception as error:
        raise _not_importable(PACKAGES[module], error, purpose) from error


def too_old(module: str, lacks: str, version: str, floor: str, purpose: str = "") -> LumosXError:
    """The sentence for a package that lacks what is used of it.

    Args:
        module: its name in ``install_line.PACKAGES``.
        lacks: what it has not got.
        version: what it says of itself; empty if it says nothing.
        floor: the first version that has it.
    """
    package = PACKAGES[module]
    return LumosXError(
        f"{purpose}{package.title} {version} is too old, since it has no {lacks}; run "
        f"{upgrade_line(package, floor)} and restart ComfyUI."
    )


def _not_installed(titles: list[str], line: str, purpose: str) -> LumosXError:
    names = " and ".join(filter(None, [", ".join(titles[:-1]), titles[-1]]))
    return LumosXError(f"{purpose}{names} {_are(titles)} not installed; run {line} and restart ComfyUI.")


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _not_importable(package: Package, error: Exception, purpose: str) -> LumosXError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    names = [f"{name} {version}" for name, version in distributions(package).items()] or [package.title]
    start = f"{purpose}{' and '.join(names)} {_are(names)} installed but cannot be imported ({reason})"
    library = _LIBRARY.search(reason)
    if library:
        headless = f"run {line} and restart ComfyUI, or " if (line := headless_line(package)) else ""
        debian = f" (on Debian and Ubuntu {known})" if (known := _DEBIAN.get(library[1])) else ""
        return LumosXError(f"{start}; {headless}install the system's package that has {library[1]}{debian}.")
    if "DLL load failed" in reason:
        return LumosXError(
            f"{start}; install Microsoft's Visual C++ Redistributable from {_VC_REDISTRIBUTABLE} and, if that does not "
            f"help, run {reinstall_line(package)} and restart ComfyUI."
        )
    lacks_another = isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != package.module
    other_version = lacks_another or _MOVED.search(reason)
    line = upgrade_line(package) if other_version else reinstall_line(package)
    return LumosXError(f"{start}; run {line} and restart ComfyUI.")
