"""Attribute and motion scores of an IMAGE batch, with the host's device, progress and interrupts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management
import torch

from ..media.faces.catalogue import open_detector, open_embedder
from ..relations import Scene
from ..scores.attributes import AttributePlan, attribute_scores_of_case, check_scene
from ..scores.motion import motion_score
from ..scores.owners import AttributeScores
from ..scores.region_marks import mark_regions
from .face_models import model_folders
from .frames import ImageFrames, as_batch, frame_ticks
from .scene import log_warnings

# What a network computes needs room on the card beside its weights.
_ROOM = 1.5


def score_attributes(
    images: torch.Tensor, scene: Scene, plan: AttributePlan, embedder: str, detector: str
) -> tuple[str, str, torch.Tensor]:
    """Report, JSON and the watched frames [n, H, W, 3] with everybody's region.

    Args:
        images: IMAGE, the video's frames.
        embedder, detector: names of ``media.faces.catalogue``.

    Raises:
        LumosXError: nothing to score, weights of something asked for by name are missing, or as ``watching.watch``.
    """
    check_scene(scene)
    folders = model_folders()
    device = comfy.model_management.get_torch_device()
    faces = open_detector(detector, folders), open_embedder(embedder, folders, device)
    frames = ImageFrames(images)
    scores = attribute_scores_of_case(frames, scene, *faces, folders, plan, frame_ticks(), on_device)
    log_warnings(scores.notes)
    return scores.report(), _text(scores.as_json()), _annotated(frames, scores)


def score_motion(images: torch.Tensor, fps: float) -> tuple[str, str, bool]:
    """Report, JSON and whether the video is dynamic.

    Raises:
        LumosXError: as ``motion.motion_score``.
    """
    score = motion_score(ImageFrames(images), fps, frame_ticks())
    return score.report(), _text(score.as_json()), score.dynamic


@contextmanager
def on_device(model: torch.nn.Module) -> Iterator[None]:
    """Keep a network on ComfyUI's device inside the ``with``; ComfyUI makes room for it, and it goes back after."""
    device = comfy.model_management.get_torch_device()
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    comfy.model_management.free_memory(_ROOM * weights, device)
    try:
        model.to(device)
        yield
    finally:
        model.to("cpu")
        comfy.model_management.soft_empty_cache()


def weights_state() -> str:
    """Changes whenever weights are put where scores look for them, so that a workflow queued again uses them."""
    folders = model_folders()
    found = []
    for root in (*folders.lumosx, *folders.insightface):
        for place, children, files in os.walk(root):
            children.sort()
            found += [f"{place}/{file}" for file in sorted(files)]
    return "\n".join(found)


def _annotated(frames: ImageFrames, scores: AttributeScores) -> torch.Tensor:
    drawn = (mark_regions(frames[view.index], view, scores.people) for view in scores.views)
    return as_batch(drawn, len(scores.views))


def _text(values: dict) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)
