"""The converter on ComfyUI's model folders, with its progress bar and its interrupt."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

import comfy.quant_ops
import comfyui_version
import folder_paths

from ...errors import LumosXError
from ...files import DEVICE_NAME
from ...packages import require
from ...weights.convert import convert
from ...weights.file_names import part_named
from ...weights.origin import was_made_from
from ...weights.precision import INT8, NVFP4, ending
from ...weights.safetensors_file import INDEX_ENDING
from ...weights.scaled import SCALED
from .checkpoints import CATEGORY, find_file, list_folders, missing_file_error, progress_bar
from .loader import list_files, models_among

# What Windows allows in a name, which is less than the others do; with the ending of an unfinished file it still fits.
_NAME = re.compile(
    rf"(?!{DEVICE_NAME.pattern})" r"[^<>:\"/\\|?*\x00-\x1f.][^<>:\"/\\|?*\x00-\x1f]{0,149}", re.IGNORECASE
)
# A file system counts bytes, and an ending follows.
_MOST_BYTES = 200
_ENDINGS = re.compile(r"\.(safetensors|gguf)$", re.IGNORECASE)


def list_sources() -> list[str]:
    """What can be converted: the weight files, checkpoint folders (ending in ``/``) and indices of parts."""
    files = list_files()
    indexes = {str(PurePath(file)) for file in files if file.endswith(INDEX_ENDING)}
    return sorted({*models_among(files), *list_folders(files), *indexes})


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
    check_format(to)
    target, path = target_path(to, file_name), source_path(source)
    report = progress_bar()
    if target.exists() and was_made_from(target, path, to, report):
        return target.name, f"{target.name} already exists and was made from this source; nothing to do."
    return target.name, str(convert(path, target, to, report))


def check_format(to: str) -> None:
    """Whether this ComfyUI can make and use a format; imports nothing.

    Raises:
        LumosXError: it does not know it (our loader would widen such a file to bf16, so it would save nothing), or the
            package that makes it is missing.
    """
    if to in SCALED and SCALED[to].name not in comfy.quant_ops.QUANT_ALGOS:
        raise LumosXError(
            f"format: this ComfyUI ({comfyui_version.__version__}) cannot compute in {to}; update ComfyUI, or choose "
            "fp8_scaled or q8_0."
        )
    if to in (INT8, NVFP4):
        require("comfy_kitchen", purpose="format: ")


def source_path(name: str) -> Path:
    """The file or folder behind a name of ``list_sources``; it cannot lead out of the model folders.

    Raises:
        LumosXError: another name.
    """
    path = find_file(name)
    if path is None:
        raise missing_file_error("source", name)
    return path


def check_name(file_name: str) -> None:
    """Whether a name can be that of a new file.

    Raises:
        LumosXError: it has a folder, a character or a length that not every system takes, or is that of a part.
    """
    if not isinstance(file_name, str):
        raise LumosXError(f"file_name: {file_name!r:.60} is not text; type a name.")
    name = file_name.strip()
    if part_named(f"{_ENDINGS.sub('', name)}.gguf") is not None:
        raise LumosXError(f"file_name: {name[:60]!r} is the name of one part of several; choose another name.")
    if not _NAME.fullmatch(name) or len(name.encode(errors="replace")) > _MOST_BYTES:
        raise LumosXError(
            f"file_name: {name[:60]!r} is not a plain file name; use up to 150 letters, digits, - and _ (non-English "
            f"letters count two to four of {_MOST_BYTES})."
        )


def target_path(to: str, file_name: str) -> Path:
    """Where a new file goes.

    Raises:
        LumosXError: no plain name, or an unknown format.
    """
    check_name(file_name)
    name = file_name.strip()
    return _target_folder() / f"{_ENDINGS.sub('', name)}{ending(to)}"


def _target_folder() -> Path:
    folders = [Path(folder) for folder in folder_paths.get_folder_paths(CATEGORY)]
    # The first may be the old name, models/unet.
    folder = next((folder for folder in folders if folder.name == CATEGORY), folders[0])
    folder.mkdir(parents=True, exist_ok=True)
    return folder
