"""Whether a LATENT is one that a model can sample."""

from __future__ import annotations

from typing import Any

import comfy.sample
import torch

from ...errors import LumosXError

_ADVICE = "link the latent output of LumosX Relational Encode, or a video encoded by Wan2.1's VAE"
_HIGHEST_INDEX = 1 << 16


def fitting_samples(model: Any, latent: Any) -> torch.Tensor:
    """The samples of a LATENT, as the model takes them; empty ones get its channels, as with ComfyUI's own samplers.

    Args:
        model: a ModelPatcher.
        latent: what is linked, in general {"samples": [batch, channels, frames, height, width]}.

    Raises:
        LumosXError: no tensor, nothing to sample, another number of dimensions or channels, values that are not
            numbers, or a noise mask or batch index that does not fit them.
    """
    samples = latent.get("samples") if isinstance(latent, dict) else None
    # Nested ones hold sound beside the video.
    if not isinstance(samples, torch.Tensor) or getattr(samples, "is_nested", False):
        raise LumosXError(f"latent: it contains {type(samples).__name__} instead of one video; {_ADVICE}.")
    if 0 in samples.shape:
        raise LumosXError(f"latent: its shape is {tuple(samples.shape)}, so it contains nothing to sample; {_ADVICE}.")
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
        raise LumosXError("latent: it contains values that are not numbers; check the node that made it.")
    _check_mask(latent.get("noise_mask"))
    _check_index(latent.get("batch_index"), samples.shape[0])
    return samples if samples.is_floating_point() else samples.float()


def _check_mask(mask: Any) -> None:
    if mask is not None and not (torch.is_tensor(mask) and mask.numel() and torch.isfinite(mask).all()):
        raise LumosXError(
            "latent: its noise_mask is empty or contains values that are not numbers; check the node that set it, "
            "such as Set Latent Noise Mask."
        )


def _check_index(index: Any, batch: int) -> None:
    """The host draws noise until the highest index, and as many videos as there are indices."""
    if index is None:
        return
    fits = isinstance(index, list | tuple) and len(index) == batch
    if not fits or not all(isinstance(each, int) and 0 <= each <= _HIGHEST_INDEX for each in index):
        raise LumosXError(
            f"latent: its batch_index must be {batch} whole numbers from 0 to {_HIGHEST_INDEX}, one for each video; "
            "check the node that set it, such as Latent From Batch."
        )
