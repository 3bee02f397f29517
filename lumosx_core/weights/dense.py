"""Any stored tensor as plain numbers."""

from __future__ import annotations

import torch

from ..errors import LumosXError
from .blocks import block_sizes, dequantize, is_packed
from .pieces import row_pieces
from .quantised import FP8_FORMATS, SCALE, QuantisedLayer
from .source import WeightSource

FLOAT_KINDS = ("F64", "F32", "F16", "BF16")


def read_dense(source: WeightSource, name: str, layer: QuantisedLayer | None = None) -> torch.Tensor:
    """One tensor as plain numbers, on the CPU.

    Args:
        name: in the file.
        layer: how it is quantised, for the weight of such a layer (see ``find_quantised_layers``).

    Returns:
        The logical shape. Float tensors, and fp8 without a scale, come as they are stored (perhaps mapped: do not write
        to them); GGUF's blocks and scaled fp8 as float32.

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
    if layer.format not in FP8_FORMATS.values() or info.kind not in FP8_FORMATS:
        raise _not_readable(source, name, repr(layer.format[:40]))
    scale = source.read(layer.parts[SCALE])
    if scale.numel() != 1:
        raise _not_readable(source, name, f"fp8 with {scale.numel()} scales")
    return source.read(name).float().mul_(scale.reshape(()).float())


def _unpack(blocks: torch.Tensor, kind: str) -> torch.Tensor:
    """All numbers as float32 [..., columns], a few rows at a time: unpacking needs several times their room."""
    block, block_bytes = block_sizes(kind)
    columns = blocks.shape[-1] // block_bytes * block
    result = torch.empty(*blocks.shape[:-1], columns)
    for piece, target in zip(row_pieces(blocks, columns), row_pieces(result)):
        target.copy_(dequantize(piece, kind))
    return result


def is_plain(source: WeightSource, name: str) -> bool:
    """Whether a tensor's stored numbers are its weights: no blocks, no fp8, no integers."""
    return source.tensors[name].kind in FLOAT_KINDS


def _not_readable(source: WeightSource, name: str, layout: str) -> LumosXError:
    return LumosXError(
        f"{source.path}: {name} is stored as {layout}, which LumosX cannot convert back to weights; use the bf16 file "
        "of the same model."
    )
