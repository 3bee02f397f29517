"""The layout of nvfp4 weights, as tensor cores of NVIDIA's Blackwell cards read them, and back to plain numbers.

A byte holds two numbers of e2m1 (a sign, two bits of exponent, one of mantissa), the first of them in the upper half.
16 numbers of a row share a scale in e4m3, and all share one in float32. The scales of 128 rows by 4 blocks are one tile
of 512 bytes, in the order of cuBLAS (its manual, "1D block scaling factors layout"): row r and block b of a tile are at
byte 16 (r mod 32) + 4 (r div 32) + b.
"""

from __future__ import annotations

import torch

from .precision import NVFP4_BLOCK

TILE = 128
"""Rows of a tile of scales."""
_BLOCKS = 4
"""Blocks of a row in such a tile."""
_GROUP = 32
"""Rows of a tile that follow each other in steps of 16 bytes."""
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def scale_shape(rows: int, columns: int) -> tuple[int, int]:
    """The shape of the blocks' scales of a matrix: as many as fill whole tiles."""
    return -(-rows // TILE) * TILE, -(-columns // (_BLOCKS * NVFP4_BLOCK)) * _BLOCKS


def from_nvfp4(stored: torch.Tensor, block_scales: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Plain numbers.

    Args:
        stored: uint8 [rows, columns / 2].
        block_scales: e4m3fn of ``scale_shape``.
        scale: of all, float32 [].

    Returns:
        float32 [rows, columns].
    """
    rows, columns = stored.shape[0], 2 * stored.shape[1]
    blocks = columns // NVFP4_BLOCK
    numbers = torch.tensor([*_E2M1, *(-number for number in _E2M1)])
    scales = _in_order(block_scales)[:, :blocks] * scale
    result = torch.empty(rows, columns)
    for start in range(0, rows, TILE):
        packed = stored[start:start + TILE]
        pairs = torch.stack([packed >> 4, packed & 15], dim=-1)
        # A few rows at a time: what selects them is eight times as large as the bytes.
        unscaled = numbers[pairs.long()].reshape(-1, blocks, NVFP4_BLOCK)
        target = result[start:start + TILE].view(-1, blocks, NVFP4_BLOCK)
        torch.mul(unscaled, scales[start:start + len(packed), :, None], out=target)
    return result


def _in_order(block_scales: torch.Tensor) -> torch.Tensor:
    """The scales as float32, row by row."""
    rows, blocks = block_scales.shape
    tiles = block_scales.float().reshape(rows // TILE, blocks // _BLOCKS, _GROUP, TILE // _GROUP, _BLOCKS)
    return tiles.permute(0, 3, 2, 1, 4).reshape(rows, blocks)
