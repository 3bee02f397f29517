"""ComfyUI for a command line: found, and importable from then on."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from ..errors import LumosXError

VARIABLE = "COMFYUI_PATH"
_PACK = Path(__file__).absolute().parents[2]


def prepare_comfyui(folder: Path | None, cpu: bool) -> None:
    """Let this process import ComfyUI's modules. It extends ``sys.path``, so it is for command lines alone.

    Args:
        folder: of a ComfyUI; None takes one that can be imported already, else that of the environment's
            ``COMFYUI_PATH``, else the one whose ``custom_nodes`` this pack lies in.
        cpu: keep it off any card.

    Raises:
        LumosXError: there is none, or its packages are not installed in this Python.
    """
    if folder is not None or not _is_importable():
        # First: this pack has a package ``nodes`` as well.
        sys.path.insert(0, str(_find(folder)))
    # Only now can the host room be imported at all.
    try:
        if cpu:
            from ..host.command import stay_on_cpu

            stay_on_cpu()
        from ..host import training  # noqa: F401
    except Exception as error:
        # Packages that do not fit each other raise all kinds of errors.
        reason = str(error).partition("\n")[0][:200]
        raise LumosXError(
            f"--comfyui: ComfyUI cannot be imported ({reason}); run this with the Python that runs your ComfyUI."
        ) from error


def _is_importable() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("comfy", "folder_paths"))


def _find(folder: Path | None) -> Path:
    named = folder or os.environ.get(VARIABLE)
    found = Path(named or _PACK.parent.parent)
    if not (found / "comfy" / "sd.py").is_file() or not (found / "folder_paths.py").is_file():
        what = f"{named} holds no ComfyUI" if named else "no ComfyUI was found"
        raise LumosXError(f"--comfyui: {what}; give the folder of your ComfyUI, or set {VARIABLE} to it.")
    return found.absolute()
