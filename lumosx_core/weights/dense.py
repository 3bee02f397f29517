"""Any stored tensor as plain numbers.

ComfyUI reads scaled fp8 in two layouts: the older has ``<layer>.scale_weight`` and a mark ``scaled_fp8``; the newer has
``<layer>.weight_scale`` and names the format in a tensor ``<layer>.comfy_quant`` (JSON as uint8) or in the metadata
``_quantization_metadata`` (JSON: {"format_version", "layers": {layer: {"format": …}}}). In both (ComfyUI
0.3.75, comfy/ops.py and quant_ops.py) weight = stored * scale.
"""

from __future__ import annotations

import json

import torch

from ..errors import LumosXError
from .blocks import dequantize, is_packed
from .source import WeightSource

QUANTIZATION_METADATA = "_quantization_metadata"
_FLOAT_KINDS = ("F64", "F32", "F16", "BF16")
_FP8_KINDS = ("F8_E4M3", "F8_E5M2")
_FP8_FORMATS = ("float8_e4m3fn", "float8_e5m2")
_SCALES = ("scale_weight", "weight_scale")
_SIDECARS = frozenset({
    *_SCALES, "scale_input", "input_scale", "weight_scale_2", "comfy_quant", "scaled_fp8", "pre_quant_scale",
    "weight_s_rel", "weight_s_channel", "weight_codebook",
})


def is_sidecar(name: str) -> bool:
    """Whether a name is that of a scale or mark of a quantised layer, and no weight of its own."""
    return name.rpartition(".")[2] in _SIDECARS


def read_dense(source: WeightSource, name: str) -> torch.Tensor:
    """One tensor as plain numbers, on the CPU.

    Returns:
        The logical shape. Float tensors, and fp8 without a scale, come as they are stored (perhaps mapped: do not write
        to them); GGUF's blocks and scaled fp8 as float32.

    Raises:
        LumosXError: the tensor is quantised in another way, holds no floats, or its file is damaged.
    """
    info = source.tensors[name]
    if is_packed(info.kind):
        return dequantize(source.read(name), info.kind).reshape(info.shape)
    layer = name.rpartition(".")[0]
    layout = _quantized_format(source, layer) if info.kind not in _FLOAT_KINDS else None
    if layout is not None and layout not in _FP8_FORMATS:
        raise _not_readable(source, name, layout)
    if info.kind not in _FLOAT_KINDS + _FP8_KINDS:
        raise _not_readable(source, name, info.kind)
    weight = source.read(name)
    scale = _scale_name(source, name, layer) if info.kind in _FP8_KINDS else None
    return weight if scale is None else weight.float().mul_(_read_scale(source, name, scale))


def is_plain(source: WeightSource, name: str) -> bool:
    """Whether a tensor's stored numbers are its weights: no blocks, no fp8, no integers."""
    return source.tensors[name].kind in _FLOAT_KINDS


def _scale_name(source: WeightSource, name: str, layer: str) -> str | None:
    if not name.endswith(".weight"):
        return None
    return next((scale for end in _SCALES if (scale := f"{layer}.{end}") in source.tensors), None)


def _read_scale(source: WeightSource, name: str, scale_name: str) -> torch.Tensor:
    """The scale of a whole tensor, float32 []."""
    scale = source.read(scale_name)
    if scale.numel() != 1:
        raise _not_readable(source, name, f"fp8 with {scale.numel()} scales")
    return scale.reshape(()).float()


def _quantized_format(source: WeightSource, layer: str) -> str | None:
    """What the file says about how a layer is quantised."""
    mark = f"{layer}.comfy_quant"
    try:
        if mark in source.tensors:
            return json.loads(source.read(mark).numpy().tobytes())["format"]
        layers = json.loads(source.metadata.get(QUANTIZATION_METADATA, '{"layers": {}}'))["layers"]
        return layers[layer]["format"] if layer in layers else None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LumosXError(
            f"{source.path}: what it says about the quantisation of {layer} cannot be read ({error!r}); get the file "
            "again."
        ) from error


def _not_readable(source: WeightSource, name: str, layout: str) -> LumosXError:
    return LumosXError(
        f"{source.path}: {name} is stored as {layout}, which LumosX cannot turn back into weights; take the bf16 file "
        "of the same model."
    )
