"""Cutting a window out of a video, and putting what was made of it back with a soft edge."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from .tracks import Box
from .windows import Window


def cut_out(images: torch.Tensor, window: Window, frames: range, size: tuple[int, int]) -> torch.Tensor:
    """RGB [n, h, w, 3] of a window, resized.

    Args:
        images: [F, H, W, 3 or 4] in [0, 1].
        window: with a corner for each of ``frames``.
        size: width and height of the result.
    """
    pictures = [
        images[frame, top:top + window.height, left:left + window.width, :3]
        for frame, (left, top) in zip(frames, window.corners, strict=True)
    ]
    return resized(torch.stack(pictures), size)


def resized(pictures: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Pictures [n, h, w, 3] in [0, 1] in another width and height; the same ones where it is theirs."""
    width, height = size
    if pictures.shape[1:3] == (height, width):
        return pictures
    channels_first = pictures.float().movedim(-1, 1)
    made = F.interpolate(channels_first, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return made.movedim(1, -1).clamp(0, 1)


def ellipses(boxes: Sequence[Box], window: Window, grow: float) -> torch.Tensor:
    """Masks [n, h, w] of ellipses in a window, 0 or 1.

    Args:
        boxes: in pixels of the video, one for each corner of the window.
        grow: how much larger than the box an ellipse is, as a share of the box's sides, half of it on each side.
    """
    rows, columns = torch.arange(window.height)[:, None] + 0.5, torch.arange(window.width)[None] + 0.5
    masks = []
    for (left, top, right, bottom), (x, y) in zip(boxes, window.corners, strict=True):
        across, down = max((right - left) * (1 + grow) / 2, 0.5), max((bottom - top) * (1 + grow) / 2, 0.5)
        from_x, from_y = columns - ((left + right) / 2 - x), rows - ((top + bottom) / 2 - y)
        masks.append(((from_x / across) ** 2 + (from_y / down) ** 2 <= 1).float())
    return torch.stack(masks)


def softened(masks: torch.Tensor, feather: int, window: Window, width: int, height: int) -> torch.Tensor:
    """Weights [n, h, w] in [0, 1]: 1 in a mask, from there down to 0 at ``feather`` pixels outside of it.

    They are 0 at those edges of the window that are not edges of the video, which is width x height pixels.
    """
    weights = masks.float()
    if feather > 0:
        reach = max(1, feather // 2)
        grown = F.max_pool2d(weights[:, None], 2 * reach + 1, 1, reach)
        weights = F.avg_pool2d(grown, 2 * reach + 1, 1, reach, count_include_pad=False)[:, 0]
    return weights * torch.stack([_edge(window, corner, feather, width, height) for corner in window.corners])


def paste(picture: torch.Tensor, made: torch.Tensor, weights: torch.Tensor, corner: tuple[int, int]) -> None:
    """Write into a picture; where weights are 0 not a bit of it changes.

    Args:
        picture: [H, W, 3 or 4], changed in place; a fourth channel stays.
        made: [h, w, 3].
        weights: [h, w].
        corner: left and top.
    """
    left, top = corner
    height, width = weights.shape
    there = picture[top:top + height, left:left + width, :3]
    mixed = torch.lerp(there.float(), made.to(there.device).float(), weights.to(there.device)[..., None])
    there.copy_(torch.where(weights.to(there.device)[..., None] > 0, mixed.to(there.dtype), there))


def _edge(window: Window, corner: tuple[int, int], feather: int, width: int, height: int) -> torch.Tensor:
    left, top = corner
    across = _ramp(window.width, feather, left > 0, left + window.width < width)
    down = _ramp(window.height, feather, top > 0, top + window.height < height)
    return down[:, None] * across[None]


def _ramp(count: int, feather: int, at_start: bool, at_end: bool) -> torch.Tensor:
    steps = torch.arange(count, dtype=torch.float32)
    ramp = torch.ones(count)
    if at_start:
        ramp = ramp.minimum(steps / (feather + 1))
    if at_end:
        ramp = ramp.minimum(steps.flip(0) / (feather + 1))
    return ramp
