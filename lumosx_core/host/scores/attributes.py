"""Attribute and motion scores of an IMAGE batch, with the host's device, progress and interrupts."""

from __future__ import annotations

import torch

from ...faces.catalogue import modules_of_detector, open_detector, open_embedder
from ...media.drawing import font_of
from ...packages import matplotlib, require
from ...scene.relations import Scene
from ...scores.attributes.owners import AttributeScores
from ...scores.attributes.score import AttributePlan, attribute_scores_of_case, check_scene
from ...scores.drawing.plot import plot_attributes, plot_motion
from ...scores.drawing.region_marks import mark_regions
from ...scores.figures import strict_json
from ...scores.motion import motion_score
from ..conditioning.scene import log_warnings
from ..media.frames import ImageFrames, as_batch, as_picture, frame_ticks
from ..weights.face_models import model_folders
from .networks import on_device, room_for_embedders


def score_image_attributes(
    images: torch.Tensor, scene: Scene, plan: AttributePlan, embedder: str, detector: str
) -> tuple[str, str, torch.Tensor, torch.Tensor]:
    """Report, JSON, the watched frames [n, H, W, 3] with everybody's region, and the plot [1, H, W, 3].

    Args:
        images: IMAGE, the video's frames.
        embedder, detector: names of ``faces.catalogue``.

    Raises:
        LumosXError: nothing to score, matplotlib or weights of something asked for by name are missing, or as
            ``watching.watch``.
    """
    check_scene(scene)
    # Before the work, which would be lost at the plot.
    require("matplotlib", *modules_of_detector(detector))
    matplotlib()
    font_of(11)
    frames = ImageFrames(images)
    with room_for_embedders(embedder) as device:
        scores = _scored(frames, scene, plan, embedder, detector, device)
    log_warnings(scores.notes)
    plot = as_picture(plot_attributes(scores))
    return scores.report(), strict_json(scores.as_json()), _annotated(frames, scores), plot


def score_image_motion(images: torch.Tensor, fps: float) -> tuple[str, str, bool, torch.Tensor]:
    """Report, JSON, whether the video is dynamic, and the plot [1, H, W, 3].

    Raises:
        LumosXError: matplotlib is missing, or as ``motion.motion_score``.
    """
    require("matplotlib", "cv2")
    matplotlib()
    score = motion_score(ImageFrames(images), fps, frame_ticks())
    return score.report(), strict_json(score.as_json()), score.dynamic, as_picture(plot_motion(score))


def _scored(
    frames: ImageFrames, scene: Scene, plan: AttributePlan, embedder: str, detector: str, device: torch.device
) -> AttributeScores:
    """The only place that holds the embedder, so that it is gone from the card when it returns."""
    folders = model_folders()
    faces = open_detector(detector, folders), open_embedder(embedder, folders, device)
    return attribute_scores_of_case(frames, scene, *faces, folders, plan, frame_ticks(), on_device)


def _annotated(frames: ImageFrames, scores: AttributeScores) -> torch.Tensor:
    drawn = (mark_regions(frames[view.index], view, scores.people) for view in scores.views)
    return as_batch(drawn, len(scores.views))
