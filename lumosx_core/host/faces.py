"""Faces from what sockets and widgets hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from ..errors import LumosXError
from ..media import one_picture
from ..media.faces.catalogue import open_detector, open_embedder
from ..media.faces.centerface import LEAST_SCORE
from ..media.faces.crop import Margins, crop_box, upright_crop
from ..media.faces.face import SMALLEST_FACE, Detector, Embedder
from ..media.faces.picking import LIKENESS, Candidate, check_order, choose, largest, likeness_to, ordered, read_pick
from ..media.faces.preview import draw_faces
from ..media.faces.quality import judge
from ..media.faces.report import faces_report, left_out_warnings, picked_warnings
from .face_models import model_folders
from .frames import as_picture, as_pixels, frame_ticks, split_batch
from .scene import log_warnings

NODE = "LumosX Face Crop"
FACE_OUTPUTS = (1, 2, 3, 4)


@dataclass(frozen=True)
class CropPlan:
    """What one run of LumosX Face Crop does.

    Attributes:
        order: one of ``media.faces.picking.ORDERS``.
        pick: the numbers to take, as text; empty for all that are large enough.
        upright: whether faces are turned until their eyes are level.
        detector, embedder: names of ``media.faces.catalogue``; the embedder is opened for order likeness only.
        margins: what is kept around a face.
        min_score: faces of which the detector is less sure are passed over.
    """

    order: str
    pick: str
    upright: bool
    detector: str
    embedder: str
    margins: Margins = Margins()
    min_score: float = LEAST_SCORE


def check_crop(order: str | None, pick: str | None) -> None:
    """What can be known when a workflow is queued; None for a linked value, which cannot.

    Raises:
        LumosXError: an order that is not known, or a pick that is no list of numbers.
    """
    # The host looks at the options of a combo in newer versions only.
    if order is not None:
        check_order(order)
    if pick is not None:
        read_pick(pick)


def crop_faces(
    image: torch.Tensor, like: torch.Tensor | None, plan: CropPlan
) -> tuple[tuple[torch.Tensor | ExecutionBlocker, ...], list[torch.Tensor], torch.Tensor, str]:
    """Find, number, pick and cut out the faces of one or more photos.

    Args:
        image: an IMAGE [n, H, W, 3 or 4].
        like: a picture of the person whom order likeness looks for.

    Returns:
        A face, or what stops its output, for each of FACE_OUTPUTS; all picked faces; the photos with numbers
        [n, H, W, 3]; the report, whose warnings are logged too.

    Raises:
        LumosXError: a wrong pick, no face, a face picked by number that is too small, only such faces, order likeness
            without a picture of whom, or what opening the detector or the embedder raises.
    """
    check_crop(plan.order, plan.pick)
    numbers = read_pick(plan.pick)
    _check_like(like, plan.order)
    photos = _photos(image)
    detector = open_detector(plan.detector, model_folders())
    embedder = open_embedder(plan.embedder, model_folders()) if plan.order == LIKENESS else None
    wanted = None if like is None else _wanted(like, detector, embedder)
    candidates, warnings = _candidates(photos, detector, embedder, wanted, plan)
    picked = _large_enough(candidates, choose(numbers, len(candidates)), numbers)
    crops = [_crop(photos, candidates[number - 1], plan) for number in picked]
    if not numbers:
        warnings += left_out_warnings(candidates, picked)
    warnings += picked_warnings(candidates, picked)
    log_warnings(f"{NODE}: {warning}" for warning in warnings)
    found_by = detector.name if embedder is None else f"{detector.name}, told apart by {embedder.name}"
    report = faces_report(candidates, picked, found_by, "" if embedder is None else embedder.measure, warnings)
    return _outputs(crops, numbers), crops, _preview(photos, candidates, picked), report


def _photos(image: torch.Tensor) -> list[torch.Tensor]:
    return split_batch(image, f"{NODE} image")


def _check_like(like: torch.Tensor | None, order: str) -> None:
    if like is None and order == LIKENESS:
        raise LumosXError(
            f"{NODE} like: nothing is linked, but order is {LIKENESS}; link a picture of the person to look for, or "
            "choose another order."
        )
    if like is not None and order != LIKENESS:
        raise LumosXError(
            f"{NODE} order: a picture is linked at like, but order is {order}; choose {LIKENESS}, or unlink it."
        )


def _wanted(like: torch.Tensor, detector: Detector, embedder: Embedder) -> np.ndarray:
    """[1, d], the vector of the person looked for."""
    pixels = as_pixels(one_picture(like, f"{NODE} like"))
    faces = detector.detect(pixels)
    if not faces:
        raise LumosXError(f"{NODE} like: {detector.name} finds no face in it; link a picture that shows the person.")
    return embedder.embed_faces(pixels, [largest(faces)])


def _candidates(
    photos: Sequence[torch.Tensor], detector: Detector, embedder: Embedder | None, wanted: np.ndarray | None,
    plan: CropPlan,
) -> tuple[list[Candidate], list[str]]:
    """Every face in the order of its number, and a warning for each photo without one."""
    found, warnings, tick = [], [], frame_ticks()
    for index, photo in enumerate(photos):
        tick(index, len(photos))
        pixels = as_pixels(photo)
        faces = [face for face in detector.detect(pixels) if face.score >= plan.min_score]
        mine = [Candidate(index, face, judge(pixels, face)) for face in faces]
        if embedder is not None:
            likeness = likeness_to(embedder, wanted, pixels, faces)
            mine = [replace(one, likeness=value) for one, value in zip(mine, likeness)]
        if not mine:
            warnings.append(f"{detector.name} finds no face in photo {index + 1}.")
        found += mine
    tick(len(photos), len(photos))
    if not found:
        raise LumosXError(
            f"{NODE} image: {detector.name} finds no face with a score of {plan.min_score:g} or more; link a photo "
            f"that shows a face upright and at least {SMALLEST_FACE} pixels wide."
        )
    return ordered(found, plan.order), warnings


def _large_enough(
    candidates: Sequence[Candidate], picked: Sequence[int], numbers: Sequence[int]
) -> Sequence[int]:
    """The picked faces that are not too small; a passer-by stops nobody, unless the face was picked by its number."""
    small = [number for number in picked if candidates[number - 1].quality.too_small]
    large = [number for number in picked if number not in small]
    if not small or (large and not numbers):
        return large
    others = [str(number) for number, one in enumerate(candidates, 1) if not one.quality.too_small]
    advice = f"pick from the larger ones, {', '.join(others)}, or link" if others else "link"
    side = candidates[small[0] - 1].quality.short_side
    raise LumosXError(
        f"{NODE} pick: face {small[0]} is {side:.0f} px on its short side, below {SMALLEST_FACE} px; {advice} a larger "
        "photo."
    )


def _crop(photos: Sequence[torch.Tensor], candidate: Candidate, plan: CropPlan) -> torch.Tensor:
    photo = photos[candidate.photo]
    if plan.upright:
        return as_picture(upright_crop(as_pixels(photo), candidate.face, plan.margins))
    height, width = photo.shape[1:3]
    left, top, right, bottom = crop_box(candidate.face, plan.margins, width, height)
    return photo[:, top:bottom, left:right].clone()


def _outputs(
    crops: Sequence[torch.Tensor], numbers: Sequence[int]
) -> tuple[torch.Tensor | ExecutionBlocker, ...]:
    if numbers:
        reason = f"pick names only {_faces(len(numbers))}; add a number to pick, or unlink this output"
    else:
        reason = (
            f"the image shows only {_faces(len(crops))} of {SMALLEST_FACE} px and more; link a photo that shows more, "
            "or unlink this output"
        )
    return tuple(
        crops[output - 1] if output <= len(crops) else ExecutionBlocker(f"{NODE} face_{output}: {reason}.")
        for output in FACE_OUTPUTS
    )


def _faces(count: int) -> str:
    return f"{count} face{'' if count == 1 else 's'}"


def _preview(
    photos: Sequence[torch.Tensor], candidates: Sequence[Candidate], picked: Sequence[int]
) -> torch.Tensor:
    drawn = []
    for index, photo in enumerate(photos):
        faces = [(number, one.face) for number, one in enumerate(candidates, 1) if one.photo == index]
        drawn.append(as_picture(draw_faces(as_pixels(photo), faces, picked)))
    return torch.cat(drawn)
