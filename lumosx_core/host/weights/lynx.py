"""Where ComfyUI's user keeps Lynx's files and the face recogniser that it needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import comfy.model_management

from ...errors import LumosXError
from ...models.lynx.adapters import ID_LAYERS, REF_LAYERS, RESAMPLER, Adapters
from ...models.lynx.sizes import AdapterSizes, ResamplerSizes
from .checkpoints import files_below, places_of, state_of
from .face_models import LUMOSX, folders_of
from .loader import list_files, models_among

NONE = "none"
RECOGNISER_FILE = "recognition_arcface_ir_se50.pth"
_RECOGNISER_SITE = "https://github.com/xinntao/facexlib/releases/tag/v0.1.0"
_OTHER_FOLDERS = ("facexlib", "facedetection")
"""Folders in models/ where other packs put facexlib's files."""
_RELEASE = "https://huggingface.co/ByteDance/lynx"


def list_adapter_files() -> list[str]:
    """Names of all weight files in ``diffusion_models``, ``unet`` and ``lumosx``; which hold Lynx shows when read."""
    own = [file for folder in folders_of(LUMOSX) for file in files_below(folder)]
    return sorted({*models_among(list_files()), *models_among(own)})


def load_adapters(names: Sequence[str]) -> tuple[Adapters, str]:
    """Lynx's parts in some files, and what they are as text.

    Args:
        names: as ``list_adapter_files`` gives them; ``NONE`` stands for no file.

    Raises:
        LumosXError: a file is not there, is damaged, holds no part of Lynx, or two do not belong together.
    """
    paths = [adapter_path(f"file_{number}", name) for number, name in enumerate(names, 1) if name != NONE]
    if not paths:
        raise LumosXError(f"file_1: no file is chosen; choose the files of Lynx (from {_RELEASE}).")
    adapters = Adapters.of_files(paths)
    return adapters, _report(adapters)


def adapter_path(source: str, name: str) -> Path:
    """The path of a file by its name in the list; it cannot lead out of the model folders.

    Args:
        source: the input's name, for messages.

    Raises:
        LumosXError: there is no such file.
    """
    path = next((path for path in places_of(name) if os.path.isfile(path)), None)
    if path is not None:
        return path
    raise LumosXError(
        f"{source}: {name} is not in ComfyUI's models/diffusion_models or models/lumosx; put it there and press R, or "
        f"choose another file (Lynx is at {_RELEASE})."
    )


def adapters_fingerprint(names: Sequence[str]) -> str:
    """Changes whenever one of the files does; raises as ``adapter_path``."""
    paths = [adapter_path(f"file_{number}", name) for number, name in enumerate(names, 1) if name != NONE]
    return "\n".join(map(state_of, paths))


def part_checksum(adapters: Adapters, part: str) -> str:
    """The checksum of a part's numbers, all of which are read unless the file is as it was the last time.

    Raises:
        LumosXError: the file is gone, damaged or was changed.
    """
    path = adapters.files[part]
    return _checksum(path, part, adapters.sizes[part], state_of(path))


@lru_cache(maxsize=8)
def _checksum(path: Path, part: str, sizes: ResamplerSizes | AdapterSizes, state: str) -> str:
    one = Adapters({part: path}, {part: sizes})
    return one.checksum(part, comfy.model_management.throw_exception_if_processing_interrupted)


def recogniser_path() -> Path:
    """The file of ArcFace IR-SE50.

    Raises:
        LumosXError: it is in no folder where it is looked for.
    """
    folders = [*folders_of(LUMOSX), *(folder for name in _OTHER_FOLDERS for folder in folders_of(name))]
    for folder in folders:
        path = folder / RECOGNISER_FILE
        if path.is_file():
            return path
    raise LumosXError(
        f"image: Lynx knows faces by ArcFace IR-SE50, and {RECOGNISER_FILE} is not in models/lumosx; get it from "
        f"{_RECOGNISER_SITE} and put it there (another face recogniser would give another person)."
    )


def _report(adapters: Adapters) -> str:
    lines = []
    for part, words in ((RESAMPLER, "resampler"), (ID_LAYERS, "ID layers"), (REF_LAYERS, "reference layers")):
        if part not in adapters:
            lines.append(f"{words}: none")
            continue
        sizes, name = adapters.sizes[part], adapters.files[part].name
        if isinstance(sizes, ResamplerSizes):
            what = f"{sizes.queries} tokens of {sizes.token_width} channels"
        else:
            what = _layers(sizes)
        lines.append(f"{words}: {what} ({name})")
    return "\n".join(lines)


def _layers(sizes: AdapterSizes) -> str:
    kind = "" if sizes.kind == "ref" else f"{sizes.kind}, "
    return f"{kind}{len(sizes.blocks)} layers for a model that is {sizes.width} channels wide"
