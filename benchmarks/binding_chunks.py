"""A clip that begins with the end of another one, for ``bench binding``: sampled, and measured where it is new."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from lumosx_core.tiny.codec import FRAMES_PER_LATENT, Codec, normalised
from lumosx_core.tiny.world.clip import Cast
from lumosx_core.tiny.world.measure import Measured, measure_clip
from lumosx_core.tiny.world.script import Script
from lumosx_core.training.checking import decode_frames

FRAMES = 5
"""Latent frames of each of the two clips: 17 of the video."""
OVERLAP = 5
"""Video frames that both clips have, two latent ones."""
NEW = range(2, FRAMES)
"""Latent frames of the second clip that are not the first clip's."""


def vae_of(codec: torch.nn.Module) -> Any:
    """A VAE of ComfyUI with a codec, for LumosX Continue to encode with."""
    from lumosx_core.host.weights.tiny import LEARNED, load_tiny_vae, put_codec

    vae = load_tiny_vae(LEARNED)
    put_codec(vae, codec)
    return vae


def second_clips(
    first: torch.Tensor, codec: Codec, vae: Any, sample: Callable[[dict], torch.Tensor]
) -> torch.Tensor:
    """What LumosX Continue and a sampler make of the clips of a batch, normalised [batch, 16, frames, h, w].

    Args:
        first: the first clips, as the result.
        codec: of their latents.
        vae: of the same codec, see ``vae_of``.
        sample: from a LATENT to the samples that ComfyUI hands on.
    """
    from lumosx_core.host.media.continuing import continue_clip

    begun = []
    for clip in first:
        frames = torch.from_numpy(decode_frames(clip, codec)) / 255
        begun.append(continue_clip({"samples": torch.zeros_like(first[:1])}, vae, frames, OVERLAP)[0])
    latent = {**begun[0], "samples": torch.cat([each["samples"] for each in begun])}
    return normalised(sample(latent).float().cpu())


def measured_where_new(
    script: Script, cast: Cast, other: Cast, latent: torch.Tensor, codec: Codec, is_second: bool
) -> Measured:
    """What ``measure_clip`` finds in the last video frame of each of the latent frames ``NEW``.

    The second clip is compared with drawings of the time after the first; the first with its own, in the same places.
    """
    video = decode_frames(latent, codec)
    seen = np.array([place * FRAMES_PER_LATENT for place in NEW])
    later = len(video) - OVERLAP if is_second else 0
    return measure_clip(script, cast, other, video[seen], [int(frame) + later for frame in seen], len(video) + later)
