"""Where ComfyUI's user keeps the weights that find faces and tell them apart."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from ..media.faces.face import ModelFolders


def model_folders() -> ModelFolders:
    """The folders that other packs or extra_model_paths.yaml registered, and those of that name in models/."""
    return ModelFolders(_folders("insightface"), _folders("lumosx"))


def _folders(name: str) -> tuple[Path, ...]:
    known = folder_paths.get_folder_paths(name) if name in folder_paths.folder_names_and_paths else []
    own = str(Path(folder_paths.models_dir, name))
    return tuple(Path(folder) for folder in dict.fromkeys([own, *known]))
