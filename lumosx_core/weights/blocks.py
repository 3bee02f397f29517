"""GGML's quantised blocks as torch tensors.

The layouts are those of the public GGUF format (ggml's ``block_q8_0`` … ``block_iq4_xs``); the reference is
``gguf.quants.dequantize``, which every function here meets bit for bit in float32. Products of a block's numbers are
exact in float32, so fusing them changes nothing, and the last operation rounds once, straight into the wanted dtype.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..errors import LumosXError

_LEVELS = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""What the 16 numbers of the IQ4 types stand for."""


_SIZES = {
    "Q8_0": (32, 34), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q2_K": (256, 84),
    "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210), "IQ4_NL": (32, 18),
    "IQ4_XS": (256, 136),
}
"""Numbers and bytes of one block."""

BLOCK_KINDS = tuple(_SIZES)
"""Every block type that can be read."""


def is_packed(kind: str) -> bool:
    """Whether a kind is a block type that can be read."""
    return kind in _SIZES


def packed_row_bytes(kind: str, columns: int) -> int:
    """Bytes of a row of ``columns`` numbers.

    Raises:
        LumosXError: no block type that can be read, or a row that is not a whole number of blocks.
    """
    size, block_bytes = block_sizes(kind)
    if columns % size:
        raise LumosXError(f"{kind}: a row of {columns} numbers is not a multiple of {size}; store it as F16 instead.")
    return columns // size * block_bytes


def dequantize(packed: torch.Tensor, kind: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """The numbers of a tensor of blocks, on the tensor's own device.

    Args:
        packed: uint8 [..., bytes of a row].
        kind: a block type, such as ``Q8_0``.
        dtype: of the result, a float type; narrower ones are the float32 result rounded once.

    Returns:
        [..., columns]. A block whose scale is infinite or NaN gives infinite numbers or NaN, as the format has it.

    Raises:
        LumosXError: no block type that can be read, or rows of another length.
    """
    _, block_bytes = block_sizes(kind)
    if packed.shape[-1] % block_bytes:
        raise LumosXError(
            f"{kind}: a row of {packed.shape[-1]} bytes is not a multiple of {block_bytes}; the file is damaged, get "
            "it again."
        )
    return _READERS[kind](packed.unflatten(-1, (-1, block_bytes)), dtype).flatten(-2)


def block_sizes(kind: str) -> tuple[int, int]:
    """Numbers and bytes of one block.

    Raises:
        LumosXError: no block type that can be read.
    """
    if not is_packed(kind):
        raise LumosXError(f"{kind}: this kind of block cannot be read; use a file in one of {', '.join(BLOCK_KINDS)}.")
    return _SIZES[kind]


# Each reader takes uint8 [..., blocks, bytes of a block] and gives [..., blocks, numbers of a block].


def _q8_0(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, numbers = blocks.tensor_split((2,), -1)
    return _scaled(_half(scale), numbers.view(torch.int8), dtype)


def _q4_0(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, numbers = blocks.tensor_split((2,), -1)
    return _scaled(_half(scale), _centred(_fields(numbers, 4).flatten(-2), 8), dtype)


def _q4_1(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, minimum, numbers = blocks.tensor_split((2, 4), -1)
    return _shifted(_half(scale), _fields(numbers, 4).flatten(-2), _half(minimum), dtype)


def _q5_0(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, fifth, numbers = blocks.tensor_split((2, 6), -1)
    return _scaled(_half(scale), _centred(_five_bits(fifth, numbers), 16), dtype)


def _q5_1(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, minimum, fifth, numbers = blocks.tensor_split((2, 4, 8), -1)
    return _shifted(_half(scale), _five_bits(fifth, numbers), _half(minimum), dtype)


def _q2_k(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    inner, numbers, scale, minimum = blocks.tensor_split((16, 80, 82), -1)
    numbers = _fields(numbers.unflatten(-1, (2, 32)), 2).flatten(-3).unflatten(-1, (16, 16))
    scales = (_half(scale) * (inner & 15)).unsqueeze(-1)
    minima = (_half(minimum) * (inner >> 4)).unsqueeze(-1)
    return _shifted(scales, numbers, -minima, dtype).flatten(-2)


def _q3_k(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    third, numbers, inner, scale = blocks.tensor_split((32, 96, 108), -1)
    numbers = _fields(numbers.unflatten(-1, (2, 32)), 2).flatten(-3)
    numbers = _centred(numbers | _fields(third, 1).flatten(-2) << 2, 4).unflatten(-1, (16, 16))
    low, high = inner.tensor_split((8,), -1)
    inner = _centred(_fields(low, 4).flatten(-2) | _fields(high, 2).flatten(-2) << 4, 32)
    return _scaled((_half(scale) * inner).unsqueeze(-1), numbers, dtype).flatten(-2)


def _q4_k(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, minimum, inner, numbers = blocks.tensor_split((2, 4, 16), -1)
    numbers = _fields(numbers.unflatten(-1, (4, 32)), 4).flatten(-3, -2)
    scales, minima = _inner_scales(scale, minimum, inner)
    return _shifted(scales, numbers, -minima, dtype).flatten(-2)


def _q5_k(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, minimum, inner, fifth, numbers = blocks.tensor_split((2, 4, 16, 48), -1)
    numbers = _fields(numbers.unflatten(-1, (4, 32)), 4).flatten(-3, -2) | _fields(fifth, 1) << 4
    scales, minima = _inner_scales(scale, minimum, inner)
    return _shifted(scales, numbers, -minima, dtype).flatten(-2)


def _q6_k(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    low, high, inner, scale = blocks.tensor_split((128, 192, 208), -1)
    low = _fields(low.unflatten(-1, (2, 64)), 4).flatten(-3)
    high = _fields(high.unflatten(-1, (2, 32)), 2).flatten(-3)
    scales = (_half(scale) * inner.view(torch.int8)).unsqueeze(-1)
    return _scaled(scales, _centred(low | high << 4, 32).unflatten(-1, (16, 16)), dtype).flatten(-2)


def _iq4_nl(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, numbers = blocks.tensor_split((2,), -1)
    return _scaled(_half(scale), _levels(_fields(numbers, 4).flatten(-2)), dtype)


def _iq4_xs(blocks: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    scale, high, low, numbers = blocks.tensor_split((2, 4, 8), -1)
    numbers = _fields(numbers.unflatten(-1, (8, 16)), 4).flatten(-2)
    inner = _centred(_bytewise_fields(low, 4) | _bytewise_fields(high, 2) << 4, 32)
    return _scaled((_half(scale) * inner).unsqueeze(-1), _levels(numbers), dtype).flatten(-2)


_READERS: dict[str, Callable[[torch.Tensor, torch.dtype], torch.Tensor]] = {
    "Q8_0": _q8_0, "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q2_K": _q2_k, "Q3_K": _q3_k,
    "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k, "IQ4_NL": _iq4_nl, "IQ4_XS": _iq4_xs,
}


def _half(two_bytes: torch.Tensor) -> torch.Tensor:
    """float16 from its bytes, as float32 [..., 1]."""
    return two_bytes.view(torch.float16).float()


def _fields(packed: torch.Tensor, bits: int) -> torch.Tensor:
    """Bit fields of bytes: uint8 [..., bytes] to [..., 8 / bits, bytes], the lowest bits first."""
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=packed.device)
    return (packed.unsqueeze(-2) >> shifts.unsqueeze(-1)) & (2**bits - 1)


def _bytewise_fields(packed: torch.Tensor, bits: int) -> torch.Tensor:
    """The same with all fields of a byte side by side: uint8 [..., bytes] to [..., 8 / bits * bytes]."""
    return _fields(packed.unsqueeze(-1), bits).flatten(-3)


def _centred(numbers: torch.Tensor, offset: int) -> torch.Tensor:
    """uint8 below 128 as int8 around zero."""
    return numbers.view(torch.int8) - offset


def _five_bits(fifth: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Numbers of Q5_0 and Q5_1: four bits each in 16 bytes, and the fifth bits of all in four bytes."""
    return _fields(numbers, 4).flatten(-2) | _bytewise_fields(fifth, 1) << 4


def _inner_scales(
    scale: torch.Tensor, minimum: torch.Tensor, packed: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales and minima of the 8 sub-blocks of Q4_K and Q5_K, float32 [..., 8, 1]; six bits of each in 12 bytes."""
    first, second, third = packed.unflatten(-1, (3, 4)).unbind(-2)
    scales = torch.cat((first & 63, third & 15 | first >> 6 << 4), -1)
    minima = torch.cat((second & 63, third >> 4 | second >> 6 << 4), -1)
    return (_half(scale) * scales).unsqueeze(-1), (_half(minimum) * minima).unsqueeze(-1)


def _levels(numbers: torch.Tensor) -> torch.Tensor:
    # Not waiting for this small copy lets the GPU's queue run on.
    levels = torch.tensor(_LEVELS, dtype=torch.int8).to(numbers.device, non_blocking=True)
    return levels[numbers.int()]


def _scaled(scale: torch.Tensor, numbers: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """scale * numbers, computed in float32 and rounded to ``dtype`` in one go."""
    return torch.mul(scale, numbers, out=torch.empty(numbers.shape, dtype=dtype, device=numbers.device))


def _shifted(scale: torch.Tensor, numbers: torch.Tensor, shift: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """scale * numbers + shift, computed in float32 and rounded to ``dtype`` in one go."""
    return torch.add(scale * numbers, shift, out=torch.empty(numbers.shape, dtype=dtype, device=numbers.device))
