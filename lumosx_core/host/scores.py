"""Identity scores of an IMAGE batch, with the host's progress, interrupts and output folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
import numpy as np
import torch

from ..errors import LumosXError
from ..files import unfinished_beside
from ..media.pictures import from_image, one_picture
from ..relations import Scene
from ..scores.annotate import annotate_frame
from ..scores.identity_report import identity_report
from ..scores.models import ModelNames, open_models
from ..scores.people import people_of
from ..scores.plot import as_png, plot_identity
from ..scores.summary import IdentityPlan, IdentityScores, score_identity
from .face_models import model_folders
from .scene import log_warnings

# A number and an ending follow, and the whole must fit into what file systems take.
_LONGEST_NAME = 150


class ImageFrames:
    """An IMAGE batch [frames, H, W, channels] as RGB frames [H, W, 3] uint8, made one at a time.

    Raises:
        LumosXError: on reading a frame that is no picture.
    """

    def __init__(self, images: torch.Tensor):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array(from_image(one_picture(self.images[index], "images")))

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


def score_images(
    images: torch.Tensor, scene: Scene, plan: IdentityPlan, names: ModelNames, save_as: str = ""
) -> tuple[str, str, torch.Tensor, torch.Tensor, float]:
    """Report, JSON, plot [1, H, W, 3], annotated watched frames [n, H, W, 3] and the score of a video's frames.

    Args:
        images: IMAGE, the frames.
        save_as: a prefix under the output folder for JSON and plot; empty for no files.

    Raises:
        LumosXError: a scene without a face picture, a model or a package that is missing, a name that will not do, or
            what ``score_identity`` raises.
    """
    check_save_name(save_as)
    models = open_models(names, model_folders(), comfy.model_management.get_torch_device())
    frames = ImageFrames(images)
    scores = score_identity(frames, people_of(scene), models, plan, frame_ticks())
    report = identity_report(scores)
    plot = plot_identity(scores)
    text = json.dumps(scores.as_json(), ensure_ascii=False, allow_nan=False)
    if save_as.strip():
        report += f"\n\n- Saved as {_save(save_as, text, plot)}."
    log_warnings(scores.warnings())
    return report, text, _image(plot)[None], _annotated(frames, scores), scores.score


def frame_ticks() -> Callable[[int, int], None]:
    """What a loop calls with the frames done and their number: it moves the progress bar and stops on interrupt."""
    bar = None

    def tick(done: int, total: int) -> None:
        nonlocal bar
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar = bar or comfy.utils.ProgressBar(total)
        bar.update_absolute(done, total)

    return tick


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


def _save(save_as: str, text: str, plot: np.ndarray) -> str:
    """Write both files under the host's next number; their name without the endings."""
    height, width = plot.shape[:2]
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
        save_as.strip(), folder_paths.get_output_directory(), width, height
    )
    # ComfyUI counts on names that end in an underscore; without it the next run would take the same number.
    stem = f"{name}_{counter:05}_"
    for ending, content in ((".json", text.encode()), (".png", as_png(plot))):
        target = Path(folder, stem + ending)
        with unfinished_beside(target) as part:
            part.write_bytes(content)
            part.replace(target)
    return f"{Path(subfolder, stem).as_posix()}.json and .png"


def _annotated(frames: ImageFrames, scores: IdentityScores) -> torch.Tensor:
    first = frames[0]
    result = torch.empty(len(scores.frames), *first.shape)
    for number, frame in enumerate(scores.frames):
        comfy.model_management.throw_exception_if_processing_interrupted()
        result[number] = _image(annotate_frame(frames[frame.index], frame, scores))
    return result


def _image(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255)
