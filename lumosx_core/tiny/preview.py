"""The colours of the small codec's latents, for ComfyUI's live previews: they change with the codec."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from .codec import BLOCK, Codec, normalised, video_of
from .world.cast import Split
from .world.clip import draw_cast, draw_frames
from .world.script import draw_script

RGB_FACTORS = (
    (0.2003, 0.2613, 0.1701),
    (0.0055, -0.0570, 0.0188),
    (-0.0162, 0.0607, -0.0494),
    (0.0190, -0.0601, 0.0320),
    (-0.0275, 0.1028, -0.0348),
    (0.0222, -0.0092, 0.0228),
    (-0.0121, -0.1538, -0.0064),
    (0.0212, 0.1259, 0.0249),
    (-0.0032, -0.0796, 0.0224),
    (-0.0146, 0.1464, -0.0422),
    (-0.0524, -0.0416, 0.2850),
    (-0.0016, 0.0416, -0.0097),
    (0.0090, -0.0509, 0.0071),
    (0.2884, -0.0836, -0.0268),
    (0.0160, 0.0913, 0.0308),
    (0.0363, 0.1049, 0.0335),
)
RGB_BIAS = (0.1509, 0.1256, 0.1418)
"""What ``fit_preview`` gives for the codec that ships; a test holds them against it and prints new ones."""

_SCRIPTS, _FRAMES, _SEED = 48, 2, 5


def fit_preview(codec: Codec) -> tuple[torch.Tensor, torch.Tensor]:
    """The colours that are nearest to the drawn world's, in the mean over the pixels that a latent pixel stands for.

    Args:
        codec: encodes pictures of the world.

    Returns:
        Factors [16, 3] and bias [3]: normalised latent @ factors + bias is RGB in -1..1.
    """
    random = np.random.default_rng(_SEED)
    pictures = []
    for _ in range(_SCRIPTS):
        script = draw_script(random, int(random.integers(1, 4)))
        pictures += draw_frames(script, draw_cast(random, script, Split.TRAIN), _FRAMES)
    frames = video_of(pictures).transpose(0, 1)
    with torch.no_grad():
        latents = normalised(codec.encode(frames[:, :, None]))[:, :, 0].movedim(1, -1).flatten(0, 2).double()
    colours = F.avg_pool2d(frames.double(), BLOCK).movedim(1, -1).flatten(0, 2)
    ones = torch.ones(len(latents), 1, dtype=torch.float64)
    solved = torch.linalg.lstsq(torch.cat((latents, ones), 1), colours, driver="gelsd").solution
    return solved[:-1], solved[-1]
