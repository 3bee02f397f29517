"""Weight files in ComfyUI's model folders, and a MODEL from any of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import comfy.quant_ops
import comfy.sd
import comfy.utils
import comfyui_version
import folder_paths
import torch

from ...errors import LumosXError
from ...models.lumosx import RelationalOptions
from ...weights.blocks import dequantize, is_packed
from ...weights.dense import read_dense
from ...weights.file_names import first_parts, part_files
from ...weights.opening import open_weights
from ...weights.quantised import QuantisedLayer, find_quantised_layers, settings_in_metadata
from ...weights.safetensors_file import SafetensorsFile
from ...weights.source import TensorInfo, WeightSource
from ...weights.transformer import find_transformer
from ..methods.lumosx import relational_model
from ..model.low_rank import beside_patcher
from ..model.memory import SamplingMemory
from ..model.packed import KIND, PackedOperations, PackedPatcher, kind_entry
from .checkpoints import (
    CATEGORY,
    check_folder,
    file_of_folder,
    files_below,
    folder_fingerprint,
    folder_meant,
    list_folders,
    made_names,
    missing_file_error,
    state_of,
)

GGUF_ENDING = ".gguf"
SMALL = "lumosx_tiny_dit.safetensors"
"""What earlier versions of LumosX Tiny Models left behind; it knows nothing of the real world."""
_HOST_ENDINGS = (".safetensors", ".sft")
_BAD_STATE_DICT = "Error(s) in loading state_dict"

_FP8 = {
    "fp8_e4m3fn": {"dtype": torch.float8_e4m3fn},
    "fp8_e4m3fn_fast": {"dtype": torch.float8_e4m3fn, "fp8_optimizations": True},
    "fp8_e5m2": {"dtype": torch.float8_e5m2},
}
WEIGHT_DTYPES = ("default", *_FP8)
"""The choices of ComfyUI's own loader, with its meanings."""


def list_models() -> list[str]:
    """Names of the weight files and checkpoint folders (ending in ``/``) in the model folders.

    GGUF is among them; of models in parts the first part; of folders also the file that is made of them. The small
    model of earlier versions comes last.
    """
    files = list_files()
    folders = list_folders(files)
    names = {*models_among(files), *folders, *made_names(folders)}
    return sorted(names, key=lambda name: (Path(name).name == SMALL, name))


def list_files() -> list[str]:
    """Names of all files in ``diffusion_models`` and ``unet``, whatever they are."""
    return sorted({file for folder in folder_paths.get_folder_paths(CATEGORY) for file in files_below(folder)})


def models_among(files: list[str]) -> list[str]:
    """Those that ComfyUI lists as models, and GGUF; of models in several parts the first part."""
    return first_parts(
        folder_paths.filter_files_extensions(files, {*folder_paths.supported_pt_extensions, GGUF_ENDING})
    )


def load_model(name: str, weight_dtype: str = "default", vram_budget: float = 0.0) -> Any:
    """A MODEL with the relational forward, from a file or a checkpoint folder in ComfyUI's model folders.

    A checkpoint folder becomes a file beside it on first use.

    Args:
        name: as ``list_models`` gives it.
        weight_dtype: one of WEIGHT_DTYPES.
        vram_budget: gigabytes for weights and activations together; 0 leaves it to ComfyUI.

    Raises:
        LumosXError: the file is not there, is damaged, or holds something else than a Wan2.1-T2V-shaped transformer;
            or no file can be made of the folder.
    """
    SamplingMemory.of_gigabytes(vram_budget)
    # A budget works by loading only part of the weights, for which dynamic VRAM has no setting.
    folder = folder_meant(name)
    path = model_path(name) if folder is None else str(file_of_folder(folder))
    patcher = load_patcher(path, weight_dtype, disable_dynamic=bool(vram_budget))
    return relational_model(patcher, RelationalOptions(), vram_budget)


def check_model(name: str) -> None:
    """Read what a file says of itself, and no weights; what was found is remembered until the file changes.

    Raises:
        LumosXError: as ``load_model`` would, as far as that can be known.
    """
    folder = folder_meant(name)
    if folder is not None:
        check_folder(folder)
        return
    sentence = _refusal(model_path(name), model_file_fingerprint(name))
    if sentence is not None:
        raise LumosXError(sentence)


@lru_cache(maxsize=64)
def _refusal(path: str, fingerprint: str) -> str | None:
    """Why a file in this state is not a model; None if it is one."""
    try:
        with open_weights(Path(path)) as source:
            find_transformer(source)
    except LumosXError as error:
        return str(error)
    return None


def model_file_fingerprint(name: str) -> str:
    """Changes whenever the file does, or a part of its model; raises what ``load_model`` would for a bad name."""
    folder = folder_meant(name)
    if folder is not None:
        return folder_fingerprint(folder)
    return "\n".join(map(state_of, part_files(Path(model_path(name)))))


def model_path(name: str) -> str:
    """The path of a weight file by the name that ``list_models`` gives it; it cannot lead out of the model folders.

    Raises:
        LumosXError: there is no such file.
    """
    path = folder_paths.get_full_path(CATEGORY, name) if isinstance(name, str) else None
    if path is None:
        raise missing_file_error("model_name", name)
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
    if weight_dtype not in WEIGHT_DTYPES:
        raise LumosXError(f"weight_dtype: {weight_dtype!r} is unknown; choose one of {', '.join(WEIGHT_DTYPES)}.")
    with open_weights(Path(path)) as source:
        transformer = find_transformer(source)
        packed = any(is_packed(source.tensors[stored].kind) for stored in transformer.values())
        if packed and weight_dtype != "default":
            raise LumosXError(
                f"weight_dtype: {source.path.name} is a GGUF, whose weights stay as they are; choose default."
            )
        weights, layers = _read(source, transformer)
    options: dict[str, Any] = dict(_FP8.get(weight_dtype, {}))
    mapped = frozenset()
    if packed:
        options["custom_operations"] = PackedOperations
        mapped = frozenset(tensor.data_ptr() for tensor in weights.values())
    patcher = _build(path, weights, layers, options, disable_dynamic or packed)
    patcher = PackedPatcher.around(patcher, mapped) if packed else beside_patcher(patcher)
    # pyrefly: ignore[missing-attribute] Older hosts do not look at it.
    patcher.cached_patcher_init = (load_patcher, (path, weight_dtype))
    return patcher


def _read(source: WeightSource, transformer: dict[str, str]) -> tuple[dict[str, torch.Tensor], dict[str, dict]]:
    """The model's tensors in the one form that every supported host reads, and its quantised layers' settings."""
    read = source.read
    if isinstance(source, SafetensorsFile) and source.path.suffix.lower() in _HOST_ENDINGS:
        # The host has ways of its own to read these without a copy.
        # pyrefly: ignore[bad-assignment] Without metadata it is a dict.
        host_tensors: dict[str, torch.Tensor] = comfy.utils.load_torch_file(str(source.path))
        read = host_tensors.__getitem__
    quantised = find_quantised_layers(source, transformer)
    weights: dict[str, torch.Tensor] = {}
    settings = {}
    for name, stored in transformer.items():
        layer = quantised.get(name)
        layer_name = name.removesuffix(".weight")
        if layer is None:
            weights.update(_plain_or_packed(source.tensors[stored], read(stored), name))
        elif layer.format in comfy.quant_ops.QUANT_ALGOS:
            weights[name] = read(stored)
            weights.update(_parts_of(layer, layer_name, read))
            settings[layer_name] = dict(layer.settings)
        else:
            # Twice the size, but right, where the host is too old for the format.
            weights[name] = read_dense(source, stored, layer).bfloat16()
    return weights, settings


def _plain_or_packed(info: TensorInfo, tensor: torch.Tensor, name: str) -> dict[str, torch.Tensor]:
    """A tensor as it goes into the model; blocks stay packed where a Linear will hold them."""
    if not is_packed(info.kind):
        return {name: tensor}
    if len(info.shape) == 2 and tensor.shape[0] == info.shape[0]:
        return {name: tensor, f"{name.removesuffix('weight')}{KIND}": kind_entry(info.kind)}
    return {name: dequantize(tensor, info.kind).reshape(info.shape)}


def _parts_of(layer: QuantisedLayer, layer_name: str, read: Callable[[str], torch.Tensor]) -> dict[str, torch.Tensor]:
    parts = {part: read(stored) for part, stored in layer.parts.items()}
    # The older layout writes 1 for "none given"; the host would use it as the range of the activations.
    if "input_scale" in parts and parts["input_scale"].numel() == 1 and parts["input_scale"].item() == 1:
        del parts["input_scale"]
    return {
        f"{layer_name}.{part}": tensor.reshape(()) if tensor.numel() == 1 else tensor for part, tensor in parts.items()
    }


def _build(path: str, weights: dict, layers: dict[str, dict], options: dict, disable_dynamic: bool) -> Any:
    load = comfy.sd.load_diffusion_model_state_dict
    extra = {"disable_dynamic": disable_dynamic} if "disable_dynamic" in inspect.signature(load).parameters else {}
    metadata = settings_in_metadata(layers) if layers else {}
    host = f"this ComfyUI ({comfyui_version.__version__})"
    try:
        patcher = load(weights, model_options=options, metadata=metadata, **extra)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        # Running out of memory is the host's to handle, and no fault of the file.
        if isinstance(error, RuntimeError) and not str(error).startswith(_BAD_STATE_DICT):
            raise
        reason = str(error).partition("\n")[0][:200]
        raise LumosXError(
            f"{path}: {host} cannot load it ({type(error).__name__}: {reason}); update ComfyUI, or use the file in "
            "bf16."
        ) from error
    if patcher is None:
        raise LumosXError(f"{path}: {host} does not recognise it as a Wan model; update ComfyUI to 0.3.75 or later.")
    return patcher
