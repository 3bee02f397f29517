"""Whether a LATENT is one that a model can sample."""

from __future__ import annotations

from typing import Any

import comfy.sample
import torch

from ..errors import LumosXError

_ADVICE = "link the latent output of LumosX Relational Encode, or a video encoded by Wan2.1's VAE"


def fitting_samples(model: Any, latent: Any) -> torch.Tensor:
    """The samples of a LATENT, as the model takes them; empty ones get its channels, as with ComfyUI's own samplers.

    Args:
        model: a ModelPatcher.
        latent: what is linked, in general {"samples": [batch, channels, frames, height, width]}.

    Raises:
        LumosXError: no tensor, nothing to sample, another number of dimensions or channels, or values that are not
            numbers.
    """
    samples = latent.get("samples") if isinstance(latent, dict) else None
    # Nested ones hold sound beside the video.
    if not isinstance(samples, torch.Tensor) or getattr(samples, "is_nested", False):
        raise LumosXError(f"latent: it holds {type(samples).__name__} instead of one video; {_ADVICE}.")
    if 0 in samples.shape:
        raise LumosXError(f"latent: its shape is {tuple(samples.shape)}, so it holds nothing to sample; {_ADVICE}.")
    wanted = model.get_model_object("latent_format")
    if samples.ndim not in (4, wanted.latent_dimensions + 2):
        raise LumosXError(
            f"latent: its shape is {tuple(samples.shape)}, but the model takes (batch, channels, frames, height, "
            f"width); {_ADVICE}."
        )
    samples = comfy.sample.fix_empty_latent_channels(model, samples)
    if samples.shape[1] != wanted.latent_channels:
        raise LumosXError(
            f"latent: it has {samples.shape[1]} channels, but the model takes {wanted.latent_channels}; {_ADVICE} "
            "(latents of Wan2.2's 5B model have 48)."
        )
    if not torch.isfinite(samples).all():
        raise LumosXError("latent: it holds values that are not numbers; check the node that made it.")
    return samples
