"""Rotary position embedding: neighbouring channels of a head as pairs that positions turn."""

from __future__ import annotations

import torch


def rotary_table(
    ids: torch.Tensor, axes_dim: tuple[int, ...], theta: float, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """The rotation of each token and channel pair.

    Angles are computed in float64 on the CPU, since not every device has it: a row for each position of an axis,
    gathered on the device.

    Args:
        ids: [tokens, axes], the position on each axis: integers from 0, or floats that may be negative and fractional.
        axes_dim: channels of a head that each axis turns; even numbers.
        theta: base of the frequencies.

    Returns:
        [tokens, sum(axes_dim) / 2] complex64 on ``device``, rotations of magnitude 1.
    """
    parts = []
    for axis, channels in enumerate(axes_dim):
        frequencies = theta ** -(torch.arange(0, channels, 2, dtype=torch.float64) / channels)
        positions, place = _positions(ids[:, axis].cpu())
        angles = positions.double()[:, None] * frequencies
        rotations = torch.complex(angles.cos().float(), angles.sin().float()).to(device)
        parts.append(rotations[place.to(device)])
    return torch.cat(parts, dim=1)


def _positions(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The positions of an axis, and the place of each token's among them."""
    if ids.is_floating_point():
        return ids.unique(return_inverse=True)
    # Nearly all integers occur, and finding the others takes longer than their sines.
    return torch.arange(int(ids.max()) + 1), ids


def apply_rotary(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring channel pairs.

    Args:
        x: [batch, tokens, heads, head_dim].
        table: [tokens, head_dim / 2] complex64.

    Returns:
        The shape and dtype of x.
    """
    pairs = x.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        # Compilers fuse real numbers only; apart from them complex ones are several times faster.
        cosine, sine = torch.view_as_real(table)[:, None].unbind(-1)
        even, odd = pairs.unbind(-1)
        turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * table[:, None])
    return turned.flatten(-2).to(x.dtype)


def video_ids(frames: int, rows: int, columns: int) -> torch.Tensor:
    """The ids of a video's tokens, counted from 0 in the order (time, row, column).

    Returns:
        [frames * rows * columns, 3] float32.
    """
    axes = (torch.arange(n, dtype=torch.float32) for n in (frames, rows, columns))
    return torch.cartesian_prod(*axes).reshape(-1, 3)
