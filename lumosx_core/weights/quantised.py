"""Which layers of a file are quantised in one of ComfyUI's own layouts, and what belongs to each.

The layouts (ComfyUI 0.3.75 and 0.33, comfy/ops.py, comfy/quant_ops.py, comfy/utils.py): the older one of scaled fp8
has ``<layer>.scale_weight`` beside a mark ``scaled_fp8``; the newer one has ``<layer>.weight_scale`` and names the
format in a tensor ``<layer>.comfy_quant`` (JSON as uint8) or in the metadata ``_quantization_metadata``
(JSON: {"format_version", "layers": {layer: {"format": …}}}). In both, weight = stored * scale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import LumosXError
from .source import WeightSource

QUANTIZATION_METADATA = "_quantization_metadata"
FP8_FORMATS = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
"""Kinds of scaled fp8, and ComfyUI's names of them."""
INT8_FORMAT, NVFP4_FORMAT = "int8_tensorwise", "nvfp4"
"""ComfyUI's names of two formats that 0.3.75 does not know."""
SCALE, SCALE_OF_ALL = "weight_scale", "weight_scale_2"
"""Beside a weight; nvfp4 has one scale for each block, and one for all."""

_FULL_PRECISION = {"full_precision_matrix_mult": True}
_MARK = "comfy_quant"
_OLD_MARK = "scaled_fp8"
# The older layout's names, with those of the newer one.
_PARTS = {
    "scale_weight": SCALE,
    "scale_input": "input_scale",
    **{name: name for name in (
        SCALE, "input_scale", SCALE_OF_ALL, "pre_quant_scale", "weight_s_rel", "weight_s_channel",
        "weight_codebook",
    )},
}


def is_sidecar(name: str) -> bool:
    """Whether a name is that of a scale or mark of a quantised layer, and no weight of its own."""
    last = name.rpartition(".")[2]
    return last in _PARTS or last in (_MARK, _OLD_MARK)


def has_sidecars(source: WeightSource, stored: str) -> bool:
    """Whether a file says how the layer of a weight is quantised; ``stored`` is the weight's name in the file."""
    layer = stored.removesuffix("weight")
    return any(f"{layer}{part}" in source.tensors for part in (*_PARTS, _MARK))


def settings_in_metadata(layers: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    """The metadata that says how layers are quantised: layer name to settings such as ``{"format": …}``."""
    return {QUANTIZATION_METADATA: json.dumps({"format_version": "1.0", "layers": layers})}


@dataclass(frozen=True)
class QuantisedLayer:
    """One layer's quantisation.

    Attributes:
        settings: as ComfyUI's newer layout has them, ``{"format": …}`` at least.
        parts: scales and the like, under the newer layout's names, each with its name in the file.
    """

    settings: Mapping[str, object]
    parts: Mapping[str, str]

    @property
    def format(self) -> str:
        """ComfyUI's name of the format."""
        return str(self.settings["format"])


def find_quantised_layers(source: WeightSource, transformer: Mapping[str, str]) -> dict[str, QuantisedLayer]:
    """The quantised layers of a transformer, by the name of their weight.

    Args:
        transformer: Wan's name of each tensor to its name in the file.

    Raises:
        LumosXError: what the file says cannot be read, or weights and scales do not fit each other.
    """
    said = _said_in_metadata(source)
    found, unscaled = {}, []
    for name, stored in transformer.items():
        if name.endswith(".weight"):
            layer = _layer_of(source, name, stored, said)
            if layer is not None:
                found[name] = layer
            elif source.tensors[stored].kind in FP8_FORMATS:
                unscaled.append(stored)
    if unscaled and any(layer.format in FP8_FORMATS.values() for layer in found.values()):
        raise _without_scale(source, unscaled[0])
    return found


def _layer_of(source: WeightSource, name: str, stored: str, said: Mapping[str, object]) -> QuantisedLayer | None:
    layer, kind = stored.removesuffix(".weight"), source.tensors[stored].kind
    parts = {new: f"{layer}.{old}" for old, new in _PARTS.items() if f"{layer}.{old}" in source.tensors}
    settings = _said_beside(source, layer) or said.get(layer) or said.get(name.removesuffix(".weight"))
    if settings is None:
        if SCALE not in parts:
            return None
        if kind not in FP8_FORMATS:
            raise LumosXError(
                f"{source.path}: {parts[SCALE]} scales a weight that is {kind}, no fp8, in a layout that the file does "
                "not name; take the bf16 file of the same model."
            )
        prefix = stored.removesuffix(name)
        settings = {"format": FP8_FORMATS[kind], **_precision_of(source, prefix)}
    if not isinstance(settings, dict) or not isinstance(settings.get("format"), str):
        raise _unreadable(source, layer, "it names no format")
    if settings["format"] in FP8_FORMATS.values():
        if SCALE not in parts:
            raise _without_scale(source, stored)
        if kind not in FP8_FORMATS:
            raise LumosXError(f"{source.path}: {stored} should be fp8 but is {kind}; get the file again.")
    return QuantisedLayer(settings, parts)


def _precision_of(source: WeightSource, prefix: str) -> dict[str, bool]:
    """The older layout's mark has two elements if the file requests matrix products in full precision."""
    mark = source.tensors.get(f"{prefix}{_OLD_MARK}")
    return _FULL_PRECISION if mark is not None and mark.shape == (2,) else {}


def _said_in_metadata(source: WeightSource) -> Mapping[str, object]:
    text = source.metadata.get(QUANTIZATION_METADATA)
    if text is None:
        return {}
    try:
        layers = json.loads(text)["layers"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _unreadable(source, QUANTIZATION_METADATA, type(error).__name__) from error
    if not isinstance(layers, dict):
        raise _unreadable(source, QUANTIZATION_METADATA, "it lists no layers")
    return layers


def _said_beside(source: WeightSource, layer: str) -> object:
    mark = f"{layer}.{_MARK}"
    if mark not in source.tensors:
        return None
    try:
        return json.loads(source.read(mark).numpy().tobytes())
    except (ValueError, TypeError, RecursionError) as error:
        raise _unreadable(source, mark, type(error).__name__) from error


def _without_scale(source: WeightSource, stored: str) -> LumosXError:
    return LumosXError(f"{source.path}: {stored} is scaled fp8, but its scale is missing; get the file again.")


def _unreadable(source: WeightSource, where: str, reason: str) -> LumosXError:
    return LumosXError(
        f"{source.path}: what it says about the quantisation of {where[:80]} cannot be read ({reason}); get it again."
    )
