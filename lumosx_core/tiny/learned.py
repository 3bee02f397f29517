"""The learned codec of the drawn world: Wan's strides in time and space, and pictures painted at twice the size.

A latent frame stands for four frames of the video, the first one for a single frame. Encoder and decoder are
two-dimensional: four frames are twelve channels. The decoder also sees the latent frame before the one it paints, so
the codec is causal in time.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..errors import LumosXError
from ..models.wan.config import WAN21_LATENT
from .codec import FRAMES_PER_LATENT, block_transform, denormalised, normalised
from .trained import CODEC

SCALE = 16
"""Painted pixels along each side for one latent pixel, which stands for 8 encoded ones."""

_COLOURS = 3 * FRAMES_PER_LATENT
_ENCODED = (32, 48, 64)
"""Widths of the encoder's features at 1/2, 1/4 and 1/8 of the encoded size."""
_PAINTED, _BLOCKS = (112, 64, 48, 24), (3, 1, 0, 1)
"""Widths of the decoder's features at 1, 2, 4 and 8 times the latent's size, and their residual blocks."""
SPREAD = tuple(1.0 if channel in (0, 10, 13) else 0.5 for channel in range(WAN21_LATENT.channels))
"""Standard deviation of each channel on the drawn world. The three that begin as mean colours have more than those that
begin as details, so that a model learns colours first."""


class Residual(nn.Module):
    """Two 3x3 convolutions whose result is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (_convolution(width, width) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class Encoder(nn.Module):
    """Groups of four frames to latent frames that are not normalised yet.

    What the block transform makes of their mean, to which a network adds what moves and what it can say better.
    """

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth = _ENCODED
        kernels, offset = block_transform()
        self.register_buffer("kernels", kernels, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2), _convolution(4 * _COLOURS, half), Residual(half),
            nn.PixelUnshuffle(2), _pointwise(4 * half, quarter), Residual(quarter),
            nn.PixelUnshuffle(2), _pointwise(4 * quarter, eighth), Residual(eighth),
            nn.SiLU(), _convolution(eighth, WAN21_LATENT.channels),
        )

    def forward(self, groups: torch.Tensor) -> torch.Tensor:
        """Features [n, 16, h, w] of groups [n, 12, 8 h, 8 w] in -1..1, whose channels are four frames of RGB."""
        mean = groups.unflatten(1, (FRAMES_PER_LATENT, 3)).mean(1)
        return F.conv2d(mean, self.kernels, self.offset, stride=self.kernels.shape[-1]) + self.layers(groups)


class Decoder(nn.Module):
    """Paints four frames of a latent frame and of the one before it."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(2 * WAN21_LATENT.channels, _PAINTED[0])]
        for width, count, following in zip(_PAINTED, _BLOCKS, (*_PAINTED[1:], _COLOURS)):
            layers += [Residual(width) for _ in range(count)]
            layers += [nn.SiLU()] if following == _COLOURS else []
            layers += [_convolution(width, 4 * following), nn.PixelShuffle(2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, before: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Groups [n, 12, 16 h, 16 w], about -1..1, of normalised latent frames [n, 16, h, w]."""
        return self.layers(torch.cat([before, latent], dim=1))


class LearnedCodec(nn.Module):
    """Encodes and decodes video like the Wan2.1 VAE, but that it decodes at twice the size that was encoded.

    Attributes:
        mean, std: [16], of the encoder's features on the drawn world, the latter divided by ``SPREAD``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.register_buffer("mean", torch.zeros(WAN21_LATENT.channels))
        self.register_buffer("std", torch.ones(WAN21_LATENT.channels))

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Latent of a video, as ComfyUI's Wan21 latent format takes it.

        Args:
            pixels: [B, 3, F, H, W] in -1..1; H and W multiples of 8. Frames beyond the last 4n + 1 are left out, as the
                Wan VAE does.

        Returns:
            [B, 16, T, H/8, W/8] with T = (F - 1) // 4 + 1, not normalised. Latent frames are made one by one.
        """
        features = torch.stack([self.encoder(group) for group in groups_of(pixels).unbind(1)], dim=2)
        shape = (1, -1, 1, 1, 1)
        return denormalised((features - self.mean.view(shape)) / self.std.view(shape))

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Video of a latent: [B, 16, T, h, w] to [B, 3, 4(T-1)+1, 16h, 16w], about -1..1.

        Latent frames are painted one by one, so that what this takes does not grow with their number.
        """
        batch, _, length, height, width = latent.shape
        video = latent.new_empty(batch, 3, WAN21_LATENT.video_frames(length), SCALE * height, SCALE * width)
        frames = normalised(latent).unbind(2)
        for number, (before, frame) in enumerate(zip([frames[0], *frames], frames)):
            painted = self.decoder(before, frame).unflatten(1, (FRAMES_PER_LATENT, 3)).transpose(1, 2)
            if number == 0:
                video[:, :, 0] = painted[:, :, -1]
            else:
                video[:, :, FRAMES_PER_LATENT * (number - 1) + 1:FRAMES_PER_LATENT * number + 1] = painted
        return video


def groups_of(pixels: torch.Tensor) -> torch.Tensor:
    """What the encoder sees of a video [B, 3, F, H, W]: [B, T, 12, H, W], the first frame four times."""
    count = (pixels.shape[2] - 1) // FRAMES_PER_LATENT
    first = pixels[:, :, :1].expand(-1, -1, FRAMES_PER_LATENT, -1, -1)
    frames = torch.cat([first, pixels[:, :, 1:1 + count * FRAMES_PER_LATENT]], dim=2)
    return frames.transpose(1, 2).flatten(1, 2).unflatten(1, (count + 1, _COLOURS))


def load_codec(path: Path = CODEC) -> LearnedCodec:
    """The codec of a file, in float32, not to be trained.

    Raises:
        LumosXError: the file is missing, or it is not of a codec.
    """
    codec = LearnedCodec()
    try:
        codec.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise LumosXError(f"{path.name}: the codec cannot be loaded ({reason}); install the pack again.") from error
    return codec.requires_grad_(False)


def initialise_codec(codec: LearnedCodec, seed: int) -> None:
    """Draw the weights to train from; what is added to something else is little at first."""
    generator = torch.Generator().manual_seed(seed)
    last = max(name for name, part in codec.named_parameters() if name.startswith("encoder") and part.ndim > 1)
    for name, parameter in codec.named_parameters():
        if parameter.ndim == 1:
            parameter.data.zero_()
        else:
            gain = 0.15 if name.endswith("second.weight") or name == last else 0.6
            parameter.data.normal_(std=gain * parameter[0].numel() ** -0.5, generator=generator)


def _convolution(width: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(width, out, 3, padding=1, padding_mode="replicate")


def _pointwise(width: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(width, out, 1)
