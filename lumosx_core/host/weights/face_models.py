"""Where ComfyUI's user keeps the weights that find faces and tell them apart, and whether these changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from ...faces.face import ModelFolders

INSIGHTFACE, LUMOSX = "insightface", "lumosx"
PEOPLE_FOLDER = "people"
"""In a folder of ``lumosx``: people that are kept, who are no weights."""
# models/<pack>/<pack> of a bad zip and face_encoder/face_encoder are the deepest folders that are looked into.
_DEPTH = 3
_MOST_FILES = 4096


def model_folders() -> ModelFolders:
    """The folders that other packs or extra_model_paths.yaml registered, and those of that name in models/."""
    return ModelFolders(folders_of(INSIGHTFACE), folders_of(LUMOSX))


def weights_state(*names: str) -> str:
    """64 hexadecimal digits that others follow when weights are added, replaced or taken away.

    Path, size and time of each file count, not what is in it: the first 4096 files, three folders deep.

    Args:
        names: of ComfyUI's model folders; both of ours when none is given.
    """
    digest, left = hashlib.sha256(), _MOST_FILES
    for folder in (folder for name in names or (INSIGHTFACE, LUMOSX) for folder in folders_of(name)):
        for line in _files(folder, _DEPTH, PEOPLE_FOLDER):
            digest.update(f"{line}\n".encode(errors="surrogateescape"))
            left -= 1
            if left == 0:
                return digest.hexdigest()
    return digest.hexdigest()


def _files(folder: Path | str, depth: int, but: str = "") -> Iterator[str]:
    """Path, size and time of the files in a folder and those inside it, always in the same order.

    Args:
        but: the name of a folder that is left out.
    """
    try:
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError:  # nothing is there, or nothing that we may read
        return
    for entry in entries:
        if entry.is_file():
            known = os.stat(entry.path)
            yield f"{entry.path} {known.st_size} {known.st_mtime_ns}"
        elif depth and entry.is_dir() and entry.name != but:
            yield from _files(entry.path, depth - 1)


def folders_of(name: str) -> tuple[Path, ...]:
    known = folder_paths.get_folder_paths(name) if name in folder_paths.folder_names_and_paths else []
    own = str(Path(folder_paths.models_dir, name))
    return tuple(Path(folder) for folder in dict.fromkeys([own, *known]))
