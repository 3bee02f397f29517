"""The last frames of a clip, or a picture, as the first frames of the next clip; and clips joined to one."""

from __future__ import annotations

from typing import Any

import comfy.utils
import torch

from ...errors import LumosXError
from ...models.wan.config import WAN21_LATENT
from ...repair.pasting import resized
from ..conditioning.video_size import MOST_FRAMES

_ADVICE = "link the latent output of LumosX Relational Encode"


def check_overlap(overlap_frames: int) -> None:
    """Raise LumosXError for a number of frames that the VAE cannot pack: it takes 4 n + 1."""
    if not WAN21_LATENT.has_frames(overlap_frames) or overlap_frames > MOST_FRAMES:
        use = min(WAN21_LATENT.nearest_frames(overlap_frames), MOST_FRAMES)
        raise LumosXError(
            f"overlap_frames: {overlap_frames} is not {WAN21_LATENT.frame_stride} n + 1 from 1 to {MOST_FRAMES}; use "
            f"{use}."
        )


def continue_clip(latent: dict, vae: Any, images: torch.Tensor, overlap_frames: int) -> tuple[dict, int]:
    """The latent of a clip that begins with what an earlier one ended with.

    A latent frame depends on its place: the first one stands for one video frame, each other one for four, and all but
    the first on those before. So the last frames are encoded again, as the beginning that they become, instead of
    taking them out of the earlier clip's latent.

    Args:
        latent: LATENT of the next clip, [batch, 16, frames, h, w].
        vae: that of Wan2.1.
        images: IMAGE of the earlier clip [F, H, W, C], in the proportions of the next one; or one picture.
        overlap_frames: video frames to take over, 4 n + 1; of a picture always 1.

    Returns:
        A new LATENT, in every video of which these frames are set and kept from noise by ``noise_mask``
        [1 or batch, 1, frames, h, w]; and how many video frames they are.

    Raises:
        LumosXError: as ``check_overlap``; or an input that is no video, does not fit the others, or is too short.
    """
    samples = _checked_latent(latent)
    _check_images(images, "images")
    frames = 1 if len(images) == 1 else overlap_frames
    check_overlap(frames)
    if frames > len(images):
        use = WAN21_LATENT.video_frames(WAN21_LATENT.latent_frames(len(images)))
        raise LumosXError(f"overlap_frames: {frames}, but images has only {len(images)} frames; use {use}.")
    kept, length = WAN21_LATENT.latent_frames(frames), samples.shape[2]
    if kept >= length:
        whole, most = WAN21_LATENT.video_frames(length), WAN21_LATENT.video_frames(max(1, length - 1))
        use = f"use {most} or less, or a longer video" if length > 1 else "set more frames in LumosX Relational Encode"
        raise LumosXError(
            f"overlap_frames: {frames} frames leave nothing to sample of the {whole} of latent; {use}."
        )
    size = WAN21_LATENT.pixels(samples.shape)
    _check_proportions(images, size)
    encoded = vae.encode(resized(images[-frames:, ..., :3], size))
    wanted = (1, WAN21_LATENT.channels, kept, *samples.shape[3:])
    if tuple(encoded.shape) != wanted:
        raise LumosXError(
            f"vae: it makes latents of shape {tuple(encoded.shape)} instead of {wanted}; load wan_2.1_vae.safetensors."
        )
    begun = samples.clone()
    begun[:, :, :kept] = encoded.to(samples)
    mask = _mask_of(latent, samples)
    mask[:, :, :kept] = 0
    return {**latent, "samples": begun, "noise_mask": mask}, frames


def join_clips(first: torch.Tensor, second: torch.Tensor, overlap: int) -> torch.Tensor:
    """Two clips [F, H, W, C] as one; the first ``overlap`` frames of the second, which both have, are left out.

    Raises:
        LumosXError: no videos, other sizes, or an overlap that is longer than one of them.
    """
    for name, images in (("first", first), ("second", second)):
        _check_images(images, name)
    if first.shape[1:3] != second.shape[1:3]:
        raise LumosXError(
            f"second: its frames are {_size_of(second)} pixels, but those of first are {_size_of(first)}; bring one of "
            "them to the size of the other with Upscale Image."
        )
    if overlap > len(first) or overlap >= len(second):
        name, images = ("first", first) if overlap > len(first) else ("second", second)
        raise LumosXError(
            f"overlap: {overlap} frames, but {name} has {len(images)}; link the overlap of the LumosX Continue that "
            "second was sampled from."
        )
    channels = min(first.shape[3], second.shape[3])
    return torch.cat([first[..., :channels], second[overlap:, ..., :channels].to(first)])


def _checked_latent(latent: dict) -> torch.Tensor:
    samples = latent.get("samples")
    if not isinstance(samples, torch.Tensor) or getattr(samples, "is_nested", False):
        raise LumosXError(f"latent: it contains {type(samples).__name__} instead of one video; {_ADVICE}.")
    if samples.ndim != 5 or samples.shape[1] != WAN21_LATENT.channels or 0 in samples.shape:
        raise LumosXError(
            f"latent: its shape is {tuple(samples.shape)} instead of (batch, {WAN21_LATENT.channels}, frames, height, "
            f"width); {_ADVICE}."
        )
    return samples


def _check_images(images: torch.Tensor, name: str) -> None:
    if images.ndim != 4 or 0 in images.shape or images.shape[3] not in (3, 4):
        raise LumosXError(f"{name}: {tuple(images.shape)} is no video; link the IMAGE output of VAE Decode.")
    if not torch.isfinite(images).all():
        raise LumosXError(f"{name}: it contains values that are not numbers; check the node that made it.")


def _check_proportions(images: torch.Tensor, size: tuple[int, int]) -> None:
    """Frames that are larger or smaller are brought to the size; cutting them is for the user to decide."""
    height, width = images.shape[1:3]
    if width * size[1] != height * size[0]:
        raise LumosXError(
            f"images: they are {_size_of(images)} pixels, but latent is of a video of {size[0]}x{size[1]}, which has "
            f"other proportions; use Upscale Image with {size[0]}, {size[1]} and crop center."
        )


def _size_of(images: torch.Tensor) -> str:
    return f"{images.shape[2]}x{images.shape[1]}"


def _mask_of(latent: dict, samples: torch.Tensor) -> torch.Tensor:
    """Where the latent's own mask lets noise, [1 or batch, 1, frames, h, w]; everywhere without one."""
    mask = latent.get("noise_mask")
    if mask is None:
        return torch.ones(1, 1, *samples.shape[2:])
    if not (torch.is_tensor(mask) and mask.ndim >= 2 and mask.numel() and torch.isfinite(mask).all()):
        raise LumosXError(
            "latent: its noise_mask is empty or contains values that are not numbers; check the node that set it, "
            "such as Set Latent Noise Mask."
        )
    return comfy.utils.reshape_mask(mask.float(), samples.shape)[:, :1].clone()
