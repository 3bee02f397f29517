"""Faces from what sockets and widgets hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from ...errors import LumosXError
from ...faces.catalogue import open_detector, open_embedder
from ...faces.centerface import LEAST_SCORE
from ...faces.crop import LARGEST_MARGIN, Margins, crop_box, upright_crop
from ...faces.face import SMALLEST_FACE, Detector, Embedder, Face
from ...faces.picking import LIKENESS, Candidate, check_order, choose, largest, likeness_to, ordered, read_pick
from ...faces.preview import draw_faces, moved_to, shrunk
from ...faces.quality import measure_quality
from ...faces.report import face_count_text, faces_report, left_out_warnings, picked_warnings, stranger_warnings
from ...media import one_picture
from ..conditioning.scene import log_warnings
from ..weights.face_models import model_folders
from .frames import as_batch, as_picture, as_pixels, frame_ticks

NODE = "LumosX Face Crop"
FACE_OUTPUTS = (1, 2, 3, 4)
MARGINS = ("margin_up", "margin_down", "margin_sides")
_ROWS = 512
"""Of a photo that become 8-bit at once: in floating point a whole one would take up several times as much again."""


@dataclass(frozen=True)
class CropPlan:
    """What one run of LumosX Face Crop does.

    Attributes:
        order: one of ``faces.picking.ORDERS``.
        pick: the numbers to take, as text; empty for all that are large enough.
        upright: whether faces are turned until their eyes are level.
        detector, embedder: names of ``faces.catalogue``; the embedder is opened for order likeness only.
        margins: what is kept around a face.
        min_score: faces with a lower detection score are ignored.
    """

    order: str
    pick: str
    upright: bool
    detector: str
    embedder: str
    margins: Margins = Margins()
    min_score: float = LEAST_SCORE


@dataclass(frozen=True)
class _Found:
    """What a search through photos ends with.

    Attributes:
        candidates: in the order of their numbers.
        passed_over: scores of the faces that are below min_score.
        small: each photo in 8 bits, shrunk for the preview.
        warnings: a sentence for each photo without a face.
    """

    candidates: list[Candidate] = field(default_factory=list)
    passed_over: list[float] = field(default_factory=list)
    small: list[np.ndarray] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check_crop(order: str | None, pick: str | None, min_score: float | None, *margins: float | None) -> None:
    """What can be known when a workflow is queued; None for a linked value, which cannot.

    Args:
        margins: as MARGINS.

    Raises:
        LumosXError: an order that is not known, a pick that is not a list of numbers, or a score or a margin that is no
            number or out of range.
    """
    # Only newer hosts check the options of a combo, and all of them accept NaN as a number.
    if order is not None:
        check_order(order)
    if pick is not None:
        read_pick(pick)
    _check_number("min_score", min_score, LEAST_SCORE, 1.0)
    for name, margin in zip(MARGINS, margins):
        _check_number(name, margin, 0.0, LARGEST_MARGIN)


def _check_number(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least <= value <= most:
        raise LumosXError(f"{name}: {value:g} is not from {least:g} to {most:g}; use a number in that range.")


def crop_faces(
    image: torch.Tensor, like: torch.Tensor | None, plan: CropPlan
) -> tuple[tuple[torch.Tensor | ExecutionBlocker, ...], list[torch.Tensor], torch.Tensor, str, str]:
    """Find, number, pick and cut out the faces of one or more photos.

    Args:
        image: an IMAGE [n, H, W, 3 or 4].
        like: a picture of the person whom order likeness looks for.

    Returns:
        A face, or what stops its output, for each of FACE_OUTPUTS; all picked faces; the photos with numbers
        [n, H, W, 3], their long side at most 2048; the report, whose warnings are logged too; the photo of each picked
        face, numbers from 0.

    Raises:
        LumosXError: a wrong pick, no face, a face picked by number that is too small, only such faces, order likeness
            without a picture of whom, or what opening the detector or the embedder raises.
    """
    check_crop(plan.order, plan.pick, plan.min_score, plan.margins.up, plan.margins.down, plan.margins.sides)
    numbers = read_pick(plan.pick)
    _check_like(like, plan.order)
    image = _batch(image, f"{NODE} image")
    detector = open_detector(plan.detector, model_folders())
    embedder = open_embedder(plan.embedder, model_folders()) if plan.order == LIKENESS else None
    wanted = None if like is None or embedder is None else _wanted(like, detector, embedder)
    found = _search(image, detector, embedder, wanted, plan)
    picked = _large_enough(found.candidates, choose(numbers, len(found.candidates)), numbers)
    crops = _crops(image, found.candidates, picked, plan)
    report = _report(found, picked, detector, embedder, plan)
    photos = " ".join(str(found.candidates[number - 1].photo) for number in picked)
    return _outputs(crops, numbers), crops, _preview(image, found, picked), report, photos


def _batch(image: torch.Tensor, source: str) -> torch.Tensor:
    """An IMAGE as [n, H, W, channels], its pixels unread."""
    return image if image.ndim == 4 and len(image) else one_picture(image, source)


def _pixels(picture: torch.Tensor, source: str) -> np.ndarray:
    """A picture [1, H, W, channels] as RGB [H, W, 3] uint8, transparency laid on white.

    Raises:
        LumosXError: as ``one_picture``.
    """
    return np.concatenate([as_pixels(one_picture(rows, source)) for rows in picture.split(_ROWS, dim=1)])


def _report(
    found: _Found, picked: Sequence[int], detector: Detector, embedder: Embedder | None, plan: CropPlan
) -> str:
    """The report; its warnings are logged too."""
    warnings, found_by, measure, passed_over = [*found.warnings], detector.name, "", ""
    if embedder is not None:
        found_by, measure = f"{detector.name}, told apart by {embedder.name}", embedder.measure
        warnings += stranger_warnings(found.candidates, picked, embedder.same_person, measure)
    if not plan.pick.strip():
        warnings += left_out_warnings(found.candidates, picked)
    warnings += picked_warnings(found.candidates, picked, plan.upright)
    log_warnings(f"{NODE}: {warning}" for warning in warnings)
    if found.passed_over:
        passed_over = f"Ignored: {face_count_text(len(found.passed_over))} with a score below {plan.min_score:g}."
    return faces_report(found.candidates, picked, found_by, measure, warnings, passed_over)


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
    source = f"{NODE} like"
    pixels = _pixels(_batch(like, source), source)
    faces = detector.detect(pixels)
    if not faces:
        raise LumosXError(f"{NODE} like: {detector.name} finds no face in it; link a picture that shows the person.")
    return embedder.embed_faces(pixels, [largest(faces)])


def _search(
    image: torch.Tensor, detector: Detector, embedder: Embedder | None, wanted: np.ndarray | None, plan: CropPlan
) -> _Found:
    """Every face, photo after photo."""
    found, tick = _Found(), frame_ticks()
    for index, photo in enumerate(image.split(1)):
        tick(index, len(image))
        pixels = _pixels(photo, f"{NODE} image")
        faces = detector.detect(pixels)
        sure = [face for face in faces if face.score >= plan.min_score]
        unsure = [face.score for face in faces if face.score < plan.min_score]
        mine = [Candidate(index, face, measure_quality(pixels, face)) for face in sure]
        if embedder is not None and wanted is not None:
            likeness = likeness_to(embedder, wanted, pixels, sure)
            mine = [replace(one, likeness=value) for one, value in zip(mine, likeness)]
        if not mine:
            reason = f"; {_surest(unsure, plan)}" if unsure else "."
            found.warnings.append(f"{detector.name} finds no face in photo {index + 1}{reason}")
        found.candidates.extend(ordered(mine, plan.order))
        found.passed_over.extend(unsure)
        found.small.append(shrunk(pixels))
    tick(len(image), len(image))
    if not found.candidates:
        raise LumosXError(_nobody(found.passed_over, detector, plan))
    return found


def _nobody(passed_over: Sequence[float], detector: Detector, plan: CropPlan) -> str:
    if passed_over:
        return f"{NODE} min_score: {_surest(passed_over, plan)}"
    return (
        f"{NODE} image: {detector.name} finds no face with a score of {plan.min_score:g} or more; link a photo that "
        f"shows a face upright and at least {SMALLEST_FACE} pixels wide."
    )


def _surest(scores: Sequence[float], plan: CropPlan) -> str:
    # Cut, not rounded, so that the figure serves as the new min_score.
    score = math.floor(max(scores) * 100) / 100
    return (
        f"the best of {face_count_text(len(scores))} has {score:.2f}, below {plan.min_score:g}; lower min_score."
    )


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


def _crops(
    image: torch.Tensor, candidates: Sequence[Candidate], picked: Sequence[int], plan: CropPlan
) -> list[torch.Tensor]:
    """The picked faces, cut out of one photo after the other."""
    crops = {}
    for index, photo in enumerate(image.split(1)):
        faces = {number: candidates[number - 1].face for number in picked if candidates[number - 1].photo == index}
        pixels = _pixels(photo, f"{NODE} image") if faces and plan.upright else None
        for number, face in faces.items():
            crops[number] = _cut(photo, face, plan) if pixels is None else as_picture(
                upright_crop(pixels, face, plan.margins)
            )
    return [crops[number] for number in picked]


def _cut(photo: torch.Tensor, face: Face, plan: CropPlan) -> torch.Tensor:
    height, width = photo.shape[1:3]
    left, top, right, bottom = crop_box(face, plan.margins, width, height)
    return one_picture(photo[:, top:bottom, left:right], f"{NODE} image")


def _outputs(
    crops: Sequence[torch.Tensor], numbers: Sequence[int]
) -> tuple[torch.Tensor | ExecutionBlocker, ...]:
    if numbers:
        reason = f"pick names only {face_count_text(len(numbers))}; add a number to pick, or unlink this output"
    else:
        reason = (
            f"the image shows only {face_count_text(len(crops))} of at least {SMALLEST_FACE} px; link a photo that "
            "shows more, or unlink this output"
        )
    return tuple(
        crops[output - 1] if output <= len(crops) else ExecutionBlocker(f"{NODE} face_{output}: {reason}.")
        for output in FACE_OUTPUTS
    )


def _preview(image: torch.Tensor, found: _Found, picked: Sequence[int]) -> torch.Tensor:
    """The photos [n, H, W, 3] with their faces, shrunk where they are large."""
    def drawn(index: int) -> np.ndarray:
        small = found.small[index]
        faces = [
            (number, moved_to(one.face, (image.shape[1], image.shape[2]), small.shape[:2]))
            for number, one in enumerate(found.candidates, 1) if one.photo == index
        ]
        return draw_faces(small, faces, picked)

    return as_batch(map(drawn, range(len(image))), len(image))
