"""Weights in int8 and nvfp4 as ComfyUI's own quantisation stores them, made by the package comfy-kitchen.

The package multiplies in these layouts too, so its own functions make the bytes that it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import torch

from ..packages import too_old, usable
from .encode import largest_magnitude
from .nvfp4 import TILE, scale_shape
from .pieces import row_pieces

_NVFP4_RANGE = torch.finfo(torch.float8_e4m3fn).max * 6.0
"""The largest scale of a block times the largest number of e2m1."""
_FIRST_WITH_BOTH = "0.2.31"
"""What ComfyUI 0.33 asks for."""


def require_kitchen() -> ModuleType:
    """The package comfy-kitchen.

    Raises:
        LumosXError: it is not installed, cannot be imported, or is too old.
    """
    purpose = "int8 and nvfp4 files need a package: "
    with usable("comfy_kitchen", purpose):
        import comfy_kitchen
    if not hasattr(comfy_kitchen, "quantize_int8_rowwise") or not hasattr(comfy_kitchen, "quantize_nvfp4"):
        version = getattr(comfy_kitchen, "__version__", "")
        raise too_old("comfy_kitchen", "quantize_int8_rowwise", version, _FIRST_WITH_BOTH, purpose)
    return comfy_kitchen


def encode_int8(tensor: torch.Tensor, where: str, advance: Callable[[int], None]) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix [rows, columns] as int8 with one scale a row, float32 [rows, 1]: numbers = stored * scale.

    Args:
        where: file and tensor, for a message.
        advance: called after each piece with its number of bytes.

    Raises:
        LumosXError: a number is not finite, or the package cannot be used.
    """
    kitchen = require_kitchen()
    stored = torch.empty(tensor.shape, dtype=torch.int8)
    scale = torch.empty(tensor.shape[0], 1)
    for rows, target, scales in zip(row_pieces(tensor), row_pieces(stored), row_pieces(scale, tensor.shape[-1])):
        largest_magnitude(rows, "F32", where)
        numbers, its_scales = kitchen.quantize_int8_rowwise(rows.float())
        target.copy_(numbers)
        scales.copy_(its_scales)
        advance(target.nbytes)
    return stored, scale


def encode_nvfp4(
    tensor: torch.Tensor, where: str, advance: Callable[[int], None]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A matrix [rows, columns] as pairs of e2m1, with a scale for each block of 16 and one for all.

    Args:
        tensor: rows and columns are whole multiples of ``precision.NVFP4_BLOCK``.
        where: file and tensor, for a message.
        advance: called after each piece with its number of bytes.

    Returns:
        uint8 [rows, columns / 2]; e4m3fn of ``nvfp4.scale_shape``, in the order of the tensor cores; float32 []. A
        number is stored * block's scale * scale of all.

    Raises:
        LumosXError: a number is not finite, or the package cannot be used.
    """
    kitchen = require_kitchen()
    rows, columns = tensor.shape
    largest = max(largest_magnitude(piece, "F32", where) for piece in row_pieces(tensor))
    scale = torch.tensor(largest, dtype=torch.float32) / _NVFP4_RANGE
    # The scale of all zeros, or of numbers that float32 itself hardly holds, would divide by nothing.
    scale = scale if scale >= torch.finfo(torch.float32).tiny else torch.tensor(1.0)
    stored = torch.empty(rows, columns // 2, dtype=torch.uint8)
    blocks = torch.empty(scale_shape(rows, columns), dtype=torch.float8_e4m3fn)
    for start in range(0, rows, TILE):
        piece = slice(start, start + TILE)
        stored[piece], blocks[piece] = kitchen.quantize_nvfp4(tensor[piece].float(), scale)
        advance(stored[piece].nbytes)
    return stored, blocks, scale

