"""Masks and boxes of a clip to crops of its subjects, from what sockets and widgets hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...errors import LumosXError
from ...faces.preview import LEFT_OUT, PICKED
from ...media.contact_sheet import SheetRow, draw_sheet
from ...media.cutouts import cut_out
from ...media.drawing import font_of
from ...models.polyvivid.boxes import MOST_BOXES, LabelledBox, boxes_of_frames
from ...models.polyvivid.cliques import MOST_CROPS
from ...models.polyvivid.segmentation import GateVerdict, inside_box, largest_object, segmentation_gate
from ...packages import require
from ...scores.attributes.regions import squared
from ...scores.attributes.similarity import ClipLikeness
from ..conditioning.scene import log_warnings
from ..media.frames import as_picture, as_pixels, frame_ticks, split_batch
from ..weights.face_models import model_folders
from .networks import on_device

NODE = "LumosX Segmentation Gate"
CLIP, OFF = "CLIP", "off"
CHECKS = (CLIP, OFF)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """The largest object of a box.

    Attributes:
        frame: counted from 0.
        phrase: what it was found by; may be empty.
        crop: IMAGE, on white; None if there is no object inside the box.
        box, masks: what it was cut out by; ``masks`` holds the largest object alone.
    """

    frame: int
    phrase: str
    crop: torch.Tensor | None
    box: Sequence[float]
    masks: torch.Tensor


def gate_segments(
    images: torch.Tensor, masks: torch.Tensor, boxes: Any, phrases: str, check: str, min_similarity: float
) -> tuple[list[torch.Tensor], str, str, torch.Tensor, str]:
    """The crops of a clip that show what their phrases say.

    Args:
        images: IMAGE, the clip's frames.
        masks: MASK, as many for each frame as for every other, frame after frame.
        boxes: see ``boxes_of_frames``; None for whole frames.
        phrases: a line each.
        check: one of CHECKS.
        min_similarity: CLIP's cosine between crop and phrase must be above it.

    Returns:
        IMAGEs of the kept crops; their phrases, a line each; the frame of each; a picture of what was kept and what was
        not [1, H, W, 3]; the report.

    Raises:
        LumosXError: inputs that do not fit together, missing weights, or nothing is kept.
    """
    require("cv2")
    font_of(16)
    if check not in CHECKS:
        raise LumosXError(f"check_by: {check!r} is not known; choose one of {', '.join(CHECKS)}.")
    frames = split_batch(images, f"{NODE} images")
    names = [line.strip() for line in phrases.splitlines() if line.strip()]
    segments, notes = _segments(frames, _masks_of(masks, frames), boxes, names, check)
    clip = ClipLikeness(model_folders()) if check == CLIP else None
    found = _candidates(frames, segments)
    verdicts = _verdicts(found, clip, min_similarity)
    kept = [one for one, (verdict, _) in zip(found, verdicts) if verdict.kept]
    report = _report(found, verdicts, notes, clip is not None)
    if not kept:
        raise LumosXError(f"{NODE} min_similarity: nothing is kept. {_why_nothing(found, verdicts, min_similarity)}")
    log_warnings(f"{NODE}: {note}" for note in notes)
    sheet = as_picture(draw_sheet(_rows(found, verdicts)))
    return (
        [one.crop for one in kept if one.crop is not None], "\n".join(one.phrase for one in kept),
        " ".join(str(one.frame) for one in kept), sheet, report,
    )


def _masks_of(masks: torch.Tensor, frames: Sequence[torch.Tensor]) -> torch.Tensor:
    """[frames, masks of each, H, W], of the frames' size."""
    height, width = frames[0].shape[1:3]
    masks = masks[None].flatten(0, -3) if masks.ndim >= 2 else masks
    if masks.ndim != 3 or 0 in masks.shape or len(masks) % len(frames):
        raise LumosXError(
            f"{NODE} masks: {list(masks.shape)} does not fit {len(frames)} images; link the same number of masks for "
            "each image, those of the first image first."
        )
    if tuple(masks.shape[1:]) != (height, width):
        raise LumosXError(
            f"{NODE} masks: they are {masks.shape[2]}x{masks.shape[1]} pixels but the images are {width}x{height}; "
            "link the masks of these very images."
        )
    if not torch.isfinite(masks).all():
        raise LumosXError(f"{NODE} masks: they contain values that are not numbers; check the node that made them.")
    if len(masks) > len(frames) * MOST_BOXES:
        raise LumosXError(f"{NODE} masks: there are {len(masks) // len(frames)} for each image; link at most "
                          f"{MOST_BOXES}.")
    return masks.float().clamp(0, 1).reshape(len(frames), -1, height, width)


def _segments(
    frames: Sequence[torch.Tensor], masks: torch.Tensor, boxes: Any, phrases: list[str], check: str
) -> tuple[list[tuple[int, LabelledBox, torch.Tensor]], list[str]]:
    """Frame, box with its phrase, and the masks that may fill it."""
    if not phrases and check == CLIP and boxes is None:
        raise LumosXError(f"{NODE} phrases: it is empty; type what each mask shows, one phrase per line.")
    if boxes is None:
        segments = _by_masks(frames, masks, phrases)
        notes = []
    else:
        segments, notes = _by_boxes(boxes_of_frames(boxes, len(frames)), masks, phrases)
        if check == CLIP and any(not box.label for _, box, _ in segments):
            raise LumosXError(f"{NODE} phrases: the boxes have no labels; type what each box shows, one phrase per "
                "line.")
    if len(segments) > MOST_CROPS:
        raise LumosXError(
            f"{NODE} images: they have {len(segments)} boxes or masks in all; link at most {MOST_CROPS}, for example "
            "of every fourth frame."
        )
    return segments, notes


def _by_masks(
    frames: Sequence[torch.Tensor], masks: torch.Tensor, phrases: list[str]
) -> list[tuple[int, LabelledBox, torch.Tensor]]:
    """Without boxes: all masks of a frame are of the one phrase, or the n-th mask is of the n-th phrase."""
    names, whole = phrases or [""], (0.0, 0.0, float(masks.shape[3]), float(masks.shape[2]))
    if len(names) > 1 and masks.shape[1] != len(names):
        raise LumosXError(
            f"{NODE} phrases: there are {len(names)} for {masks.shape[1]} masks of each image; type one line for each "
            "mask, or link boxes."
        )
    return [
        (frame, LabelledBox(whole, name), masks[frame] if len(names) == 1 else masks[frame, number:number + 1])
        for frame in range(len(frames)) for number, name in enumerate(names)
    ]


def _by_boxes(
    boxes: Sequence[Sequence[LabelledBox]], masks: torch.Tensor, phrases: list[str]
) -> tuple[list[tuple[int, LabelledBox, torch.Tensor]], list[str]]:
    """Every box can be filled by every mask of its frame; boxes whose label is not a phrase are ignored."""
    known = {phrase.casefold(): phrase for phrase in phrases}
    segments, passed_over = [], set()
    for frame, of_frame in enumerate(boxes):
        for number, box in enumerate(of_frame):
            label = box.label
            if label and phrases:
                if label.casefold() not in known:
                    passed_over.add(label)
                    continue
                label = known[label.casefold()]
            elif len(phrases) == 1:
                label = phrases[0]
            elif phrases:
                if len(of_frame) != len(phrases):
                    raise LumosXError(
                        f"{NODE} phrases: there are {len(phrases)} for {len(of_frame)} boxes without labels in frame "
                        f"{frame}; type one line for each box, or label the boxes."
                    )
                label = phrases[number]
            segments.append((frame, LabelledBox(box.edges, label), masks[frame]))
    shown = ", ".join(f"\"{label[:40]}\"" for label in sorted(passed_over)[:5])
    return segments, [f"Boxes whose label is not a phrase were ignored: {shown}."] if passed_over else []


def _candidates(
    frames: Sequence[torch.Tensor], segments: Sequence[tuple[int, LabelledBox, torch.Tensor]]
) -> list[_Candidate]:
    tick, found = frame_ticks(), []
    for number, (frame, box, masks) in enumerate(segments):
        tick(number, len(segments))
        index, _ = largest_object(box.edges, masks)
        own = masks[:0] if index is None else masks[index:index + 1]
        crop = None
        if index is not None:
            crop = cut_out(frames[frame], inside_box(box.edges, own).to(frames[frame].device)).image
        found.append(_Candidate(frame, box.label, crop, box.edges, own))
    return found


def _verdicts(
    found: Sequence[_Candidate], clip: ClipLikeness | None, least: float
) -> list[tuple[GateVerdict, float | None]]:
    """What becomes of each box, and CLIP's cosine."""
    similarities: list[float | None] = [None] * len(found)
    if clip is not None:
        shown = [index for index, one in enumerate(found) if one.crop is not None]
        for index, similarity in zip(shown, _similarities([found[index] for index in shown], clip)):
            similarities[index] = similarity
    # Without a check nothing is below the bound.
    measured = [least + 1 if one is None else one for one in similarities]
    verdicts = segmentation_gate([one.box for one in found], [one.masks for one in found], measured, least)
    return list(zip(verdicts, similarities))


def _similarities(shown: Sequence[_Candidate], clip: ClipLikeness) -> list[float]:
    if not shown:
        return []
    phrases = list(dict.fromkeys(one.phrase for one in shown))
    with on_device(clip.models[0]):
        pictures = clip.of_crops([squared(as_pixels(one.crop)) for one in shown if one.crop is not None])
        words = clip.of_phrases(phrases)
    return [float(picture @ words[phrases.index(one.phrase)]) for picture, one in zip(pictures, shown)]


def _report(
    found: Sequence[_Candidate], verdicts: Sequence[tuple[GateVerdict, float | None]], notes: Sequence[str],
    checked: bool,
) -> str:
    kept = sum(verdict.kept for verdict, _ in verdicts)
    lines = [f"{kept} of {len(found)} kept{'' if checked else '; CLIP did not check them'}."]
    for one, (verdict, similarity) in zip(found, verdicts):
        name = f" \"{one.phrase}\"" if one.phrase else ""
        looks = "" if similarity is None else f", similarity {similarity:.3f}"
        outcome = f"kept, {verdict.area} pixels{looks}" if verdict.kept else f"left out: {verdict.reason}"
        lines.append(f"- Frame {one.frame}{name}: {outcome}")
    return "\n".join((*lines, *(f"- **Warning:** {note}" for note in notes)))


def _why_nothing(
    found: Sequence[_Candidate], verdicts: Sequence[tuple[GateVerdict, float | None]], least: float
) -> str:
    if not found:
        return "No box has a label that is one of the phrases; check phrases and boxes."
    known = [similarity for _, similarity in verdicts if similarity is not None]
    if not known:
        return "There is no object inside any box; check that masks and boxes belong to these images."
    return f"The best similarity is {max(known):.3f}, needed above {least:g}; lower it, or check phrases and masks."


def _rows(
    found: Sequence[_Candidate], verdicts: Sequence[tuple[GateVerdict, float | None]]
) -> list[SheetRow]:
    rows = []
    for title, wanted, colour in (("kept", True, PICKED), ("left out", False, LEFT_OUT)):
        pictures: list[np.ndarray] = [
            as_pixels(one.crop) for one, (verdict, _) in zip(found, verdicts)
            if one.crop is not None and verdict.kept is wanted
        ]
        if pictures:
            rows.append(SheetRow(f"{title}: {len(pictures)}", pictures, colour))
    return rows
