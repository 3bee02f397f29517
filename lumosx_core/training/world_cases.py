"""Clips of the drawn world as cases to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..cases import write_case_folder
from ..media.video import write_video
from ..tiny.world.clip import Cast, draw_frames, draw_references
from ..tiny.world.relations import scene_of
from ..tiny.world.script import Script
from .cases import FPS, VIDEOS
from .examples import length_of


def write_world_case(folder: Path, script: Script, cast: Cast, frames: int, zoom: float = 1) -> Path:
    """Write a clip as a case folder with its video; references are straight views.

    Args:
        folder: to be made; a case without a video that is there is replaced.
        frames: latent frames; each but the first is four frames of the video.
        zoom: pixels of a unit of the world; the video is 128 x 96 units.

    Returns:
        The folder.

    Raises:
        LumosXError: something else is in the way, it cannot be written, or PyAV is missing.
    """
    scene = scene_of(script, (picture for _, picture in draw_references(None, script, cast)))
    made = write_case_folder(scene, script.prompt, folder.name, folder, replace=True)
    video = map(np.asarray, draw_frames(script, cast, length_of(frames), zoom))
    write_video(list(video), made / VIDEOS[0], FPS)
    return made
