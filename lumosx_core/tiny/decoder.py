"""A learned decoder of the drawn world: it paints a latent at twice the size that was encoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..errors import LumosXError
from ..models.wan.config import WAN21_LATENT
from .codec import FRAMES_PER_LATENT, normalised, pictures_of, world_codec
from .trained import DECODER

SCALE = 16
"""Painted pixels along each side for one latent pixel, which stands for 8 encoded ones."""


CHANNELS, BLOCKS = (112, 64, 48, 24), (4, 1, 0, 1)
"""Of the features at 1, 2, 4 and 8 times the latent's size, and their residual blocks."""


class Decoder(nn.Module):
    """Paints each frame of a latent by itself, with convolutions alone, so that any size works."""

    def __init__(self, channels: Sequence[int] = CHANNELS, blocks: Sequence[int] = BLOCKS) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(WAN21_LATENT.channels, channels[0])]
        for width, count, following in zip(channels, blocks, (*channels[1:], None)):
            layers += [_Residual(width) for _ in range(count)]
            layers += [nn.SiLU()] if following is None else []
            layers += [_convolution(width, 4 * (following or 3)), nn.PixelShuffle(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """RGB [n, 3, 16 h, 16 w], about -1..1, of normalised latents [n, 16, h, w]."""
        return self.layers(latent)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (_convolution(width, width) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


def _convolution(width: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(width, out, 3, padding=1)


def initialise_decoder(decoder: Decoder, seed: int) -> None:
    """Draw the weights to train from; a residual block changes little at first."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in decoder.named_parameters():
        if parameter.ndim == 1:
            parameter.data.zero_()
        else:
            gain = 0.15 if name.endswith("second.weight") else 0.6
            parameter.data.normal_(std=gain * parameter[0].numel() ** -0.5, generator=generator)


class PaintingCodec(nn.Module):
    """Encodes with the block transform of the drawn world, and decodes at twice the size with a learned decoder.

    Args:
        decoder: takes normalised latents.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.transform, self.decoder = world_codec(), decoder

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """As ``BlockTransformCodec.encode``."""
        return self.transform.encode(pixels)

    def encode_pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """As ``BlockTransformCodec.encode_pictures``."""
        return self.transform.encode_pictures(pictures)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Video of a latent: [B, 16, T, h, w] to [B, 3, 4(T-1)+1, 16h, 16w], about -1..1.

        The first latent frame is one frame of video, every other one is held for four. Frames are painted one by one,
        so that what this takes does not grow with their number.
        """
        batch, _, length, height, width = latent.shape
        video = latent.new_empty(batch, 3, FRAMES_PER_LATENT * (length - 1) + 1, SCALE * height, SCALE * width)
        for number, frame in enumerate(normalised(latent).unbind(2)):
            first = max(0, FRAMES_PER_LATENT * (number - 1) + 1)
            video[:, :, first:FRAMES_PER_LATENT * number + 1] = self.decoder(frame)[:, :, None]
        return video

    def decode_pictures(self, latents: torch.Tensor) -> np.ndarray:
        """RGB [n, 16h, 16w, 3], 0..255 float32, of latents [n, 16, 1, h, w]."""
        with torch.no_grad():
            return pictures_of(self.decode(latents))


def load_decoder(path: Path = DECODER) -> Decoder:
    """The decoder of a file, in float32, not to be trained.

    Raises:
        LumosXError: the file is missing, or it is not of a decoder.
    """
    decoder = Decoder()
    try:
        decoder.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise LumosXError(f"{path.name}: the decoder cannot be loaded ({reason}); install the pack again.") from error
    return decoder.requires_grad_(False)


def painting_codec(path: Path = DECODER) -> PaintingCodec:
    """The codec of the small VAE; raises as ``load_decoder``."""
    return PaintingCodec(load_decoder(path))
