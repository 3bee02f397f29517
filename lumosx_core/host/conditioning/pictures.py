"""References as the latents that the host's VAE makes of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.latent_formats
import comfy.model_management
import comfy.utils
import torch
from PIL import Image

from ...errors import LumosXError
from ...media import letterbox, pil_from_tensor, tensor_from_pil
from ...models.wan.config import WAN21_LATENT
from ...scene.relations import Reference
from .encodings import Encodings
from .video_size import VideoSize

SAME, ZERO, WHITE = "same as positive", "zero latents", "white pictures"
UNCONDITIONAL = (SAME, ZERO, WHITE)


def reference_latents(
    encodings: Encodings, vae: Any, references: tuple[Reference, ...], size: VideoSize
) -> list[torch.Tensor]:
    """Normalised latents, one [1, 16, 1, h, w] a reference with a picture, each letterboxed into the video.

    Raises:
        LumosXError: another kind of VAE.
    """
    images = [reference.image for reference in references if reference.image is not None]
    progress = comfy.utils.ProgressBar(len(images))
    latents = []
    for image in images:
        comfy.model_management.throw_exception_if_processing_interrupted()
        picture = letterbox(pil_from_tensor(image), size.width, size.height)
        latents.append(encodings.latent(vae, picture, partial(_encode_picture, vae, size)))
        progress.update(1)
    return latents


def _encode_picture(vae: Any, size: VideoSize, picture: Image.Image) -> torch.Tensor:
    """One picture a call: a batch would become a video."""
    latent = vae.encode(tensor_from_pil(picture))
    wanted = (1, WAN21_LATENT.channels, 1, *size.latent_shape[3:])
    if tuple(latent.shape) != wanted:
        raise LumosXError(
            f"vae: it makes latents of shape {tuple(latent.shape)} instead of {wanted}; load wan_2.1_vae.safetensors."
        )
    return comfy.latent_formats.Wan21().process_in(latent)


def unconditional_latents(
    encodings: Encodings, vae: Any, latents: list[torch.Tensor], size: VideoSize, choice: str
) -> list[torch.Tensor]:
    """The references of the unconditional pass, shaped as ``latents``.

    Raises:
        LumosXError: ``choice`` is none of ``UNCONDITIONAL``.
    """
    if choice not in UNCONDITIONAL:
        raise LumosXError(
            f"unconditional_references: {choice!r} is not a choice; choose one of {', '.join(UNCONDITIONAL)}."
        )
    if choice == SAME:
        return latents
    if choice == ZERO:
        return [torch.zeros_like(latent) for latent in latents]
    picture = Image.new("RGB", (size.width, size.height), "white")
    return [encodings.latent(vae, picture, partial(_encode_picture, vae, size))] * len(latents)
