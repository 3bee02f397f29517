"""From plain numbers to the bytes of a kind, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..errors import LumosXError
from .blocks import dequantize, packed_row_bytes
from .gguf_package import require_gguf
from .pieces import row_pieces
from .precision import FP8_KIND, largest_number
from .source import TORCH_KINDS

_FP8_MAX = torch.finfo(torch.float8_e4m3fn).max


def encode(tensor: torch.Tensor, kind: str, where: str, advance: Callable[[int], None]) -> torch.Tensor:
    """A tensor in another kind, without a scale.

    Args:
        tensor: any float type and shape.
        kind: F32, F16, BF16, or a block type that the gguf package can make.
        where: file and tensor, for a message.
        advance: called after each piece with its number of bytes.

    Returns:
        The same shape in the kind's dtype, the tensor itself if it is of the kind already; for blocks uint8
        [*shape[:-1], bytes of a row].

    Raises:
        LumosXError: a number is not finite, or too large for the kind.
    """
    if TORCH_KINDS.get(kind) == tensor.dtype:
        for rows in row_pieces(tensor):
            largest_magnitude(rows, kind, where)
            advance(rows.nbytes)
        return tensor
    dtype = TORCH_KINDS.get(kind, torch.uint8)
    columns = tensor.shape[-1] if kind in TORCH_KINDS else packed_row_bytes(kind, tensor.shape[-1])
    result = torch.empty((*tensor.shape[:-1], columns), dtype=dtype)
    for rows, target in zip(row_pieces(tensor), row_pieces(result, tensor.shape[-1])):
        largest_magnitude(rows, kind, where)
        target.copy_(rows if kind in TORCH_KINDS else _quantize(rows, kind))
        advance(target.nbytes)
    return result


def encode_fp8(tensor: torch.Tensor, where: str, advance: Callable[[int], None]) -> tuple[torch.Tensor, torch.Tensor]:
    """A tensor as e4m3fn and its scale, float32 []: numbers = stored * scale, the largest of them stored as 448.

    Raises:
        LumosXError: a number is not finite.
    """
    largest = max(largest_magnitude(rows, FP8_KIND, where) for rows in row_pieces(tensor))
    scale = torch.tensor(largest, dtype=torch.float32) / _FP8_MAX
    # The scale of all zeros, or of numbers that float32 itself hardly holds, would divide by nothing.
    scale = scale if scale >= torch.finfo(torch.float32).tiny else torch.tensor(1.0)
    result = torch.empty(tensor.shape, dtype=torch.float8_e4m3fn)
    for rows, target in zip(row_pieces(tensor), row_pieces(result)):
        target.copy_(rows.float() / scale)
        advance(target.nbytes)
    return result, scale


def check_blocks(packed: torch.Tensor, kind: str, where: str, advance: Callable[[int], None]) -> None:
    """Refuse blocks that hold numbers which are not finite.

    Raises:
        LumosXError: there are such numbers.
    """
    for rows in row_pieces(packed):
        largest_magnitude(dequantize(rows, kind), "F32", where)
        advance(rows.nbytes)


def largest_magnitude(numbers: torch.Tensor, kind: str, where: str) -> float:
    """The largest magnitude among numbers of any float type.

    Raises:
        LumosXError: one is not finite, or too large for ``kind``.
    """
    low, high = torch.aminmax(numbers.float() if numbers.itemsize == 1 else numbers)
    largest = torch.maximum(-low, high).item()
    if not largest < float("inf"):
        raise LumosXError(f"{where} holds numbers that are not finite; the file is damaged, get it again.")
    if largest > largest_number(kind):
        raise LumosXError(f"{where} holds {largest:.5g}, which is too large for {kind}; convert to bf16 instead.")
    return largest


def _quantize(rows: torch.Tensor, kind: str) -> torch.Tensor:
    gguf = require_gguf()
    # Blocks of numbers next to zero divide by zero in the gguf package; they still come out as zeros.
    with np.errstate(all="ignore"):
        return torch.from_numpy(gguf.quants.quantize(rows.float().numpy(), gguf.GGMLQuantizationType[kind]))
