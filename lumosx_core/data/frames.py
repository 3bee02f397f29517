"""The frames that references come from, as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..media.video import VideoFile
from .backends import Backends
from .settings import Settings
from .shots import CLIP
from .work import Result, read_pixels, result_of, stage, write_picture


@stage("frames", "filters", ("fractions",))
def frames(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Save the frames at 5, 50 and 95 % of a clip: ``frames/frame_N.png``."""
    last = result_of(folder, "clip")["frames"] - 1
    chosen = sorted({round(fraction * last) for fraction in settings.fractions})
    files = [
        write_picture(folder, file_of(number), Image.fromarray(pixels))
        for number, pixels in enumerate(VideoFile(folder / CLIP)) if number in chosen
    ]
    return {"chosen": chosen[:len(files)], "files": files}


def file_of(number: int) -> str:
    """The picture of a frame in the work folder."""
    return f"frames/frame_{number}.png"


def read_frames(folder: Path) -> dict[int, np.ndarray]:
    """The chosen frames by their numbers, RGB [H, W, 3] uint8."""
    return {number: read_pixels(folder, file_of(number)) for number in result_of(folder, "frames")["chosen"]}
