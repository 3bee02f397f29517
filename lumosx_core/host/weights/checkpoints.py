"""Checkpoint folders among ComfyUI's models, such as the release's, and the file that each is converted to."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path, PurePath

import comfy.model_management
import comfy.utils
import folder_paths

from ...errors import LumosXError
from ...files import remove_forgotten
from ...weights.checkpoint_index import METADATA
from ...weights.checksum import files_state, listed_files
from ...weights.convert import ProgressCallback, check_conversion, convert
from ...weights.opening import checkpoint_place
from ...weights.origin import is_up_to_date, names_as_source, was_made_from
from .face_models import LUMOSX, folders_of

CATEGORY = "diffusion_models"
_FORMAT = "bf16"
_MADE = f"_{_FORMAT}.safetensors"
_PART = ".distcp"
_RELEASE_FOLDER = "all"
_STEPS = 200
"""How often the progress bar moves; each move is a message to the page."""

_log = logging.getLogger("LumosX")


def list_folders(files: Iterable[str]) -> set[str]:
    """Names of the checkpoint folders in ``diffusion_models``, ``unet`` and ``lumosx``, each ending in ``/``.

    Args:
        files: names of all files in the first two, which take long to list on a slow disk.
    """
    return folders_among([*files, *(file for folder in folders_of(LUMOSX) for file in files_below(folder))])


def made_names(folders: Iterable[str]) -> set[str]:
    """Names of the files that these folders are converted to, whether they exist or not."""
    return {name for name in (f"{folder.removesuffix('/')}{_MADE}" for folder in folders) if folder_meant(name)}


def files_below(root: str | Path) -> list[str]:
    """Names of all files in a folder, whatever they are."""
    return folder_paths.recursive_search(str(root), excluded_dir_names=[".git"])[0] if os.path.isdir(root) else []


def folders_among(files: Iterable[str]) -> set[str]:
    """Names of the checkpoint folders that files belong to, each ending in ``/``."""
    names = set()
    for path in map(PurePath, files):
        # Hidden files are easily left behind; then the folder is there to be chosen, and says so.
        if (path.name == METADATA or path.suffix == _PART) and path.parent.parts:
            folder = path.parent.parent if path.parent.name == _RELEASE_FOLDER else path.parent
            names.add(f"{(folder if folder.parts else path.parent).as_posix()}/")
    return names


def find_file(name: str) -> Path | None:
    """The file or folder of this name in the model folders, which it cannot lead out of; None if there is none."""
    return next((path for path in places_of(name) if os.path.exists(path)), None)


def missing_file_error(source: str, name: object) -> LumosXError:
    """What is wrong with a name that is not there, and where LumosX's own weights come from.

    Args:
        source: the input that has the name.
    """
    return LumosXError(
        f"{source}: {name!r} is not in ComfyUI's models/diffusion_models; put it there and press R, or put the folder "
        "LumosX_models of https://huggingface.co/Alibaba-DAMO-Academy/LumosX there, whole, and choose LumosX_models/ "
        "(LumosX Convert Weights makes a smaller file of it)."
    )


def folder_meant(name: object) -> str | None:
    """The checkpoint folder that a name stands for; None for an ordinary file.

    The name of the file that is made of a folder stands for that folder too, as long as the folder is there: before the
    file is made, and afterwards when the folder changes.
    """
    if not isinstance(name, str) or name.endswith("/"):
        return name if isinstance(name, str) else None
    folder = f"{name.removesuffix(_MADE)}/"
    places = places_of(folder) if name.endswith(_MADE) else []
    return folder if any(map(_may_make, places)) else None


def _may_make(folder: Path) -> bool:
    """Whether there is a checkpoint folder, and no file of another origin under the name of its file."""
    target = _made_of(folder)
    return checkpoint_place(folder) is not None and (
        not os.path.exists(target) or names_as_source(target, folder, _FORMAT)
    )


def check_folder(name: str) -> None:
    """Whether ``file_of_folder`` can begin; no weights are read and nothing is written.

    Raises:
        LumosXError: as ``file_of_folder``, as far as that can be known.
    """
    folder, target = _folder_and_target(name)
    if folder is not None and not names_as_source(target, folder, _FORMAT):
        check_conversion(folder, target, _FORMAT)


def folder_fingerprint(name: str) -> str:
    """Changes whenever a file of the folder does; raises what ``file_of_folder`` would for a bad name."""
    folder, target = _folder_and_target(name)
    return files_state([target] if folder is None else listed_files(checkpoint_place(folder) or folder))


def file_of_folder(name: str) -> Path:
    """The file beside a checkpoint folder that holds its weights in bf16; made, with progress, if it is not there.

    It is made again when the folder has changed since. Once it is there, the folder may be deleted.

    Args:
        name: as ``folders_among`` gives it.

    Raises:
        LumosXError: there is no such folder, what ``convert`` raises, or another file has the name.
    """
    folder, target = _folder_and_target(name)
    if folder is None or is_up_to_date(target, folder, _FORMAT):
        return target
    report = progress_bar()
    if os.path.exists(target) and was_made_from(target, folder, _FORMAT, report):
        return target
    remove_forgotten(target.parent)
    _log.info("LumosX: %s is being made from %s; this happens once.", target.name, name)
    try:
        convert(folder, target, _FORMAT, report, replace=names_as_source(target, folder, _FORMAT))
    except LumosXError:
        # Another ComfyUI on the same folders may have been first.
        if not is_up_to_date(target, folder, _FORMAT):
            raise
    return target


def made_file(name: str) -> Path | None:
    """The file that a folder was converted to, else the folder; None if neither exists."""
    try:
        folder, target = _folder_and_target(name)
        return target if folder is None or is_up_to_date(target, folder, _FORMAT) else folder
    except LumosXError:
        return None


def state_of(path: Path) -> str:
    """Changes whenever the file does, or comes or goes."""
    try:
        state = path.stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"{path}|{state.st_size}|{state.st_mtime_ns}|{state.st_ctime_ns}|{state.st_ino}"


def progress_bar() -> ProgressCallback:
    """Progress of a conversion for the node that runs, with ComfyUI's interrupt."""
    bar = comfy.utils.ProgressBar(_STEPS)

    def report(done: int, total: int, name: str) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        step = done * _STEPS // max(total, 1)
        if step != bar.current:
            bar.update_absolute(step, _STEPS)

    return report


def _folder_and_target(name: str) -> tuple[Path | None, Path]:
    """The folder (None if only its converted file is left), and the path of that file."""
    for path in places_of(name):
        target = _made_of(path)
        if os.path.isdir(path):
            return path, target
        if names_as_source(target, path, _FORMAT):
            return None, target
    raise missing_file_error("model_name", name)


def _made_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_MADE}")


def places_of(name: str) -> list[Path]:
    """Where something of this name would be; nowhere for a name that leads out of the model folders."""
    parts = PurePath(name).parts if isinstance(name, str) else ()
    if not parts or PurePath(name).is_absolute() or ".." in parts or "\0" in name:
        return []
    return [Path(root, name) for root in _roots()]


def _roots() -> list[str | Path]:
    """The folders of weights, and the folder of the pack's other models, where users may also put such a folder."""
    return [*folder_paths.get_folder_paths(CATEGORY), *folders_of(LUMOSX)]
