"""The segmentation gate: which segment of a frame becomes a subject's crop (paper section 3).

Grounding gives a box for each phrase and a segmenter gives masks inside of it. The largest object counts, and only if
CLIP agrees that it looks like its phrase. Boxes, masks and similarities come from any model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...errors import LumosXError

LEAST_SIMILARITY = 0.2
"""A start for cosines of CLIP ViT-L/14 between a segment and its phrase; the paper gives no number."""
BoxSides = Sequence[float]
"""Left, top, right, bottom in pixels; right and bottom are outside."""


@dataclass(frozen=True)
class GateVerdict:
    """What becomes of one box.

    Attributes:
        mask: the index of its largest object; None if there is no object inside the box.
        area: pixels of that object inside the box.
        kept: whether it becomes a crop.
        reason: why not; empty if it is kept.
    """

    mask: int | None
    area: int
    kept: bool
    reason: str = ""


def largest_object(box: BoxSides, masks: torch.Tensor) -> tuple[int | None, int]:
    """The mask with the largest area inside a box, the first among equals, and this area.

    Args:
        masks: [masks, height, width], an object where they are above 0.5; there may be none.

    Returns:
        The index of the mask (None if all are empty inside the box), and its pixels inside the box.

    Raises:
        LumosXError: box or masks have another shape, or a number of the box is not finite.
    """
    if masks.ndim != 3:
        raise LumosXError(f"masks: they are {list(masks.shape)}; each box needs masks of [masks, height, width].")
    left, top, right, bottom = _pixels(box, masks.shape[2], masks.shape[1])
    areas = (masks[:, top:bottom, left:right] > 0.5).flatten(1).sum(dim=1).tolist()
    area = max(areas, default=0)
    return (areas.index(area), area) if area else (None, 0)


def inside_box(box: BoxSides, masks: torch.Tensor) -> torch.Tensor:
    """Masks [masks, height, width] with nothing left outside a box."""
    left, top, right, bottom = _pixels(box, masks.shape[2], masks.shape[1])
    cut = torch.zeros_like(masks)
    cut[:, top:bottom, left:right] = masks[:, top:bottom, left:right]
    return cut


def segmentation_gate(
    boxes: Sequence[BoxSides],
    masks: Sequence[torch.Tensor],
    similarities: Sequence[float],
    least_similarity: float = LEAST_SIMILARITY,
) -> tuple[GateVerdict, ...]:
    """Decide for each box of a frame.

    Args:
        boxes: one for each phrase that was found.
        masks: for each box, masks as in ``largest_object``.
        similarities: for each box, how much its largest object looks like its phrase; not looked at where there is no
            object.
        least_similarity: an object is kept if its similarity is above this.

    Raises:
        LumosXError: the lists have different lengths, or see ``largest_object``.
    """
    if not len(boxes) == len(masks) == len(similarities):
        raise LumosXError(
            f"masks: there are {len(boxes)} boxes, masks for {len(masks)} and similarities for {len(similarities)}; "
            "each box needs both."
        )
    return tuple(
        _verdict(*largest_object(box, own), float(similarity), least_similarity)
        for box, own, similarity in zip(boxes, masks, similarities)
    )


def _verdict(mask: int | None, area: int, similarity: float, least: float) -> GateVerdict:
    if mask is None:
        return GateVerdict(None, 0, False, "there is no object inside its box")
    # Also refuses a similarity that is not a number.
    if not similarity > least:
        return GateVerdict(
            mask, area, False, f"it does not look like its phrase: similarity {similarity:.3f}, needed above {least:g}"
        )
    return GateVerdict(mask, area, True)


def _pixels(box: BoxSides, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels that a box touches, inside the picture."""
    edges = torch.as_tensor(box, dtype=torch.float64)
    if edges.shape != (4,) or not edges.isfinite().all():
        raise LumosXError(f"boxes: {list(map(float, box))} is not a box; give left, top, right and bottom in pixels.")
    left, top = edges[:2].floor().clamp(min=0).int().tolist()
    right = int(edges[2].ceil().clamp(0, width))
    bottom = int(edges[3].ceil().clamp(0, height))
    return left, top, right, bottom
