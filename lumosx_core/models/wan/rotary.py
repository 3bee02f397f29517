"""Rotary position embedding over (t, y, x), as in Wan2.1."""

from __future__ import annotations

import torch


def rotary_table(
    positions: torch.Tensor, head_dim: int, device: torch.device | str = "cpu", theta: float = 10000.0
) -> torch.Tensor:
    """The rotation of each token and channel pair.

    Angles are computed in float64, on the CPU since not every device has it: one row for each position of an axis,
    gathered on the device.

    Args:
        positions: [tokens, 3] integers from 0, on the CPU.
        head_dim: channels of a head, shared out to t, y, x as (d - 4*(d//6), 2*(d//6), 2*(d//6)): 44, 42, 42 of 128.

    Returns:
        [tokens, head_dim / 2] complex64 on ``device``, rotations of magnitude 1.
    """
    third = 2 * (head_dim // 6)
    parts = []
    for axis, channels in enumerate((head_dim - 2 * third, third, third)):
        frequencies = theta ** -(torch.arange(0, channels, 2, dtype=torch.float64) / channels)
        rows = torch.arange(int(positions[:, axis].max()) + 1, dtype=torch.float64)
        angles = rows[:, None] * frequencies
        rotations = torch.complex(angles.cos().float(), angles.sin().float()).to(device)
        parts.append(rotations[positions[:, axis].to(device)])
    return torch.cat(parts, dim=1)


def apply_rotary(x: torch.Tensor, heads: int, table: torch.Tensor) -> torch.Tensor:
    """Rotate the channel pairs of every head. ``x`` is [batch, tokens, heads * head_dim]; so is the result."""
    pairs = x.float().unflatten(-1, (heads, -1, 2))
    if torch.compiler.is_compiling():
        # Compilers fuse real numbers only; apart from them complex ones are several times faster.
        cosine, sine = torch.view_as_real(table)[:, None].unbind(-1)
        even, odd = pairs.unbind(-1)
        turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * table[:, None])
    return turned.flatten(2).to(x.dtype)
