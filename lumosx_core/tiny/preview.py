"""The colours of the small codec's latents, for ComfyUI's live previews: they change with the codec."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .codec import BLOCK, normalised
from .world.cast import Split
from .world.clip import draw_cast, draw_frames
from .world.script import draw_script

RGB_FACTORS = (
    (0.4000, 0.4000, 0.4000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, -0.0817, 0.4208),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.3855, -0.1964, 0.0000),
    (0.0000, 0.0000, 0.0000),
    (0.0000, 0.0000, 0.0000),
)
RGB_BIAS = (0.2500, 0.2500, 0.2500)
"""What ``fit_preview`` gives for the codec that ships; a test holds them against it and prints new ones."""

_SCRIPTS, _FRAMES, _SEED = 48, 2, 5


def fit_preview(codec: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The colours that are nearest to the drawn world's, in the mean over the pixels that a latent pixel stands for.

    Args:
        codec: with ``encode_pictures``, as ``codec.BlockTransformCodec``.

    Returns:
        Factors [16, 3] and bias [3]: normalised latent @ factors + bias is RGB in -1..1.
    """
    random = np.random.default_rng(_SEED)
    pictures = []
    for _ in range(_SCRIPTS):
        script = draw_script(random, int(random.integers(1, 4)))
        pictures += draw_frames(script, draw_cast(random, script, Split.TRAIN), _FRAMES)
    with torch.no_grad():
        latents = normalised(codec.encode_pictures(pictures))[:, :, 0].movedim(1, -1).flatten(0, 2).double()
    frames = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).double() / 127.5 - 1
    colours = F.avg_pool2d(frames.permute(0, 3, 1, 2), BLOCK).movedim(1, -1).flatten(0, 2)
    ones = torch.ones(len(latents), 1, dtype=torch.float64)
    solved = torch.linalg.lstsq(torch.cat((latents, ones), 1), colours, driver="gelsd").solution
    return solved[:-1], solved[-1]
