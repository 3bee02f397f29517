"""Rotary position embedding over (t, y, x), as in Wan2.1."""

from __future__ import annotations

import torch


def precise_dtype(device: torch.device) -> torch.dtype:
    """The dtype to compute angles in: they reach 1000, where float32 has lost four digits of their sine."""
    return torch.float32 if device.type == "mps" else torch.float64


def rotary_table(positions: torch.Tensor, head_dim: int, theta: float = 10000.0) -> torch.Tensor:
    """The rotation of each token and channel pair.

    Args:
        positions: [tokens, 3] integers.
        head_dim: channels of a head, shared out to t, y, x as (d - 4*(d//6), 2*(d//6), 2*(d//6)): 44, 42, 42 of 128.

    Returns:
        [tokens, head_dim / 2] complex64, rotations of magnitude 1.
    """
    dtype = precise_dtype(positions.device)
    third = 2 * (head_dim // 6)
    angles = []
    for axis, channels in enumerate((head_dim - 2 * third, third, third)):
        exponents = torch.arange(0, channels, 2, dtype=dtype, device=positions.device) / channels
        angles.append(positions[:, axis, None].to(dtype) * theta**-exponents)
    angle = torch.cat(angles, dim=1)
    return torch.complex(angle.cos().float(), angle.sin().float())


def apply_rotary(x: torch.Tensor, heads: int, table: torch.Tensor) -> torch.Tensor:
    """Rotate the channel pairs of every head. ``x`` is [batch, tokens, heads * head_dim]; so is the result."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (heads, -1, 2)))
    return torch.view_as_real(pairs * table[:, None]).flatten(2).to(x.dtype)
