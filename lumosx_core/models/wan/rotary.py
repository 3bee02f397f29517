"""Wan's rotary position embedding over (time, row, column)."""

from __future__ import annotations

import torch

from .. import rotary

THETA = 10000.0


def rotary_axes(head_dim: int) -> tuple[int, int, int]:
    """Channels of a head that time, rows and columns turn: 44, 42 and 42 of 128."""
    third = 2 * (head_dim // 6)
    return head_dim - 2 * third, third, third


def wan_rotary_table(positions: torch.Tensor, head_dim: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """The rotation of each token and channel pair.

    Args:
        positions: [tokens, 3] integers from 0.
        head_dim: channels of a head.

    Returns:
        [tokens, head_dim / 2] complex64 on ``device``, rotations of magnitude 1.
    """
    return rotary.rotary_table(positions, rotary_axes(head_dim), THETA, device)


def rotate_heads(x: torch.Tensor, heads: int, table: torch.Tensor) -> torch.Tensor:
    """Rotate the channel pairs of every head. ``x`` is [batch, tokens, heads * head_dim]; so is the result."""
    return rotary.apply_rotary(x.unflatten(-1, (heads, -1)), table).flatten(2)
