"""Case folders under ComfyUI's input folder: listed, resolved and never left."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import folder_paths

from ..errors import LumosXError
from ..media import Case, case_files, load_case
from ..media.case_folder import CAPTION
from ..relations import Scene
from ..report import binder_report
from ..tiny.drawing import write_demo_case
from .scene import log_warnings

BUILT_IN = "[LumosX demo]"
_DEPTH = 3


def list_cases() -> list[str]:
    """The built-in case, then every folder with a caption.txt under the input folder, as relative paths with ``/``."""
    root = Path(folder_paths.get_input_directory())
    found = []
    for folder, children, files in os.walk(root):
        relative = Path(folder).relative_to(root)
        children[:] = sorted(child for child in children if not child.startswith("."))
        if len(relative.parts) >= _DEPTH:
            children.clear()
        if CAPTION in files and relative.parts:
            found.append(relative.as_posix())
    return [BUILT_IN, *sorted(found)]


def open_case(name: str) -> Case:
    """Read a case by the name that ``list_cases`` gives it.

    Raises:
        LumosXError: a name outside the input folder, or a folder that is no case.
    """
    if name == BUILT_IN:
        return load_case(write_demo_case(Path(folder_paths.get_temp_directory()) / "lumosx_demo_case"))
    return load_case(_resolve(name))


def read_case(name: str) -> tuple[Scene, str, str, str]:
    """Scene, prompt, name and report of a case; what was left out and what seems wrong is logged too.

    Raises:
        LumosXError: as ``open_case``.
    """
    case = open_case(name)
    log_warnings((*case.notes, *case.scene.warnings()))
    report = "\n".join([binder_report(case.scene), *(f"- **Note:** {note}" for note in case.notes)])
    return case.scene, case.prompt, case.name, report


def case_fingerprint(name: str) -> str:
    """Changes whenever a file of the case does; raises what ``open_case`` would for a bad name."""
    if name == BUILT_IN:
        return name
    digest = hashlib.sha256()
    for path in case_files(_resolve(name)):
        state = path.stat()
        digest.update(os.fsencode(path) + f"|{state.st_size}|{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _resolve(name: str) -> Path:
    root = Path(folder_paths.get_input_directory()).resolve()
    try:
        path = (root / name).resolve()
        path.is_dir()
    except (OSError, ValueError, TypeError) as error:
        raise LumosXError(f"case: {name!r} is no name of a folder ({error}); choose one from the list.") from error
    if path == root or not path.is_relative_to(root):
        raise LumosXError(
            f"case: \"{name}\" is not inside ComfyUI's input folder; put the folder itself there, not a link to it."
        )
    if not path.is_dir():
        raise LumosXError(f"case: the input folder has no folder \"{name}\"; put the case there or choose another.")
    return path
