"""One stretch of one face: cut out, sampled again from its own latent, and pasted back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch
import torch.nn.functional as F

from ...errors import LumosXError
from ...models.wan.config import WAN21_LATENT
from ...repair.pasting import cut_out, paste, resized
from ...repair.windows import Window, parts_of
from ...scene.relations import Reference
from ..conditioning.one_person import WholeScene
from ..conditioning.video_size import VideoSize
from ..sampling.sampler import SamplingPlan, run_sampler


@dataclass(frozen=True)
class RepairPlan:
    """How faces are repaired.

    Attributes:
        sampling: as LumosX Sampler; its denoise decides how much of a face is new.
        crop_size: the longer side of what is sampled, in pixels.
        padding: around a face on each side, as a share of its size.
        grow: how much larger than the face what is pasted is, as a share of its size.
        feather: pixels of the video in which what is new fades out.
        most_frames: that are sampled together.
    """

    sampling: SamplingPlan
    crop_size: int = 480
    padding: float = 0.5
    grow: float = 0.2
    feather: int = 12
    most_frames: int = 81


@dataclass(frozen=True, eq=False)
class Tools:
    """What samples: MODEL, VAE, and what the scene became."""

    model: Any
    vae: Any
    scene: WholeScene


def resample(
    images: torch.Tensor, frames: range, window: Window, weights: torch.Tensor, person: int, face: Reference,
    tools: Tools, plan: RepairPlan,
) -> None:
    """Sample a window again and write it into the video.

    Args:
        images: [F, H, W, 3 or 4], changed in place.
        frames: of the stretch; ``window`` has a corner for each and ``weights`` [n, h, w] a picture.
        person: number of the subject, from 0.
        face: its face.
    """
    fresh: list[torch.Tensor] = []
    for part in parts_of(len(frames), plan.most_frames):
        comfy.model_management.throw_exception_if_processing_interrupted()
        own = dataclasses.replace(window, corners=window.corners[part.start:part.stop])
        made = _sampled(
            images, frames[part.start:part.stop], own, weights[part.start:part.stop], person, face, tools, plan
        )
        _append(fresh, made, part.start)
    for frame, corner, made, weight in zip(frames, window.corners, fresh, weights, strict=True):
        comfy.model_management.throw_exception_if_processing_interrupted()
        paste(images[frame], made, weight, corner)


def _append(fresh: list[torch.Tensor], made: torch.Tensor, start: int) -> None:
    """Add the pictures of a part; those that it shares with the part before fade into each other."""
    shared = len(fresh) - start
    for index, picture in enumerate(made):
        if index < shared:
            fresh[start + index] = torch.lerp(fresh[start + index], picture, (index + 1) / (shared + 1))
        else:
            fresh.append(picture)


def _sampled(
    images: torch.Tensor, frames: range, window: Window, weights: torch.Tensor, person: int, face: Reference,
    tools: Tools, plan: RepairPlan,
) -> torch.Tensor:
    """[n, h, w, 3], as large as the window, on the CPU."""
    width, height = window.sampled_size(plan.crop_size, WAN21_LATENT)
    size = VideoSize(width, height, WAN21_LATENT.padded_frames(len(frames)))
    cut = cut_out(images, window, frames, (width, height))
    # The last frame stands still until the number of frames is one that the VAE takes.
    padded = torch.cat([cut, cut[-1:].expand(size.frames - len(frames), -1, -1, -1)])
    latent = tools.vae.encode(padded)
    if tuple(latent.shape) != size.latent_shape:
        raise LumosXError(
            f"vae: it makes latents of shape {tuple(latent.shape)} instead of {size.latent_shape}; load "
            "wan_2.1_vae.safetensors."
        )
    positive, negative = tools.scene.of_person(person, face, tools.vae, size)
    start = {"samples": latent, "noise_mask": _latent_mask(weights, latent)}
    made = run_sampler(tools.model, positive, negative, start, plan.sampling)
    pictures = tools.vae.decode(made["samples"])
    return resized(pictures.flatten(0, -4)[:len(frames), ..., :3].cpu(), (window.width, window.height))


def _latent_mask(weights: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
    """[1, 1, frames, h, w], 1 for each latent pixel that holds anything new; what is around a face stays as it is."""
    frames, height, width = latent.shape[2:]
    stride = WAN21_LATENT.frame_stride
    small = F.adaptive_max_pool2d((weights > 0).float()[:, None], (height, width))[:, 0]
    # The first latent frame is one video frame, each other one holds as many as the stride.
    padded = torch.cat([small[:1].expand(stride - 1, -1, -1), small, small[-1:].expand(stride, -1, -1)])
    return padded[:frames * stride].unflatten(0, (frames, stride)).amax(1)[None, None]
