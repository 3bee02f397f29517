"""Identity scores of an IMAGE batch, with the host's progress, interrupts and output folder."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import folder_paths
import numpy as np
import torch
from comfy_execution.graph_utils import ExecutionBlocker

from ...errors import LumosXError
from ...faces.catalogue import modules_of_detector
from ...files import DEVICE_NAME, unfinished_beside
from ...media.drawing import font_of
from ...packages import matplotlib, require
from ...scene.relations import Scene
from ...scores.drawing.annotate import annotate_frame
from ...scores.drawing.plot import as_png, plot_identity, plot_presence
from ...scores.figures import strict_json
from ...scores.identity.measured import IdentityPlan
from ...scores.identity.models import FacesOnly, ModelNames, open_models
from ...scores.identity.presence import PresenceScores, count_faces, number_faces
from ...scores.identity.report import identity_report
from ...scores.identity.summary import IdentityScores, score_identity
from ...scores.people import people_of
from ..conditioning.scene import log_warnings
from ..media.frames import ImageFrames, as_batch, as_picture, frame_ticks
from ..weights.face_models import model_folders
from .networks import room_for_embedders

# A number and an ending follow, and the whole must fit into what file systems take.
_MOST_BYTES = 150
# ComfyUI makes missing folders one inside the other by recursion.
_MOST_FOLDERS = 16

# What ComfyUI gives to the outputs of a node; a blocker stops what is linked to its own only.
Outputs = tuple[str, str, torch.Tensor, torch.Tensor, float | ExecutionBlocker]


def score_image_identity(
    images: torch.Tensor, scene: Scene, plan: IdentityPlan, names: ModelNames, save_as: str = ""
) -> tuple[Outputs, torch.Tensor]:
    """Score a video's frames; where "automatic" finds nothing that tells faces apart, count the faces.

    Args:
        images: IMAGE, the frames.
        save_as: a prefix under the output folder for JSON and plot; empty for no files.

    Returns:
        Report, JSON, plot [1, H, W, 3], annotated watched frames [n, H, W, 3] and score; of counted faces a plot of
        their number, and no score, but what stops this output with the sentence that says what is missing. And the
        picture for the node itself: the plot of likeness, or the first annotated frame.

    Raises:
        LumosXError: a scene without a face picture, a model or a package that is missing, a name that will not do, or
            what ``score_identity`` raises.
    """
    check_save_name(save_as)
    # Before the work, which would be lost at the plot.
    require("matplotlib", *modules_of_detector(names.detector))
    matplotlib()
    font_of(11)
    frames = ImageFrames(images)
    with room_for_embedders(names.embedder, names.second_embedder) as device:
        scores = _watched(frames, scene, plan, names, device)
    if isinstance(scores, PresenceScores):
        return _counted(frames, scores, save_as)
    plot = plot_identity(scores)
    text = strict_json(scores.as_json())
    report = identity_report(scores) + _saved(save_as, text, plot)
    log_warnings(scores.warnings())
    annotated = as_batch(
        (annotate_frame(frames[frame.index], frame, scores) for frame in scores.frames), len(scores.frames)
    )
    shown = as_picture(plot)
    return (report, text, shown, annotated, scores.score), shown


def check_save_name(save_as: str) -> None:
    """Check that files may be written with this prefix; an empty one means no files.

    Raises:
        LumosXError: it leads out of the output folder, or is not a valid name on every system.
    """
    if not save_as.strip():
        return
    _check_parts(save_as)
    root = Path(folder_paths.get_output_directory()).resolve()
    try:
        path = (root / save_as.strip()).resolve()
        blocked = any(folder.exists() and not folder.is_dir() for folder in path.parents)
    except (OSError, ValueError) as error:
        raise LumosXError(
            f"save_as: {save_as[:60]!r} is not a file name ({getattr(error, 'strerror', error)}); use letters, digits, "
            "- and _."
        ) from error
    if path == root or not path.is_relative_to(root):
        raise LumosXError(
            f"save_as: {save_as[:60]!r} is not inside ComfyUI's output folder; use a name such as scores/run."
        )
    if blocked:
        raise LumosXError(
            f"save_as: {save_as[:60]!r} cannot be written, since a folder in it is a file; use another name such as "
            "scores/run."
        )


def _check_parts(save_as: str) -> None:
    """File systems count bytes, and Windows has names of its own."""
    parts = re.split(r"[/\\]", save_as.strip())
    if len(parts) > _MOST_FOLDERS:
        what = f"has more than {_MOST_FOLDERS} parts"
    elif any(len(part.encode(errors="replace")) > _MOST_BYTES for part in parts):
        what = f"has a part longer than {_MOST_BYTES} bytes, where a non-English letter takes two to four"
    elif not parts[-1]:
        what = "ends in a slash, so it names only a folder"
    elif reserved := [part for part in parts if DEVICE_NAME.match(part)]:
        what = f"has the part {reserved[0]}, which is a device on Windows"
    else:
        return
    raise LumosXError(f"save_as: {save_as[:60]!r} {what}; use a name such as scores/run.")


def _watched(
    frames: ImageFrames, scene: Scene, plan: IdentityPlan, names: ModelNames, device: torch.device
) -> IdentityScores | PresenceScores:
    """The only place that holds the models, so that they are gone from the card when it returns."""
    models = open_models(names, model_folders(), device)
    if isinstance(models, FacesOnly):
        return count_faces(frames, people_of(scene), models, plan.every, frame_ticks())
    return score_identity(frames, people_of(scene), models, plan, frame_ticks())


def _counted(frames: ImageFrames, scores: PresenceScores, save_as: str) -> tuple[Outputs, torch.Tensor]:
    text = strict_json(scores.as_json())
    plot = plot_presence(scores)
    report = scores.report() + _saved(save_as, text, plot)
    log_warnings([scores.reason])
    annotated = as_batch((number_faces(frames[frame.index], frame) for frame in scores.frames), len(scores.frames))
    return (report, text, as_picture(plot), annotated, ExecutionBlocker(scores.reason)), annotated[:1]


def _saved(save_as: str, text: str, plot: np.ndarray) -> str:
    """Write the files if there is a name for them; the report's line about it.

    A disk that fails costs the files only, since the scores may have taken an hour.
    """
    if not save_as.strip():
        return ""
    try:
        return f"\n\n- Saved as {_written(save_as, text, plot)}."
    except OSError as error:
        warning = f"not saved: {save_as.strip()} cannot be written ({error.strerror or error})."
        log_warnings([warning])
        return f"\n\n- **Warning:** {warning}"


def _written(save_as: str, text: str, plot: np.ndarray) -> str:
    """Write JSON and plot under the host's next number: both or none; their names."""
    height, width = plot.shape[:2]
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        save_as.strip(), folder_paths.get_output_directory(), width, height
    )
    # ComfyUI counts on names that end in an underscore; without it the next run would take the same number.
    stem = f"{name}_{counter:05}_"
    # Half a character in a phrase becomes JSON's own way of writing it.
    files = {".json": text.encode(errors="backslashreplace"), ".png": as_png(plot)}
    with ExitStack() as stack:
        moves = []
        for ending, content in files.items():
            target = Path(folder, stem + ending)
            part = stack.enter_context(unfinished_beside(target))
            part.write_bytes(content)
            moves.append((part, target))
        for part, target in moves:
            part.replace(target)
    return f"{Path(subfolder, stem).as_posix()}{' and '.join(files)}"
