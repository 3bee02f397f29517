"""How near a painted picture comes to the drawing that it should be."""

from __future__ import annotations

import torch


def painted_figures(painted: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Means over pictures.

    Args:
        painted: RGB [n, 3, H, W], about -1..1.
        truth: RGB [n, H, W, 3], uint8.

    Returns:
        ``PSNR`` in dB; ``sharpness``, the mean step between neighbours as a part of the drawing's; ``colour error``,
        the mean difference in 0..255.
    """
    wanted = truth.permute(0, 3, 1, 2).float() / 127.5 - 1
    painted = painted.clamp(-1, 1)
    error = painted - wanted
    squared = (error / 2).square().mean((1, 2, 3))
    return {
        "PSNR": (-10 * squared.log10()).mean().item(),
        "sharpness": (_steps(painted) / _steps(wanted)).mean().item(),
        "colour error": 127.5 * error.abs().mean().item(),
    }


def _steps(pictures: torch.Tensor) -> torch.Tensor:
    """Mean difference of neighbours, of each picture [n]."""
    across, down = pictures.diff(dim=-1).abs(), pictures.diff(dim=-2).abs()
    return across.mean((1, 2, 3)) + down.mean((1, 2, 3))
