"""Weight files in ComfyUI's model folders, and a MODEL from any of them."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sd
import comfy.utils
import folder_paths
import torch

from ..errors import LumosXError
from ..model import RelationalOptions
from ..weights.blocks import dequantize, is_packed
from ..weights.dense import QUANTIZATION_METADATA
from ..weights.opening import open_weights
from ..weights.source import WeightSource
from ..weights.transformer import find_sidecars, find_transformer
from .packed import KIND, PackedOperations, PackedPatcher, kind_entry
from .patcher import relational_model

CATEGORY = "diffusion_models"
GGUF_ENDING = ".gguf"
_HOST_ENDINGS = (".safetensors", ".sft")

_FP8 = {
    "fp8_e4m3fn": {"dtype": torch.float8_e4m3fn},
    "fp8_e4m3fn_fast": {"dtype": torch.float8_e4m3fn, "fp8_optimizations": True},
    "fp8_e5m2": {"dtype": torch.float8_e5m2},
}
WEIGHT_DTYPES = ("default", *_FP8)
"""The choices of ComfyUI's own loader, with its meanings."""


def list_models() -> list[str]:
    """Names of the weight files in ``diffusion_models`` and ``unet``, GGUF among them."""
    names = set(folder_paths.get_filename_list(CATEGORY))
    for folder in folder_paths.get_folder_paths(CATEGORY):
        found, _ = folder_paths.recursive_search(folder, excluded_dir_names=[".git"])
        names.update(folder_paths.filter_files_extensions(found, [GGUF_ENDING]))
    return sorted(names)


def load_model(name: str, weight_dtype: str = "default") -> Any:
    """A MODEL with the relational forward, from a file in ComfyUI's model folders.

    Args:
        name: as ``list_models`` gives it.
        weight_dtype: one of WEIGHT_DTYPES.

    Raises:
        LumosXError: the file is not there, is damaged, or holds something else than a Wan2.1-T2V-shaped transformer.
    """
    return relational_model(load_patcher(resolve(name), weight_dtype), RelationalOptions())


def check_model(name: str) -> None:
    """Read what a file says of itself, and no weights.

    Raises:
        LumosXError: as ``load_model`` would, as far as that can be known.
    """
    with open_weights(Path(resolve(name))) as source:
        find_transformer(source)


def model_fingerprint(name: str) -> str:
    """Changes whenever the file does; raises what ``load_model`` would for a bad name."""
    state = os.stat(resolve(name))
    return f"{state.st_size}|{state.st_mtime_ns}"


def resolve(name: str) -> str:
    """The path of a weight file by the name that ``list_models`` gives it; it cannot lead out of the model folders.

    Raises:
        LumosXError: there is no such file.
    """
    path = folder_paths.get_full_path(CATEGORY, name)
    if path is None:
        raise LumosXError(f"model_name: {name!r} is not in ComfyUI's models/{CATEGORY}; put it there and refresh.")
    return path


def load_patcher(path: str, weight_dtype: str = "default", disable_dynamic: bool = False) -> Any:
    """A ModelPatcher without our wrappers; ComfyUI calls it again when it needs a second copy of the weights.

    Args:
        path: the file.
        weight_dtype: one of WEIGHT_DTYPES.
        disable_dynamic: keep ComfyUI's dynamic VRAM out of it, where there is such a thing.

    Raises:
        LumosXError: as ``load_model``.
    """
    with open_weights(Path(path)) as source:
        transformer = find_transformer(source)
        packed = any(is_packed(source.tensors[stored].kind) for stored in transformer.values())
        if packed and weight_dtype != "default":
            raise LumosXError(
                f"weight_dtype: {source.path.name} is a GGUF whose weights stay as they are; choose default."
            )
        options: dict[str, Any] = dict(_FP8.get(weight_dtype, {}))
        if packed:
            options["custom_operations"] = PackedOperations
        weights = _read(source, transformer)
        # Of a file's own words only those that say how its layers are quantised concern the host.
        metadata = {name: text for name, text in source.metadata.items() if name == QUANTIZATION_METADATA}
    patcher = _build(path, weights, metadata, options, disable_dynamic or packed)
    if packed:
        patcher = PackedPatcher(patcher.model, patcher.load_device, patcher.offload_device)
    patcher.cached_patcher_init = (load_patcher, (path, weight_dtype))
    return patcher


def _read(source: WeightSource, transformer: dict[str, str]) -> dict[str, torch.Tensor]:
    names = {**transformer, **find_sidecars(source, transformer)}
    if source.format == "safetensors" and source.path.suffix.lower() in _HOST_ENDINGS:
        # The host has ways of its own to read these without a copy.
        held = comfy.utils.load_torch_file(str(source.path))
        return {name: held[stored] for name, stored in names.items()}
    weights: dict[str, torch.Tensor] = {}
    for name, stored in names.items():
        weights.update(_read_tensor(source, name, stored))
    return weights


def _read_tensor(source: WeightSource, name: str, stored: str) -> dict[str, torch.Tensor]:
    """A tensor as it goes into the model; blocks stay packed where a Linear will hold them."""
    info, tensor = source.tensors[stored], source.read(stored)
    if not is_packed(info.kind):
        return {name: tensor}
    if len(info.shape) == 2 and tensor.shape[0] == info.shape[0]:
        return {name: tensor, f"{name.removesuffix('weight')}{KIND}": kind_entry(info.kind)}
    return {name: dequantize(tensor, info.kind).reshape(info.shape)}


def _build(path: str, weights: dict, metadata: dict, options: dict, disable_dynamic: bool) -> Any:
    load = comfy.sd.load_diffusion_model_state_dict
    given = {"disable_dynamic": disable_dynamic} if "disable_dynamic" in inspect.signature(load).parameters else {}
    try:
        patcher = load(weights, model_options=options, metadata=metadata, **given)
    except comfy.model_management.OOM_EXCEPTION:
        raise
    except Exception as error:  # the host says in its own ways what it cannot read
        reason = str(error).partition("\n")[0][:200]
        raise LumosXError(
            f"{path}: this ComfyUI cannot load it ({type(error).__name__}: {reason}); update ComfyUI, or take the "
            "file in bf16."
        ) from error
    if patcher is None:
        raise LumosXError(f"{path}: this ComfyUI does not take it for a Wan model; update ComfyUI to 0.3.75 or later.")
    return patcher
