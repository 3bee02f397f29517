"""A whole run of LumosX Face Repair: follow, cut out, sample, paste, and say what was done and what was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import comfy.model_management
import numpy as np
import torch

from ...errors import LumosXError
from ...media.contact_sheet import SheetRow, draw_sheet
from ...media.drawing import font_of
from ...models.wan.config import WAN21_LATENT
from ...repair.pasting import cut_out, ellipses, softened
from ...repair.tracks import Box, frames_text
from ...repair.windows import Stretch, Window, gaps_of, stretches, window_around
from ...scene.relations import Scene
from ...scores.identity.models import ModelNames
from ...scores.people import people_of
from ..conditioning.scene import log_warnings
from ..media.frames import as_picture, as_pixels, check_video
from .following import Found, boxes_of_mask, chosen_people, find_people
from .resampling import RepairPlan, Tools, resample

NODE = "LumosX Face Repair"
_SHOWN = 3
"""Frames of a person in the preview, each before and after."""


@dataclass(frozen=True, eq=False)
class Whose:
    """Whose faces are meant.

    Attributes:
        person: number in the relations, from 1; 0 is everybody.
        names: what finds faces and tells them apart.
        mask: MASK of one person's face; None to find faces.
    """

    person: int = 0
    names: ModelNames = ModelNames()
    mask: torch.Tensor | None = None


@dataclass(eq=False)
class _Run:
    """What one run has made so far."""

    before: torch.Tensor
    images: torch.Tensor
    weights: torch.Tensor
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: list[SheetRow] = field(default_factory=list)


def repair_faces(
    images: torch.Tensor, scene: Scene, whose: Whose, tools: Tools, plan: RepairPlan
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, str]:
    """Sample the faces of a video again, each with its person's reference only.

    Args:
        images: IMAGE [F, H, W, 3 or 4]; it is not changed.
        scene: the relations.

    Returns:
        The video; MASK [F, H, W] of how much of each pixel is new, 0 where not a bit has changed; faces before and
        after [1, H, W, 3]; and the report, whose warnings are logged too.

    Raises:
        LumosXError: inputs that do not fit each other, or a model or a package that is missing.
    """
    check_video(images)
    mask = _fitting_mask(whose.mask, images)
    people = people_of(scene)
    wanted, missing = chosen_people(people, whose.person, mask is not None)
    font_of(16)
    run = _Run(images, images.clone(), torch.zeros(images.shape[:3]), notes=missing)
    if wanted:
        found = Found({wanted[0]: boxes_of_mask(mask)}, {}) if mask is not None else find_people(
            images, people, whose.names
        )
        run.notes += found.notes
        # If there is nobody at all, the notes say why.
        for person in wanted if found.boxes or not found.notes else ():
            _repair_person(run, person, people[person].name, found, mask, scene, tools, plan)
    log_warnings(run.notes)
    return run.images, run.weights, _preview(run), _report(run)


def _repair_person(
    run: _Run, person: int, name: str, found: Found, mask: torch.Tensor | None, scene: Scene, tools: Tools,
    plan: RepairPlan,
) -> None:
    face = scene.subjects[person].face
    boxes: Mapping[int, Box] = found.boxes.get(person, {})
    count = len(run.images)
    shown = [one for stretch in stretches(boxes) if (one := _inside(stretch, run.images)) is not None]
    if not shown or face is None:
        run.notes.append(f"{name}: no face is found in the video, so nothing is changed for this person.")
        return
    gaps = list(gaps_of(shown, count))
    if gaps:
        where = ", ".join(frames_text(gap) for gap in gaps[:4]) + (" and others" if len(gaps) > 4 else "")
        run.notes.append(f"{name}: no face is found in {where}; these frames are left as they are.")
    likeness = found.likeness.get(person)
    run.lines.append(f"{name}: repaired" + (f"; likeness to the reference before {likeness:.2f}" if likeness else ""))
    for stretch in shown:
        comfy.model_management.throw_exception_if_processing_interrupted()
        height, width = run.images.shape[1:3]
        window = window_around(stretch.boxes, width, height, plan.padding)
        weights = softened(_masks(stretch, window, mask, plan), plan.feather, window, width, height)
        resample(run.images, stretch.frames, window, weights, person, face, tools, plan)
        _note_weights(run, stretch, window, weights)
        sampled = " x ".join(map(str, window.sampled_size(plan.crop_size, WAN21_LATENT)))
        moves = "still" if len(set(window.corners)) == 1 else "moving"
        run.lines.append(
            f"  {frames_text(stretch.frames)}: a {moves} window of {window.width} x {window.height} pixels, sampled "
            f"at {sampled}"
        )
        _add_row(run, name, stretch, window)


def _inside(stretch: Stretch, images: torch.Tensor) -> Stretch | None:
    """A stretch whose boxes end at the edges of the video; None if one lies outside or has no size."""
    height, width = images.shape[1:3]
    boxes = tuple(
        (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
        for left, top, right, bottom in stretch.boxes
    )
    fits = all(right - left >= 1 and bottom - top >= 1 for left, top, right, bottom in boxes)
    return Stretch(stretch.start, boxes) if fits else None


def _masks(stretch: Stretch, window: Window, mask: torch.Tensor | None, plan: RepairPlan) -> torch.Tensor:
    """What is to be new, [n, h, w] in [0, 1]."""
    if mask is None:
        return ellipses(stretch.boxes, window, plan.grow)
    return torch.stack([
        mask[frame, top:top + window.height, left:left + window.width].float().clamp(0, 1)
        for frame, (left, top) in zip(stretch.frames, window.corners, strict=True)
    ])


def _note_weights(run: _Run, stretch: Stretch, window: Window, weights: torch.Tensor) -> None:
    for frame, (left, top), own in zip(stretch.frames, window.corners, weights, strict=True):
        there = run.weights[frame, top:top + window.height, left:left + window.width]
        torch.maximum(there, own, out=there)


def _add_row(run: _Run, name: str, stretch: Stretch, window: Window) -> None:
    places = np.linspace(0, len(stretch.frames) - 1, min(_SHOWN, len(stretch.frames))).round().astype(int)
    pictures = []
    for place in places:
        own = Window(window.width, window.height, (window.corners[place],))
        frame = stretch.frames[place:place + 1]
        pictures += [
            as_pixels(cut_out(video, own, frame, (window.width, window.height)).float().cpu())
            for video in (run.before, run.images)
        ]
    run.rows.append(SheetRow(f"{name}, before and after, {frames_text(stretch.frames)}", pictures))


def _preview(run: _Run) -> torch.Tensor:
    rows = run.rows or [SheetRow("No face was repaired; the report says why.", [])]
    return as_picture(draw_sheet(rows))


def _report(run: _Run) -> str:
    changed = float((run.weights > 0).float().mean())
    lines = run.lines or ["No face was repaired; the video is unchanged."]
    return "\n".join([
        *lines,
        f"{changed:.1%} of all pixels may have changed, those in the mask; the others are the same bit for bit.",
        *(f"Warning: {note}" for note in run.notes),
    ])


def _fitting_mask(mask: torch.Tensor | None, images: torch.Tensor) -> torch.Tensor | None:
    """[F, H, W] on the CPU; one picture counts for every frame."""
    if mask is None:
        return None
    mask = mask[None] if mask.ndim == 2 else mask
    frames, height, width = images.shape[:3]
    if mask.ndim != 3 or mask.shape[1:] != (height, width) or len(mask) not in (1, frames):
        raise LumosXError(
            f"mask: its shape is {tuple(mask.shape)}, but the images are {frames} frames of {width} x {height} pixels; "
            "link a mask of the same size, for one frame or for all."
        )
    if not torch.isfinite(mask).all():
        raise LumosXError("mask: it contains values that are not numbers; check the node that made it.")
    return mask.cpu().expand(frames, -1, -1)
