"""Identity scores of an IMAGE batch, with the host's progress, interrupts and output folder."""

from __future__ import annotations

import json
from pathlib import Path

import folder_paths
import numpy as np
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from ..errors import LumosXError
from ..files import unfinished_beside
from ..relations import Scene
from ..scores.annotate import annotate_frame
from ..scores.identity_report import identity_report
from ..scores.models import FacesOnly, ModelNames, open_models
from ..scores.people import people_of
from ..scores.plot import as_png, plot_identity
from ..scores.presence import PresenceScores, count_faces, number_faces
from ..scores.summary import IdentityPlan, IdentityScores, score_identity
from .face_models import model_folders
from .frames import ImageFrames, as_batch, as_picture, frame_ticks
from .networks import room_for_embedders
from .scene import log_warnings

# A number and an ending follow, and the whole must fit into what file systems take.
_LONGEST_NAME = 150


# What ComfyUI gives to the outputs of a node; a blocker stops what is linked to its own only.
Outputs = tuple[str, str, torch.Tensor | ExecutionBlocker, torch.Tensor, float | ExecutionBlocker]


def score_images(
    images: torch.Tensor, scene: Scene, plan: IdentityPlan, names: ModelNames, save_as: str = ""
) -> tuple[Outputs, torch.Tensor]:
    """Score a video's frames; where "automatic" finds nothing that tells faces apart, count the faces.

    Args:
        images: IMAGE, the frames.
        save_as: a prefix under the output folder for JSON and plot; empty for no files.

    Returns:
        Report, JSON, plot [1, H, W, 3], annotated watched frames [n, H, W, 3] and score; of counted faces no plot and
        no score, but what stops these outputs with the sentence that says what is missing. And the picture for the
        node itself: the plot, or the first annotated frame.

    Raises:
        LumosXError: a scene without a face picture, a model or a package that is missing, a name that will not do, or
            what ``score_identity`` raises.
    """
    check_save_name(save_as)
    frames = ImageFrames(images)
    with room_for_embedders(names.embedder, names.second_embedder) as device:
        scores = _watched(frames, scene, plan, names, device)
    if isinstance(scores, PresenceScores):
        return _counted(frames, scores, save_as)
    plot = plot_identity(scores)
    text = _text(scores.as_json())
    report = identity_report(scores) + _saved(save_as, text, plot)
    log_warnings(scores.warnings())
    annotated = as_batch(
        (annotate_frame(frames[frame.index], frame, scores) for frame in scores.frames), len(scores.frames)
    )
    shown = as_picture(plot)
    return (report, text, shown, annotated, scores.score), shown


def check_save_name(save_as: str) -> None:
    """Whether files may go under this prefix; empty is no files.

    Raises:
        LumosXError: it leads out of the output folder, or is no name.
    """
    if not save_as.strip():
        return
    root = Path(folder_paths.get_output_directory()).resolve()
    try:
        path = (root / save_as.strip()).resolve()
        blocked = any(folder.exists() and not folder.is_dir() for folder in path.parents)
    except (OSError, ValueError) as error:
        raise LumosXError(
            f"save_as: {save_as[:60]!r} is no file name ({error}); use letters, digits, - and _."
        ) from error
    if path == root or not path.is_relative_to(root):
        raise LumosXError(
            f"save_as: {save_as[:60]!r} is not inside ComfyUI's output folder; use a name such as scores/run."
        )
    if blocked or len(path.name) > _LONGEST_NAME:
        raise LumosXError(
            f"save_as: {save_as[:60]!r} cannot be written: a folder in it is a file, or the name is longer than "
            f"{_LONGEST_NAME} letters; use a name such as scores/run."
        )


def _watched(
    frames: ImageFrames, scene: Scene, plan: IdentityPlan, names: ModelNames, device: torch.device
) -> IdentityScores | PresenceScores:
    """The only place that holds the models, so that they are gone from the card when it returns."""
    models = open_models(names, model_folders(), device)
    if isinstance(models, FacesOnly):
        return count_faces(frames, people_of(scene), models, plan.every, frame_ticks())
    return score_identity(frames, people_of(scene), models, plan, frame_ticks())


def _counted(frames: ImageFrames, scores: PresenceScores, save_as: str) -> tuple[Outputs, torch.Tensor]:
    text = _text(scores.as_json())
    report = scores.report() + _saved(save_as, text, None)
    log_warnings([scores.reason])
    annotated = as_batch((number_faces(frames[frame.index], frame) for frame in scores.frames), len(scores.frames))
    blocker = ExecutionBlocker(scores.reason)
    return (report, text, blocker, annotated, blocker), annotated[:1]


def _saved(save_as: str, text: str, plot: np.ndarray | None) -> str:
    """Write JSON and, if there is one, plot under the host's next number; the report's line about it."""
    if not save_as.strip():
        return ""
    height, width = (0, 0) if plot is None else plot.shape[:2]
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        save_as.strip(), folder_paths.get_output_directory(), width, height
    )
    # ComfyUI counts on names that end in an underscore; without it the next run would take the same number.
    stem = f"{name}_{counter:05}_"
    files = {".json": text.encode(), **({} if plot is None else {".png": as_png(plot)})}
    for ending, content in files.items():
        target = Path(folder, stem + ending)
        with unfinished_beside(target) as part:
            part.write_bytes(content)
            part.replace(target)
    return f"\n\n- Saved as {Path(subfolder, stem).as_posix()}{' and '.join(files)}."


def _text(values: dict) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False)
