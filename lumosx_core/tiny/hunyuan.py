"""The small HunyuanVideo of the drawn world: its sizes, its latents, and its PolyVivid adapter."""

from __future__ import annotations

import torch
from torch import nn

from ..models.hunyuan.config import HunyuanConfig
from ..models.polyvivid.config import AdapterConfig
from .codec import denormalised, normalised
from .learned import LearnedCodec
from .llava import GRID, HIDDEN

SIZE = HunyuanConfig(
    hidden_size=128, num_heads=1, depth=4, depth_single_blocks=3, context_in_dim=HIDDEN, guidance_embed=False
)
"""ComfyUI assumes heads of 128 channels, so there is one."""
RANK, PICTURE_SIDE = 32, 96
"""The rank of the adapter, and the pixels of a subject's square: as many tokens as the vision model makes of it."""
SCALE = 0.476986
"""The factor by which ComfyUI multiplies the latents of HunyuanVideo's VAE."""


def adapter_config() -> AdapterConfig:
    """The settings of the small adapter.

    Its injection is rotated by rows and columns; the paper does not mention rotation here. So a token of the video
    already attends mostly to the same row of the pictures before any training (half of the attention on a trained base;
    a sixth without rotation).
    """
    return AdapterConfig.for_base(SIZE, RANK, image_grid=GRID, ref_size=PICTURE_SIDE, inject_rope="spatial")


class HunyuanCodec(nn.Module):
    """The small codec in place of HunyuanVideo's VAE: the model gets the same normalised latents.

    Args:
        codec: that of the drawn world, whose latents are scaled as Wan2.1's.
    """

    def __init__(self, codec: LearnedCodec) -> None:
        super().__init__()
        self.codec = codec

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """As ``Codec.encode``, but ``SCALE`` times the latent has the normalised values."""
        return normalised(self.codec.encode(pixels)) / SCALE

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """As ``Codec.decode`` of such a latent."""
        return self.codec.decode(denormalised(latent * SCALE))
