"""Cut-outs: what a mask or a box marks in a picture, on white and tightly cropped, as the model was trained with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import LumosXError
from ..packages import opencv, scipy
from .pictures import same_proportions

SOFT = "soft"
TRAINING = "as in training"
EDGES = (SOFT, TRAINING)

# What 8 bits, in which masks are stored, round to 0.
NOTHING = 0.5 / 255
CLEAR = 0.05
"""What a mask clearly keeps is above it: segmentation networks leave 1 or 2 % on what they remove."""
SMALLEST_SIDE = 41
"""Pixels: the shortest side of the release's own cut-outs."""
USUAL_FILL = (0.05, 0.95)
SMALLEST_SHARE = 0.002
_SAME_SHAPE_PERCENT = 1
_LOAD_IMAGE_NONE = (64, 64)

_ROUNDS = 5
# GrabCut cannot be interrupted: a megapixel took up to six seconds.
_MOST_PIXELS = 400_000
_SMALLEST_BOX = 8
_SPECK = 0.02
# Pixels of a soft edge below ``CLEAR`` that belong to what is clearly kept.
_EDGE = 2
# Of the largest part: one pixel of a thing of 23x23. A shoe beside a person is about 1 %.
_STRAY = 0.002


@dataclass(frozen=True)
class Box:
    """A rectangle in a picture, in whole pixels; without width and height it is none."""

    x: int
    y: int
    width: int
    height: int

    def __bool__(self):
        return self.width > 0 or self.height > 0


@dataclass(frozen=True, eq=False)
class CutOut:
    """A thing on white.

    Attributes:
        image: [1, h, w, 3] in [0, 1], with the padding.
        mask: [1, h, w] in [0, 1], 1 where the thing is.
        box: where the picture without padding lay.
        warnings: what is allowed but probably no good reference, one sentence each.
    """

    image: torch.Tensor
    mask: torch.Tensor
    box: Box
    warnings: tuple[str, ...]


def cut_out(image: torch.Tensor, mask: torch.Tensor, edges: str = SOFT, padding: int = 0) -> CutOut:
    """Lay what a mask keeps on white and crop to it.

    What counts is above ``CLEAR`` and its soft edge; parts below a 500th of the largest do not enlarge the crop.

    Args:
        image: [1, H, W, 3] in [0, 1].
        mask: [1, H, W] in [0, 1], as ``fitting_mask`` gives it.
        edges: ``SOFT`` blends with white by the mask; ``TRAINING`` keeps the colour of every pixel that counts, as the
            release's training data was made.
        padding: white pixels to add on every side.

    Raises:
        LumosXError: the mask keeps nothing, or unknown edges.
    """
    if edges not in EDGES:
        raise LumosXError(f"edges: {edges!r} is not known; choose one of {', '.join(EDGES)}.")
    clear = (mask[0] > CLEAR).cpu().numpy()
    if not clear.any():
        faint = f"nowhere above {CLEAR:.0%}" if (mask > NOTHING).any() else "empty"
        raise LumosXError(
            f"mask: it is {faint}, so nothing would be cut out; if it marks what to remove, change invert_mask, "
            "otherwise link the mask of what to keep."
        )
    box = _bounds(_with_edge(_without_strays(clear), mask[0]))
    area = (slice(box.y, box.y + box.height), slice(box.x, box.x + box.width))
    mask = mask[(slice(None), *area)]
    weight = mask if edges == SOFT else _with_edge(clear[area], mask[0])[None].to(image.dtype)
    picture = image[(slice(None), *area)] * weight[..., None] + (1 - weight[..., None])
    margin = (padding,) * 4
    return CutOut(
        torch.nn.functional.pad(picture, (0, 0, *margin), value=1.0),
        torch.nn.functional.pad(mask, margin),
        box,
        tuple(_warnings(mask, box, clear.size, int(clear.sum() - clear[area].sum()))),
    )


def fitting_mask(mask: torch.Tensor, height: int, width: int, invert: bool) -> torch.Tensor:
    """A MASK socket's value as [1, height, width] in [0, 1], 1 where the picture is kept.

    Args:
        mask: [H, W], [1, H, W] or [1, 1, H, W]; of another size it is scaled if its shape is the same within 1 %.
        height, width: of the picture, in pixels.
        invert: the mask is 1 where the picture is removed.

    Raises:
        LumosXError: several masks, another shape, values that are not numbers, or the mask that Load Image sends for a
            picture without transparency.
    """
    if not 2 <= mask.ndim <= 4 or 0 in mask.shape:
        raise LumosXError(f"mask: it has shape {tuple(mask.shape)}; link one mask of shape (1, height, width).")
    mask = mask.reshape(-1, *mask.shape[-2:]).float()
    if len(mask) != 1:
        raise LumosXError(
            f"mask: {len(mask)} masks came in one batch; pick one (Convert Mask to Image, ImageFromBatch, Convert "
            "Image to Mask), or merge them with MaskComposite (add)."
        )
    if not torch.isfinite(mask).all():
        raise LumosXError("mask: it contains values that are not numbers; check the node that made it.")
    own = tuple(mask.shape[1:])
    if own == _LOAD_IMAGE_NONE != (height, width) and not mask.any():
        raise LumosXError(
            "mask: this is the empty 64x64 mask that Load Image sends for a picture without transparency; link a "
            "mask of what to keep, or unlink it and set a box."
        )
    if own != (height, width):
        if not same_proportions((own[1], own[0]), (width, height), _SAME_SHAPE_PERCENT):
            raise LumosXError(
                f"mask: it is {own[1]}x{own[0]} pixels but the image is {width}x{height}, which has other "
                "proportions; link the mask of this image."
            )
        mask = torch.nn.functional.interpolate(
            mask[None], (height, width), mode="bilinear", align_corners=False, antialias=True
        )[0]
    mask = mask.clamp(0, 1)
    return 1 - mask if invert else mask


def estimated_mask(image: torch.Tensor, box: Box) -> torch.Tensor:
    """The mask [1, H, W] of what is in a box, by OpenCV's GrabCut (Rother et al., 2004); the same for the same input.

    Args:
        image: [1, H, W, 3] in [0, 1].
        box: around the thing, with background inside and outside of it.

    Raises:
        LumosXError: no OpenCV, a box that leaves the picture, is too small or leaves no background, or nothing found.
    """
    pixels = (image[0] * 255).round().to(torch.uint8).cpu().numpy()
    height, width = pixels.shape[:2]
    _check_box(box, width, height)
    # Only what is near tells the thing from its background, and more of the picture's detail is kept.
    left, top = max(0, box.x - box.width // 2), max(0, box.y - box.height // 2)
    right, bottom = (min(side, start + size + size // 2) for side, start, size in (
        (width, box.x, box.width), (height, box.y, box.height)
    ))
    inner = Box(box.x - left, box.y - top, box.width, box.height)
    found = _grab_cut(pixels[top:bottom, left:right], inner)
    mask = np.zeros((height, width), np.float32)
    mask[box.y:box.y + box.height, box.x:box.x + box.width] = found[
        inner.y:inner.y + box.height, inner.x:inner.x + box.width
    ]
    if mask.max() <= NOTHING:
        raise LumosXError("box: GrabCut finds nothing in it that differs from its surroundings; link a mask instead.")
    return torch.from_numpy(mask)[None]


def _check_box(box: Box, width: int, height: int) -> None:
    place = f"box: {box.width}x{box.height} at {box.x}, {box.y}"
    if box.x < 0 or box.y < 0 or box.x + box.width > width or box.y + box.height > height:
        raise LumosXError(f"{place} goes beyond the image of {width}x{height} pixels; keep it inside.")
    if min(box.width, box.height) < _SMALLEST_BOX:
        raise LumosXError(f"{place} is too small; box_width and box_height must be {_SMALLEST_BOX} pixels or more.")
    if (box.width, box.height) == (width, height):
        raise LumosXError(f"{place} is the whole image, which leaves no background to compare with; make it smaller.")


def _grab_cut(pixels: np.ndarray, box: Box) -> np.ndarray:
    """[H, W] float32 in [0, 1], with an edge about a pixel wide."""
    cv2 = opencv()
    height, width = pixels.shape[:2]
    scale = min(1.0, (_MOST_PIXELS / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    marks = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    rows, columns = (
        slice(math.ceil(start * scale), int((start + length) * scale))
        for start, length in ((box.y, box.height), (box.x, box.width))
    )
    marks[rows, columns] = cv2.GC_PR_FGD
    # GrabCut starts from random clusters.
    cv2.setRNGSeed(0)
    bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    cv2.grabCut(bgr, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), _ROUNDS, cv2.GC_INIT_WITH_MASK)
    mask = _without_specks(((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)).astype(np.uint8)).astype(np.float32)
    mask = cv2.resize(cv2.GaussianBlur(mask, (0, 0), 1.0), (width, height), interpolation=cv2.INTER_LINEAR)
    # The blur's slope, stretched by the enlargement, made steep again: 0 to 1 in about two pixels.
    return np.clip((mask - 0.5) * max(1.0, 1.25 / scale) + 0.5, 0, 1)


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """Without parts and holes that are far smaller than the largest part."""
    cv2 = opencv()
    for value in (1, 0):
        count, labels, figures, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=4)
        areas = figures[1:, cv2.CC_STAT_AREA]
        least = _SPECK * mask.sum() if not value else _SPECK * areas.max(initial=0)
        small = [label for label in range(1, count) if areas[label - 1] < least]
        mask[np.isin(labels, small)] = 1 - value
    return mask


def _without_strays(clear: np.ndarray) -> np.ndarray:
    """[H, W] bool without the parts that are far smaller than the largest."""
    labels, count = scipy().ndimage.label(clear, np.ones((3, 3)))
    if count == 1:
        return clear
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    return (areas >= _STRAY * areas.max())[labels] & clear


def _with_edge(clear: np.ndarray, mask: torch.Tensor) -> torch.Tensor:
    """[H, W] bool: what is clearly kept, and what a mask [H, W] keeps at all within a few pixels of it."""
    side = 2 * _EDGE + 1
    near = torch.nn.functional.max_pool2d(torch.from_numpy(clear)[None, None].float(), side, 1, _EDGE)[0, 0] > 0
    return near.to(mask.device) & (mask > NOTHING)


def _bounds(kept: torch.Tensor) -> Box:
    rows, columns = (kept.any(dim).nonzero() for dim in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    return Box(left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top)


def _warnings(mask: torch.Tensor, box: Box, pixels: int, outside: int) -> list[str]:
    if mask.numel() == pixels and mask.min() >= 1 - NOTHING:
        return ["The mask covers the whole image and cuts nothing out; link a mask of the thing."]
    found = []
    if outside:
        found.append(
            f"{outside} pixels of the mask are in specks beside the thing and were left out; clean the mask if they "
            "belong to it."
        )
    if min(box.width, box.height) < SMALLEST_SIDE:
        found.append(
            f"The cut-out is {box.width}x{box.height} pixels; below {SMALLEST_SIDE} on the short side, little "
            "likeness is left, so use a larger picture."
        )
    fill = mask.mean().item()
    if not USUAL_FILL[0] <= fill <= USUAL_FILL[1]:
        found.append(
            f"The mask fills {fill:.0%} of its box; from {USUAL_FILL[0]:.0%} to {USUAL_FILL[1]:.0%} is usual, so check "
            "that it marks the thing and nothing else."
        )
    share = mask.sum().item() / pixels
    if share < SMALLEST_SHARE:
        found.append(
            f"The thing covers {share:.2%} of the image, below {SMALLEST_SHARE:.1%}; the mask may be a stray speck."
        )
    return found
