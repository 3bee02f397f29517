"""Rotary position embedding over (time, row, column), as in HunyuanVideo."""

from __future__ import annotations

import torch


def rotary_table(
    ids: torch.Tensor, axes_dim: tuple[int, ...], theta: float, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """The rotation of each token and channel pair.

    Angles are computed in float64 on the CPU, since not every device has it. Ids may be negative and fractional.

    Args:
        ids: [tokens, axes] float32, the position on each axis.
        axes_dim: channels of a head that each axis turns; even numbers.

    Returns:
        [tokens, sum(axes_dim) / 2] complex64 on ``device``, rotations of magnitude 1.
    """
    ids = ids.cpu().double()
    angles = torch.cat(
        [
            ids[:, axis, None] * theta ** -(torch.arange(0, channels, 2, dtype=torch.float64) / channels)
            for axis, channels in enumerate(axes_dim)
        ],
        dim=1,
    )
    return torch.complex(angles.cos().float(), angles.sin().float()).to(device)


def apply_rotary(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Rotate neighbouring channel pairs.

    Args:
        x: [batch, tokens, heads, head_dim].
        table: [tokens, head_dim / 2] complex64.

    Returns:
        The shape and dtype of x.
    """
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * table[:, None]).flatten(-2).to(x.dtype)


def video_ids(frames: int, rows: int, columns: int) -> torch.Tensor:
    """The ids of a video's tokens, counted from 0 in the order (time, row, column).

    Returns:
        [frames * rows * columns, 3] float32.
    """
    axes = (torch.arange(n, dtype=torch.float32) for n in (frames, rows, columns))
    return torch.cartesian_prod(*axes).reshape(-1, 3)
