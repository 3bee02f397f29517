"""Cut-outs from what sockets and widgets hold."""

from __future__ import annotations

import torch

from ...errors import LumosXError
from ...media import one_picture
from ...media.cutouts import Box, cut_out, estimated_mask, fitting_mask
from ..conditioning.scene import log_warnings


def make_cut_out(
    image: torch.Tensor, mask: torch.Tensor | None, box: Box, invert: bool, edges: str, padding: int
) -> tuple[torch.Tensor, torch.Tensor, str]:
    """Cut something out by its mask, else by GrabCut in a box, else by the image's own transparency.

    Args:
        image: an IMAGE, one picture.
        mask: a MASK, or None.
        box: around the thing; ``Box(0, 0, 0, 0)`` if there is none.
        invert: cut out what is not marked.
        edges: one of ``media.cutouts.EDGES``.
        padding: white pixels to add on every side.

    Returns:
        IMAGE [1, h, w, 3], MASK [1, h, w], and a report whose warnings are logged too.

    Raises:
        LumosXError: as the functions of ``media.cutouts``, or if nothing says what to cut out.
    """
    picture = one_picture(image, "LumosX Cut-Out image")
    height, width = picture.shape[1:3]
    notes = []
    if mask is not None:
        marked = fitting_mask(mask, height, width, invert)
        how = "by the mask"
        if box:
            notes.append("The box is not used, because a mask is linked.")
    elif box:
        marked = estimated_mask(picture, box)
        marked = 1 - marked if invert else marked
        how = "by GrabCut"
    elif image.shape[-1] == 4:
        # Its own colours: one_picture has blended them with white already.
        image = image.reshape(picture.shape[:3] + (4,)).float().clamp(0, 1)
        picture, marked, how = image[..., :3], fitting_mask(image[..., 3], height, width, invert), "by its transparency"
    else:
        raise LumosXError("mask: nothing is linked and there is no box; link a mask, or set box_width and box_height.")
    made = cut_out(picture, marked.to(picture.device), edges, padding)
    warnings = (*notes, *made.warnings)
    log_warnings(warnings)
    lines = [
        f"- Cut out {how}: {made.box.width}x{made.box.height} pixels at {made.box.x}, {made.box.y} "
        f"of {width}x{height}, {_fill(made.mask, made.box):.0%} of them the thing.",
        *(f"- **Warning:** {warning}" for warning in warnings),
    ]
    return made.image, made.mask, "\n".join(lines)


def _fill(mask: torch.Tensor, box: Box) -> float:
    return mask.sum().item() / (box.width * box.height)
