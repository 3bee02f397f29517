"""Crops of a clip to one reference for each subject, from what sockets and widgets hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from ...errors import LumosXError
from ...faces.preview import LEFT_OUT, PICKED
from ...faces.quality import sharpness
from ...media.contact_sheet import SheetRow, draw_sheet
from ...media.drawing import font_of
from ...media.views import SHARPNESS_SIDE
from ...models.polyvivid.cliques import MOST_CROPS, TAU, Consolidation, consolidate, least_size
from ...packages import require
from ...scores.attributes.regions import squared
from ...scores.crop_likeness import CLIP, CropLikeness, crop_likeness
from ..conditioning.scene import log_warnings
from ..media.frames import as_picture, as_pixels, frame_ticks, split_batch
from ..weights.face_models import model_folders
from .networks import on_device

NODE = "LumosX Clip Subjects"
SUBJECT_OUTPUTS = (1, 2, 3, 4)
_WHITE = 255


@dataclass(frozen=True)
class SubjectsPlan:
    """What one run of LumosX Clip Subjects does.

    Attributes:
        by: one of ``scores.crop_likeness.MEASURES``.
        tau: crops are joined if 1 - similarity is below it; 0 takes the measure's own.
        frame_count: frames that were looked at; 0 for those that have a crop.
        same_frame: whether crops of one frame may show one subject.
    """

    by: str
    tau: float
    frame_count: int
    same_frame: bool


def read_frame_numbers(text: str, crops: int) -> list[int]:
    """The frame of each crop, from numbers in a text; without any each crop is a frame of its own.

    Raises:
        LumosXError: something else than whole numbers, or another number of them than crops.
    """
    words = re.split(r"[\s,;]+", text.strip()) if text.strip() else []
    if not words:
        return list(range(crops))
    wrong = next((word for word in words if not re.fullmatch(r"[0-9]{1,9}", word)), None)
    if wrong is not None:
        raise LumosXError(f"frames: {wrong[:40]!r} is not the number of a frame; use whole numbers, one for each crop.")
    if len(words) != crops:
        raise LumosXError(f"frames: there are {len(words)} numbers for {crops} crops; give one for each crop.")
    return [int(word) for word in words]


def read_phrases(text: str, crops: int) -> list[str] | None:
    """The words that each crop was found by, from the lines of a text; one line is meant for all, none for no words.

    Raises:
        LumosXError: another number of lines.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    if not lines:
        return None
    if len(lines) == 1:
        return lines * crops
    if len(lines) != crops:
        raise LumosXError(f"phrases: there are {len(lines)} lines for {crops} crops; give one line for each crop.")
    return lines


def consolidate_crops(
    crops: Sequence[torch.Tensor], phrases: str, frames: str, plan: SubjectsPlan, clip_vision: Any = None
) -> tuple[tuple[torch.Tensor | ExecutionBlocker, ...], list[torch.Tensor], str, torch.Tensor, str]:
    """One picture for each subject that a clip's crops show.

    Args:
        crops: IMAGEs, each one crop or a batch of them.
        phrases, frames: see ``read_phrases`` and ``read_frame_numbers``.
        clip_vision: ComfyUI's CLIP_VISION, which takes the place of the CLIP in models/lumosx.

    Returns:
        A subject, or what stops its output, for each of SUBJECT_OUTPUTS; all subjects; their words, a line each; a
        picture of the groups [1, H, W, 3]; the report, whose warnings are logged too.

    Raises:
        LumosXError: no crop, no subject, too many crops, lists that do not fit, or missing weights or packages.
    """
    require("cv2")
    font_of(16)
    pictures = [picture for batch in crops for picture in split_batch(batch, f"{NODE} crops")]
    if not 1 <= len(pictures) <= MOST_CROPS:
        raise LumosXError(
            f"{NODE} crops: there are {len(pictures)}; link from 1 to {MOST_CROPS}, for example of every fourth frame."
        )
    places, words = read_frame_numbers(frames, len(pictures)), read_phrases(phrases, len(pictures))
    pixels = [as_pixels(picture) for picture in pictures]
    likeness = _likeness(pixels, plan, clip_vision)
    tau = plan.tau or likeness.tau
    found = consolidate(
        likeness.similarity, places, tau, frame_count=plan.frame_count or None, same_frame_edges=plan.same_frame,
        area=[int((one != _WHITE).any(-1).sum()) for one in pixels],
        sharpness=[sharpness(one, SHARPNESS_SIDE) for one in pixels], phrases=words,
    )
    if not found.subjects:
        raise LumosXError(
            f"{NODE} tau: at {tau:g}, no {least_size(found.frame_count)} of the {len(pictures)} crops in "
            f"{found.frame_count} frames are similar enough ({_closest(likeness.similarity)}); raise tau, or check "
            "that frames has the right frame for each crop."
        )
    log_warnings(f"{NODE}: {warning}" for warning in found.warnings)
    subjects = [pictures[one.representative] for one in found.subjects]
    names = "\n".join(one.phrase or "" for one in found.subjects)
    report = f"Compared by {likeness.measured_by}, tau {tau:g}.\n{found.report()}"
    return _outputs(subjects), subjects, names, as_picture(draw_sheet(_rows(found, pixels))), report


def _likeness(pixels: Sequence[np.ndarray], plan: SubjectsPlan, clip_vision: Any) -> CropLikeness:
    if clip_vision is None:
        return crop_likeness(pixels, plan.by, model_folders(), on_device)
    if plan.by != CLIP:
        raise LumosXError(
            f"clip_vision: a model is linked, but by is {plan.by}, which does not use it; choose {CLIP}, or unlink it."
        )
    tick, rows = frame_ticks(), []
    for number, one in enumerate(pixels):
        tick(number, len(pixels))
        embeds = getattr(clip_vision.encode_image(as_picture(squared(one))), "image_embeds", None)
        if embeds is None or embeds.ndim != 2:
            raise LumosXError(
                "clip_vision: this model gives no image embedding; load a CLIP vision model such as "
                "clip_vision_h.safetensors."
            )
        rows.append(embeds[0].float().cpu())
    vectors = torch.nn.functional.normalize(torch.stack(rows), dim=-1).numpy()
    return CropLikeness(vectors @ vectors.T, TAU, "the linked CLIP vision model")


def _closest(similarity: np.ndarray) -> str:
    if len(similarity) < 2:
        return "there is one crop"
    others = similarity[~np.eye(len(similarity), dtype=bool)]
    return f"the closest two differ by {1 - others.max():.3f}, the farthest by {1 - others.min():.3f}"


def _outputs(subjects: Sequence[torch.Tensor]) -> tuple[torch.Tensor | ExecutionBlocker, ...]:
    return tuple(
        subjects[output - 1] if output <= len(subjects) else ExecutionBlocker(
            f"{NODE} subject_{output}: the clip shows only {len(subjects)} subject"
            f"{'' if len(subjects) == 1 else 's'}; unlink this output, or raise or lower tau."
        )
        for output in SUBJECT_OUTPUTS
    )


def _rows(found: Consolidation, pixels: Sequence[np.ndarray]) -> list[SheetRow]:
    rows = []
    for number, one in enumerate(found.subjects, start=1):
        name = f" \"{one.phrase}\"" if one.phrase else ""
        title = f"{number}.{name} {len(one.members)} crops, mean similarity {one.similarity:.3f}"
        pictures = [pixels[member] for member in one.members]
        rows.append(SheetRow(title, pictures, PICKED, one.members.index(one.representative)))
    if found.left_over:
        rows.append(SheetRow("belong to no subject", [pixels[one] for one in found.left_over], LEFT_OUT))
    return rows
