"""IMAGE batches as frames and back under the real host, with progress and interrupts."""

import comfy.model_management
import comfy.utils
import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.frames import ImageFrames, as_batch, as_picture, as_pixels, frame_ticks, split_batch


def random_pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_frames_are_exact_and_transparency_becomes_white():
    pixels = random_pixels(2, 5, 4, 3)
    frames = ImageFrames(torch.from_numpy(pixels.astype(np.float32) / 255))
    assert len(frames) == 2 and np.array_equal(np.stack(list(frames)), pixels)
    clear = ImageFrames(torch.zeros(1, 2, 2, 4))
    assert (clear[0] == 255).all()
    with pytest.raises(LumosXError, match="images: the image contains values that are not numbers"):
        ImageFrames(torch.full((1, 2, 2, 3), float("nan")))[0]


def test_pictures_and_pixels_are_the_same_thing():
    pixels = random_pixels(4, 5, 3)
    picture = as_picture(pixels)
    assert picture.shape == (1, 4, 5, 3) and picture.dtype == torch.float32 and picture.max() <= 1
    assert (as_pixels(picture) == pixels).all()


def test_pixels_are_a_copy():
    picture = torch.zeros(1, 2, 2, 3)
    as_pixels(picture)[:] = 255
    assert picture.max() == 0


def test_a_batch_is_made_of_pictures_one_at_a_time_and_stops_on_interrupt():
    pixels = random_pixels(3, 4, 5, 3)
    batch = as_batch(iter(pixels), 3)
    assert batch.shape == (3, 4, 5, 3) and all(torch.equal(batch[i], as_picture(pixels[i])[0]) for i in range(3))
    made = []

    def drawn():
        for frame in pixels:
            made.append(frame)
            comfy.model_management.interrupt_current_processing(len(made) == 2)
            yield frame

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        as_batch(drawn(), 3)
    assert len(made) == 2


def test_a_batch_of_no_picture_is_none():
    with pytest.raises(ValueError, match="no picture"):
        as_batch(iter([]), 0)


def test_a_batch_is_split_and_laid_on_white():
    pictures = split_batch(torch.zeros(2, 4, 5, 4), "here")
    assert [picture.shape for picture in pictures] == [(1, 4, 5, 3)] * 2 and all((one == 1).all() for one in pictures)
    for none in (torch.zeros(0, 4, 5, 3), torch.zeros(1, 4, 5, 2)):
        with pytest.raises(LumosXError, match="^here: "):
            split_batch(none, "here")


def test_ticks_move_the_progress_bar():
    seen = []
    comfy.utils.set_progress_bar_global_hook(lambda done, total, *rest, **more: seen.append((done, total)))
    try:
        tick = frame_ticks()
        for done in range(4):
            tick(done, 3)
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
    # ComfyUI may leave out some that come close together.
    assert seen[0] == (0, 3) and seen[-1] == (3, 3) and seen == sorted(seen)
