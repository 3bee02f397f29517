"""Any stored tensor as plain numbers."""

from __future__ import annotations

import torch

from ..errors import LumosXError
from .blocks import block_sizes, dequantize, is_packed
from .nvfp4 import from_nvfp4, scale_shape
from .pieces import row_pieces
from .precision import FP8_KIND
from .quantised import FP8_FORMATS, INT8_FORMAT, NVFP4_FORMAT, SCALE, SCALE_OF_ALL, QuantisedLayer
from .source import TensorInfo, WeightSource

FLOAT_KINDS = ("F64", "F32", "F16", "BF16")
_KNOWN_SETTINGS = {"format", "full_precision_matrix_mult"}
"""What may be said of a layer without changing which numbers its weight stands for."""


def read_dense(source: WeightSource, name: str, layer: QuantisedLayer | None = None) -> torch.Tensor:
    """One tensor as plain numbers, on the CPU.

    Args:
        name: in the file.
        layer: how it is quantised, for the weight of such a layer (see ``find_quantised_layers``).

    Returns:
        The logical shape. Float tensors, and fp8 without a scale, come as they are stored (perhaps mapped: do not write
        to them); GGUF's blocks, and weights with scales, as float32.

    Raises:
        LumosXError: the tensor is quantised in another way, holds no floats, or its file is damaged.
    """
    info = source.tensors[name]
    if is_packed(info.kind):
        return _unpack(source.read(name), info.kind).reshape(info.shape)
    if layer is None:
        if info.kind not in FLOAT_KINDS and info.kind not in FP8_FORMATS:
            raise _not_readable(source, name, info.kind)
        return source.read(name)
    if layer.format in (INT8_FORMAT, NVFP4_FORMAT) and layer.settings.keys() - _KNOWN_SETTINGS:
        # A rotated weight has the same kinds and shapes, and would come out as other numbers.
        raise _not_readable(source, name, f"{layer.format} with {min(layer.settings.keys() - _KNOWN_SETTINGS)[:40]}")
    if layer.format == NVFP4_FORMAT:
        return _unpack_nvfp4(source, name, layer)
    kinds = FP8_FORMATS if layer.format in FP8_FORMATS.values() else ("I8",) if layer.format == INT8_FORMAT else ()
    if info.kind not in kinds or SCALE not in layer.parts:
        raise _not_readable(source, name, repr(layer.format[:40]))
    scale = source.read(layer.parts[SCALE]).float()
    if scale.numel() == 1:
        scale = scale.reshape(())
    elif layer.format != INT8_FORMAT or scale.shape != (*info.shape[:1], 1):
        raise _not_readable(source, name, f"{'int8' if kinds == ('I8',) else 'fp8'} with {scale.numel()} scales")
    return source.read(name).float().mul_(scale)


def _unpack(blocks: torch.Tensor, kind: str) -> torch.Tensor:
    """All numbers as float32 [..., columns], a few rows at a time: unpacking needs several times their room."""
    block, block_bytes = block_sizes(kind)
    columns = blocks.shape[-1] // block_bytes * block
    result = torch.empty(*blocks.shape[:-1], columns)
    for piece, target in zip(row_pieces(blocks, columns), row_pieces(result)):
        target.copy_(dequantize(piece, kind))
    return result


def _unpack_nvfp4(source: WeightSource, name: str, layer: QuantisedLayer) -> torch.Tensor:
    stored = [name, *(layer.parts.get(part, "") for part in (SCALE, SCALE_OF_ALL))]
    rows, columns = (logical_info(source, name, layer).shape + (0, 0))[:2]
    expected = [
        TensorInfo("U8", (rows, columns // 2)), TensorInfo(FP8_KIND, scale_shape(rows, columns)), TensorInfo("F32", ()),
    ]
    if [source.tensors.get(part) for part in stored] != expected or "pre_quant_scale" in layer.parts:
        raise _not_readable(source, name, f"{layer.format} in another form than that of ComfyUI 0.33")
    return from_nvfp4(*map(source.read, stored))


def logical_info(source: WeightSource, name: str, layer: QuantisedLayer | None) -> TensorInfo:
    """What a file says of a tensor, with the shape that it has as plain numbers.

    Args:
        name: in the file.
        layer: see ``read_dense``.
    """
    info = source.tensors[name]
    if layer is None or layer.format != NVFP4_FORMAT or len(info.shape) != 2:
        return info
    return TensorInfo(info.kind, (info.shape[0], 2 * info.shape[1]))


def is_plain(source: WeightSource, name: str) -> bool:
    """Whether a tensor's stored numbers are its weights: no blocks, no fp8, no integers."""
    return source.tensors[name].kind in FLOAT_KINDS


def _not_readable(source: WeightSource, name: str, layout: str) -> LumosXError:
    return LumosXError(
        f"{source.path}: {name} is stored as {layout}, which LumosX cannot convert back to weights; use the bf16 file "
        "of the same model."
    )
