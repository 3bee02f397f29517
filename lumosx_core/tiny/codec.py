"""A fixed stand-in for the Wan2.1 VAE: the low frequencies of 8x8 blocks, with Wan's strides and latent statistics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..models.wan.config import WAN21_LATENT

BLOCK = WAN21_LATENT.pixel_stride
FRAMES_PER_LATENT = WAN21_LATENT.frame_stride

WAN21_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)  # fmt: skip
WAN21_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)  # fmt: skip
"""Published per-channel statistics of Wan2.1 latents: normalised = (latent - mean) / std."""

_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""ITU-R BT.601. RGB in -1..1 gives all three in -1..1."""

_LUMA_ORDER = 4
_CHROMA_ORDER = 2
"""Frequencies (v, u) with v + u below the order are kept: 10 of luma, 3 of each chroma."""

_COEFFICIENT_MEAN = (1.5,) + (0.0,) * 9 + (-0.4, 0.0, 0.0, 0.2, 0.0, 0.0)
_COEFFICIENT_STD = (4.5,) + (0.6,) * 2 + (0.3,) * 3 + (0.2,) * 4 + (1.2, 0.12, 0.12) * 2
"""Statistics of the kept coefficients on ordinary pictures."""

WORLD_MEAN = (2.0,) + (0.0,) * 15
WORLD_STD = (3.2,) + (3.8,) * 2 + (2.2,) * 3 + (1.35,) * 4 + (1.9, 2.4, 2.2) + (2.2, 2.6, 2.6)
"""Statistics on pictures of the drawn world, but for the details within a block, which are kept smaller: mean colours
then deviate by 1 and details by a quarter of it, so that a model learns colours first."""


class Codec(Protocol):
    """What stands in for the Wan2.1 VAE."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latent [B, 16, T, H/8, W/8], not normalised, of a video [B, 3, 4(T-1)+1, H, W] in -1..1."""

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """The video of a latent, about -1..1; a codec may paint it larger than it was encoded."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """As of a module."""

    def buffers(self) -> Iterator[torch.Tensor]:
        """As of a module."""


class BlockTransformCodec(torch.nn.Module):
    """Encode and decode video like the Wan2.1 VAE, without weights to learn.

    Both directions are linear: one 8x8 convolution of stride 8 over the frames. Encoding what was decoded gives the
    latent back.

    Args:
        mean, std: of the kept coefficients; they become those of Wan2.1's latents.
    """

    def __init__(
        self, mean: tuple[float, ...] = _COEFFICIENT_MEAN, std: tuple[float, ...] = _COEFFICIENT_STD
    ) -> None:
        super().__init__()
        analysis, synthesis = _basis()
        coefficient_mean = torch.tensor(mean)
        gain = torch.tensor(WAN21_STD) / torch.tensor(std)
        offset = torch.tensor(WAN21_MEAN) - gain * coefficient_mean
        self.register_buffer("analysis", analysis * gain.view(-1, 1, 1, 1))
        self.register_buffer("synthesis", synthesis / gain.view(-1, 1, 1, 1))
        self.register_buffer("offset", offset)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latent of a video.

        Args:
            pixels: [B, 3, F, H, W] in -1..1; H and W multiples of 8. Frames beyond the last 4n + 1 are left out, as the
                Wan VAE does.

        Returns:
            [B, 16, T, H/8, W/8] with T = (F - 1) // 4 + 1, not normalised.
        """
        batch = pixels.shape[0]
        groups = (pixels.shape[2] - 1) // FRAMES_PER_LATENT
        first, rest = pixels[:, :, :1], pixels[:, :, 1:1 + groups * FRAMES_PER_LATENT]
        averaged = rest.unflatten(2, (groups, FRAMES_PER_LATENT)).mean(3)
        frames = torch.cat((first, averaged), dim=2).transpose(1, 2).flatten(0, 1)
        latent = F.conv2d(frames, self.analysis.to(frames), self.offset.to(frames), stride=BLOCK)
        return latent.unflatten(0, (batch, groups + 1)).transpose(1, 2)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Video of a latent: [B, 16, T, h, w] to [B, 3, 4(T-1)+1, 8h, 8w], about -1..1.

        The first latent frame is one frame of video, every other one is held for four.
        """
        batch, _, length = latent.shape[:3]
        frames = latent.transpose(1, 2).flatten(0, 1) - self.offset.to(latent).view(-1, 1, 1)
        pixels = F.conv_transpose2d(frames, self.synthesis.to(frames), stride=BLOCK)
        pixels = pixels.unflatten(0, (batch, length)).transpose(1, 2)
        held = pixels[:, :, 1:].repeat_interleave(FRAMES_PER_LATENT, dim=2)
        return torch.cat((pixels[:, :, :1], held), dim=2)


def world_codec() -> BlockTransformCodec:
    """The codec whose latents suit the drawn world."""
    return BlockTransformCodec(WORLD_MEAN, WORLD_STD)


def block_transform() -> tuple[torch.Tensor, torch.Tensor]:
    """Kernels [16, 3, 8, 8] and offset [16] of a convolution that makes normalised latents of the drawn world."""
    codec = world_codec()
    mean, std = torch.tensor(WAN21_MEAN), torch.tensor(WAN21_STD)
    return codec.analysis / std.view(-1, 1, 1, 1), (codec.offset - mean) / std


def video_of(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """RGB pictures of one size as a video [3, F, H, W] in -1..1."""
    pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    return pixels.permute(3, 0, 1, 2).float() / 127.5 - 1


def pictures_of(video: torch.Tensor) -> np.ndarray:
    """A video [3, F, H, W] in -1..1 as RGB [F, H, W, 3], 0..255 float32."""
    return ((video.clamp(-1, 1) + 1) * 127.5).permute(1, 2, 3, 0).numpy()


def normalised(latent: torch.Tensor) -> torch.Tensor:
    """What the model sees of the codec's latent [B, 16, T, h, w], as ComfyUI's Wan21 latent format makes it."""
    return (latent - _of_channels(WAN21_MEAN, latent)) / _of_channels(WAN21_STD, latent)


def denormalised(latent: torch.Tensor) -> torch.Tensor:
    """The codec's latent of what the model made; undoes ``normalised``."""
    return latent * _of_channels(WAN21_STD, latent) + _of_channels(WAN21_MEAN, latent)


def _of_channels(numbers: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(numbers, device=like.device, dtype=like.dtype).view(1, -1, 1, 1, 1)


def _basis() -> tuple[torch.Tensor, torch.Tensor]:
    """Kernels [16, 3, 8, 8] that take a block's coefficients and put them back."""
    to_ycbcr = torch.tensor(_YCBCR, dtype=torch.float64)
    to_rgb = torch.linalg.inv(to_ycbcr)
    luma = [(0, v, u) for v, u in _low_frequencies(_LUMA_ORDER)]
    chroma = [(plane, v, u) for plane in (1, 2) for v, u in _low_frequencies(_CHROMA_ORDER)]
    analysis, synthesis = [], []
    for plane, v, u in luma + chroma:
        pattern = torch.outer(_cosine(v), _cosine(u))
        analysis.append(to_ycbcr[plane].view(3, 1, 1) * pattern)
        synthesis.append(to_rgb[:, plane].view(3, 1, 1) * pattern)
    return torch.stack(analysis).float(), torch.stack(synthesis).float()


def _low_frequencies(order: int) -> list[tuple[int, int]]:
    """Pairs (v, u) of vertical and horizontal frequency, lowest sums first."""
    return [(total - u, u) for total in range(order) for u in range(total + 1)]


def _cosine(frequency: int) -> torch.Tensor:
    """One row of the orthonormal DCT-II of length 8."""
    position = torch.arange(BLOCK, dtype=torch.float64) + 0.5
    scale = math.sqrt((1 if frequency == 0 else 2) / BLOCK)
    return scale * torch.cos(math.pi * frequency * position / BLOCK)
