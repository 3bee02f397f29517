"""The converter on ComfyUI's model folders, with its progress bar and its interrupt."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import comfy.model_management
import comfy.utils
import folder_paths

from ..errors import LumosXError
from ..weights.convert import convert
from ..weights.precision import ending
from .loader import CATEGORY, list_models

DCP_METADATA = ".metadata"
SHARD_INDEX = ".index.json"
_RELEASE_FOLDER = "all"
_STEPS = 200
"""How often the progress bar moves; each move is a message to the page."""
# What Windows allows in a name, which is less than the others do.
_NAME = re.compile(r"[^<>:\"/\\|?*\x00-\x1f.][^<>:\"/\\|?*\x00-\x1f]*")


def list_sources() -> list[str]:
    """What can be converted: the weight files, checkpoint folders (ending in ``/``) and indices of parts."""
    names = set(list_models())
    for root in folder_paths.get_folder_paths(CATEGORY):
        found, _ = folder_paths.recursive_search(root, excluded_dir_names=[".git"])
        for path in map(PurePath, found):
            if path.name == DCP_METADATA and path.parent.parts:
                folder = path.parent.parent if path.parent.name == _RELEASE_FOLDER else path.parent
                names.add(f"{(folder if folder.parts else path.parent).as_posix()}/")
            elif path.name.endswith(SHARD_INDEX):
                names.add(str(path))
    return sorted(names)


def convert_weights(source: str, to: str, file_name: str) -> tuple[str, str]:
    """Convert a model of ComfyUI's model folders into a new one there.

    Args:
        source: as ``list_sources`` gives it.
        to: one of ``weights.precision.FORMATS``.
        file_name: of the new file, without an ending.

    Returns:
        The name of the new file for a loader, and what was done.

    Raises:
        LumosXError: a name that will not do, or what ``convert`` raises.
    """
    target = target_path(to, file_name)
    bar = comfy.utils.ProgressBar(_STEPS)

    def report(done: int, total: int, name: str) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        step = done * _STEPS // max(total, 1)
        if step != bar.current:
            bar.update_absolute(step, _STEPS)

    result = convert(source_path(source), target, to, report)
    return target.name, str(result)


def source_path(name: str) -> Path:
    """The file or folder behind a name of ``list_sources``.

    Raises:
        LumosXError: another name.
    """
    if name in list_sources():
        for root in folder_paths.get_folder_paths(CATEGORY):
            path = Path(root, name)
            if path.exists():
                return path
    raise LumosXError(f"source: {name!r} is not in ComfyUI's models/{CATEGORY}; put it there and refresh.")


def target_path(to: str, file_name: str) -> Path:
    """Where a new file goes.

    Raises:
        LumosXError: no plain name, an unknown format, or a file that is there already.
    """
    name = file_name.strip()
    if not _NAME.fullmatch(name):
        raise LumosXError(f"file_name: {file_name!r} is no plain file name; use letters, digits, - and _.")
    path = _target_folder() / f"{name.removesuffix(ending(to))}{ending(to)}"
    if path.exists():
        raise LumosXError(f"file_name: {path.name} exists already; choose another name or delete that file.")
    return path


def _target_folder() -> Path:
    folders = [Path(folder) for folder in folder_paths.get_folder_paths(CATEGORY)]
    # The first may be the old name, models/unet.
    folder = next((folder for folder in folders if folder.name == CATEGORY), folders[0])
    folder.mkdir(parents=True, exist_ok=True)
    return folder
