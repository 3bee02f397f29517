"""How near a painted picture comes to the drawing that it should be."""

from __future__ import annotations

import torch


def painted_figures(painted: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Means over pictures.

    Args:
        painted: RGB [n, 3, H, W], about -1..1.
        truth: the same, of the drawings.

    Returns:
        ``PSNR`` in dB; ``sharpness``, the mean step between neighbours as a part of the drawing's; ``colour error``,
        the mean difference in 0..255.
    """
    painted = painted.clamp(-1, 1)
    error = painted - truth
    squared = (error / 2).square().mean((1, 2, 3))
    return {
        "PSNR": (-10 * squared.log10()).mean().item(),
        "sharpness": (_steps(painted) / _steps(truth)).mean().item(),
        "colour error": 127.5 * error.abs().mean().item(),
    }


def motion_figures(painted: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """Of one clip, both [frames, 3, H, W].

    Returns:
        ``motion``, the mean change from frame to frame as a part of the drawings'; left out if nothing moves in them.
        ``flicker``, the same in 0..255 where the drawings stay as they are.
    """
    change, wanted = (clip.clamp(-1, 1).diff(dim=0).abs().mean(1) for clip in (painted, truth))
    still = wanted == 0
    found = {"flicker": 127.5 * change[still].mean().item()} if still.any() else {}
    return found if bool(still.all()) else found | {"motion": (change.mean() / wanted.mean()).item()}


def _steps(pictures: torch.Tensor) -> torch.Tensor:
    """Mean difference of neighbours, of each picture [n]."""
    across, down = pictures.diff(dim=-1).abs(), pictures.diff(dim=-2).abs()
    return across.mean((1, 2, 3)) + down.mean((1, 2, 3))
