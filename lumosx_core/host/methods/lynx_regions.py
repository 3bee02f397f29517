"""Where in a video a person acts: pixels of a mask and rows of a batch as a mask over tokens. Untrained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from ...errors import LumosXError
from ...models.latents import token_grid
from ...models.wan.config import WAN21_LATENT
from ...models.wan.module import WanModule
from .lynx_run import LynxRun


def region_of_tokens(
    region: torch.Tensor | None, rows: Collection[int] | None, model: WanModule, x: torch.Tensor, run: LynxRun,
    options: Mapping[str, Any],
) -> torch.Tensor | None:
    """[batch or 1, tokens, 1] in [0, 1]; None for everywhere.

    Args:
        region: a mask of the video in pixels; None is everywhere.
        rows: of the batch; None is all.
        model: the transformer, for the size of its patches.
        x: what it is given, [batch, channels, frames, height, width].
        options: the transformer options of this forward.

    Raises:
        LumosXError: the mask has another number of pictures than the video.
    """
    if region is None and rows is None:
        return None
    grid = token_grid(x.shape, model.patch_size)
    mask = torch.ones(1, grid[0] * grid[1] * grid[2], 1)
    if region is not None:
        frames = _latent_frames(region, run.frames)
        window = options.get("context_window")
        if window is not None and len(frames) > 1:
            # Later hosts put the frame before a window in front of it.
            anchor = getattr(window, "causal_anchor_index", None)
            frames = frames[([] if anchor is None else [anchor]) + list(window.index_list)]
        if len(frames) not in (1, grid[0]):
            raise LumosXError(
                f"mask: another node hands the model {grid[0]} frames of a video of {run.frames}, so it is not known "
                "which pictures of the mask belong to them; use a mask of one picture."
            )
        areas = F.interpolate(frames[:, None].float(), size=grid[1:], mode="area")[:, 0]
        mask = areas.expand(grid[0], -1, -1).reshape(1, -1, 1)
    if rows is not None:
        # Conditionings that run together have the whole batch each.
        batch = len(x) // max(1, len(options.get("cond_or_uncond", [0])))
        chosen = torch.tensor([row % batch in rows for row in range(len(x))])
        mask = mask * chosen[:, None, None]
    return mask.to(x.device)


def _latent_frames(region: torch.Tensor, frames: int) -> torch.Tensor:
    """Pictures of a mask [n, height, width] as one for each latent frame, or as the one that there is."""
    pixels = WAN21_LATENT.video_frames(frames)
    if len(region) in (1, frames):
        return region
    if len(region) != pixels:
        raise LumosXError(
            f"mask: it has {len(region)} pictures, but the video has {pixels} frames; use one picture, or one for each "
            "frame."
        )
    # The first latent frame stands for one frame, every other for four.
    later = region[1:].unflatten(0, (-1, WAN21_LATENT.frame_stride)).mean(dim=1)
    return torch.cat([region[:1], later])
