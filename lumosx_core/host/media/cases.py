"""Case folders under ComfyUI's input and output folders: listed, resolved, written and never left."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath

import folder_paths

from ...cases import Case, case_files, load_case
from ...cases.reading import CAPTION, unreadable
from ...cases.writing import CASES, check_case_name, release_warnings, write_case_folder
from ...errors import LumosXError
from ...files import DEVICE_NAME
from ...scene.binding import missing_phrases
from ...scene.relations import Scene
from ...scene.report import binder_report
from ...tiny.demo_case import write_demo_case
from ...tiny.portrait_case import write_portrait_case
from ...untrusted import inside, shown
from ...whole_folders import UNFINISHED, replaced_by
from ..conditioning.scene import log_warnings

BUILT_IN, PORTRAITS = "[LumosX demo]", "[LumosX portraits]"
BUILT_INS: Mapping[str, Callable[[Path], Path]] = {BUILT_IN: write_demo_case, PORTRAITS: write_portrait_case}
"""Cases that come with the pack, and what draws each into a folder."""
LEAVE_OUT, STAND_ALONE = "leave out", "as stand-alone references"
FULL_BODIES = (LEAVE_OUT, STAND_ALONE)
_DEPTH = 3
# A number and a unique ending are added while a case is written.
_MOST_BYTES = 200
_INPUT, _OUTPUT = "input", "output"
# ComfyUI's own way of saying which folder a name is in.
_ANNOTATED = re.compile(rf"(.*) \[({_INPUT}|{_OUTPUT})\]", re.DOTALL)
# What Windows allows in a name, which is less than other systems do, without names that the list of cases ignores.
_FOLDER = re.compile(
    rf"(?!{DEVICE_NAME.pattern})" r"(?![\s.])[^<>:\"/\\|?*\x00-\x1f\x7f\ud800-\udfff]{1,100}(?<![\s.])"
    rf"(?<!{re.escape(UNFINISHED)})", re.IGNORECASE
)


def list_cases() -> list[str]:
    """The built-in cases, then every folder with a caption.txt as a relative path with ``/``.

    First those under the input folder, then those under the output folder with ComfyUI's ``[output]`` behind. Names of
    the input folder that would mean another case get an ``[input]`` behind.
    """
    inputs = (f"{name} [{_INPUT}]" if name in BUILT_INS or _ANNOTATED.fullmatch(name) else name
              for name in _cases_under(Path(folder_paths.get_input_directory())))
    outputs = (f"{name} [{_OUTPUT}]" for name in _cases_under(Path(folder_paths.get_output_directory())))
    return [*BUILT_INS, *inputs, *outputs]


def open_case(name: str, full_bodies: bool = False) -> Case:
    """Read a case by the name that ``list_cases`` gives it.

    Args:
        full_bodies: as for ``load_case``.

    Raises:
        LumosXError: a name outside its folder, or a folder that is not a case.
    """
    if name in BUILT_INS:
        folder = Path(folder_paths.get_temp_directory()) / f"lumosx_case_{list(BUILT_INS).index(name)}"
        return load_case(BUILT_INS[name](folder))
    return load_case(resolve_case(name), full_bodies)


def read_case(name: str, full_body: str = LEAVE_OUT) -> tuple[Scene, str, str, str]:
    """Scene, prompt, name and report of a case; what was left out and what seems wrong is logged too.

    Args:
        full_body: one of ``FULL_BODIES``.

    Raises:
        LumosXError: as ``open_case``, or an unknown choice.
    """
    if full_body not in FULL_BODIES:
        raise LumosXError(f"full_body: {full_body!r} is not known; choose one of {', '.join(FULL_BODIES)}.")
    case = open_case(name, full_body == STAND_ALONE)
    log_warnings((*case.notes, *case.scene.warnings()))
    report = "\n".join([binder_report(case.scene), *(f"- **Note:** {note}" for note in case.notes)])
    return case.scene, case.prompt, case.name, report


def check_case_names(name: str | None, folder: str | None) -> None:
    """Whether a case can be written under these names; None is not known yet.

    Raises:
        LumosXError: a name that a caption cannot hold, or a folder that is not below the output folder.
    """
    if name is not None:
        check_case_name(name)
    if folder is not None:
        _new_folder(folder)


def write_case(scene: Scene, prompt: str, name: str, folder: str, replace: bool) -> tuple[str, str]:
    """Write a case under the output folder.

    Args:
        folder: relative to it, with ``/``; see ``write_case_folder`` for numbers and ``replace``.

    Returns:
        The name by which ``open_case`` finds it, and a report.

    Raises:
        LumosXError: as ``check_case_names`` and ``write_case_folder``.
    """
    check_case_names(name, folder)
    made = write_case_folder(scene, prompt, name, _new_folder(folder), replace)
    warnings = [*_missing_phrases(scene, prompt), *release_warnings(scene, prompt)]
    log_warnings(warnings)
    lines = [f"- Saved in {made}", binder_report(scene), *(f"- **Warning:** {warning}" for warning in warnings)]
    return f"{made.relative_to(_root(_OUTPUT)).as_posix()} [{_OUTPUT}]", "\n".join(lines)


def case_fingerprint(name: str) -> str:
    """Changes whenever a file of the case does; raises what ``open_case`` would for a bad name."""
    if name in BUILT_INS:
        return name
    digest = hashlib.sha256()
    folder = resolve_case(name)
    try:
        for path in case_files(folder):
            state = path.stat()
            digest.update(os.fsencode(path) + f"|{state.st_size}|{state.st_mtime_ns}\n".encode())
    except OSError as error:
        raise unreadable(folder, error) from error
    return digest.hexdigest()


def _cases_under(root: Path) -> list[str]:
    found = []
    for folder, children, files in os.walk(root):
        relative = Path(folder).relative_to(root)
        children[:] = [child for child in children if not child.startswith(".") and not child.endswith(UNFINISHED)]
        if len(relative.parts) >= _DEPTH:
            children.clear()
        if CAPTION in files and relative.parts:
            found.append(relative.as_posix())
    return sorted(found)


def _root(place: str) -> Path:
    get = folder_paths.get_output_directory if place == _OUTPUT else folder_paths.get_input_directory
    return Path(get()).resolve()


def resolve_case(name: str) -> Path:
    """The folder that a name of LumosX Load Case means.

    Raises:
        LumosXError: a name outside its folder, or of nothing; what lies elsewhere is never said.
    """
    if not isinstance(name, str) or "\0" in name:
        raise LumosXError(f"case: {name!r} is not the name of a folder; choose one from the list.")
    annotated = _ANNOTATED.fullmatch(name)
    plain, place = annotated.groups() if annotated else (name, _INPUT)
    root = _root(place)
    # Looked at first: on Windows, following the name of another computer's folder would log in there.
    relative = PurePath(plain)
    leaves = relative.anchor or ".." in relative.parts
    path = None if leaves else inside(root, root / relative)
    if path is None:
        raise LumosXError(
            f"case: \"{shown(plain[:200])}\" is not inside ComfyUI's {place} folder; put the folder itself there, not "
            "a link to it."
        )
    # While a case is replaced, and after a kill just then, the old one counts.
    for folder in (path, replaced_by(path)):
        # Too long a name, or one that may not be looked at.
        with suppress(OSError):
            if folder.is_dir():
                return folder
    raise LumosXError(
        f"case: the {place} folder has no folder \"{shown(plain[:200])}\"; put the case there or choose another."
    )


def tidy_saved_cases() -> None:
    """Put in order what a kill left of LumosX Save Case under the output folder; called once, when ComfyUI starts."""
    root = Path(folder_paths.get_output_directory())
    for folder, children, _ in os.walk(root):
        CASES.put_back_leftovers(Path(folder))
        deep = len(Path(folder).relative_to(root).parts) >= _DEPTH - 1
        children[:] = [] if deep else [name for name in children if not name.startswith(".")]


def _new_folder(name: str) -> Path:
    """Where a folder of this name goes, with every link on the way followed."""
    parts = name.strip().split("/")
    too_long = any(len(part.encode(errors="replace")) > _MOST_BYTES for part in parts)
    if len(parts) > _DEPTH or too_long or not all(map(_FOLDER.fullmatch, parts)):
        raise LumosXError(
            f"folder: {name[:60]!r} is not a plain folder name; use up to {_DEPTH} short names of letters, digits, - "
            "and _, separated by /."
        )
    root = _root(_OUTPUT)
    parent = inside(root, root.joinpath(*parts[:-1])) if len(parts) > 1 else root
    if parent is None:
        raise LumosXError(f"folder: {name[:60]!r} leads out of ComfyUI's output folder by a link; choose another.")
    return parent / parts[-1]


def _missing_phrases(scene: Scene, prompt: str) -> list[str]:
    try:
        missing = missing_phrases(scene, prompt)
    except LumosXError as error:
        # The case is saved, and a run of it will stop with the same sentence.
        return [str(error)]
    return [f"\"{phrase}\" is not in the prompt, so a run of this case will stop." for phrase in missing]
