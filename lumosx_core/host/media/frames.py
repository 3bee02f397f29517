"""IMAGE batches as frames that the core looks at, frames as IMAGEs, and the host's progress over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import comfy.model_management
import comfy.utils
import numpy as np
import torch

from ...errors import LumosXError
from ...media.pictures import one_picture, pil_from_tensor


class ImageFrames:
    """An IMAGE batch [frames, H, W, channels] as RGB frames [H, W, 3] uint8, made one at a time.

    Raises:
        LumosXError: on reading a frame that is not a picture.
    """

    def __init__(self, images: torch.Tensor):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        return as_pixels(one_picture(self.images[index], "images"))

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


def check_video(images: torch.Tensor) -> None:
    """Raise LumosXError for an IMAGE that is no video."""
    if images.ndim != 4 or 0 in images.shape or images.shape[3] not in (3, 4):
        raise LumosXError(
            f"images: their shape is {tuple(images.shape)}; link the frames of a video, (frames, height, width, 3)."
        )
    if not torch.isfinite(images).all():
        raise LumosXError("images: they contain values that are not numbers; check the node that made them.")


def as_pixels(picture: torch.Tensor) -> np.ndarray:
    """An RGB picture [1, H, W, 3] in [0, 1] as [H, W, 3] uint8."""
    return np.array(pil_from_tensor(picture))


def as_picture(pixels: np.ndarray) -> torch.Tensor:
    """[H, W, 3] uint8 as an RGB picture [1, H, W, 3] in [0, 1]."""
    return torch.from_numpy(pixels.astype(np.float32) / 255)[None]


def as_batch(pictures: Iterable[np.ndarray], count: int) -> torch.Tensor:
    """``count`` pictures [H, W, 3] uint8 of one size, at least one, as an IMAGE [count, H, W, 3] in [0, 1].

    They are made one at a time, and an interrupt stops between them.
    """
    batch = None
    for number, pixels in enumerate(pictures):
        comfy.model_management.throw_exception_if_processing_interrupted()
        if batch is None:
            batch = torch.empty(count, *pixels.shape)
        batch[number] = as_picture(pixels)[0]
    if batch is None:
        raise ValueError("there is no picture")
    return batch


def split_batch(image: torch.Tensor, source: str) -> list[torch.Tensor]:
    """Each picture of an IMAGE as RGB [1, H, W, 3] in [0, 1], transparency laid on white.

    Args:
        source: the input's name, for messages.

    Raises:
        LumosXError: as ``one_picture``.
    """
    if image.ndim != 4 or len(image) == 0:
        return [one_picture(image, source)]
    return [one_picture(picture[None], source) for picture in image]


def frame_ticks() -> Callable[[int, int], None]:
    """What a loop calls with the frames done and their number: it moves the progress bar and stops on interrupt."""
    bar = None

    def tick(done: int, total: int) -> None:
        nonlocal bar
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar = bar or comfy.utils.ProgressBar(total)
        bar.update_absolute(done, total)

    return tick
