"""The latents of a video VAE, and the tokens that a transformer makes of them.

The only place that divides pixels and frames by strides, and latents by patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LatentSpec:
    """What a video becomes for a transformer.

    Attributes:
        channels: of a latent.
        frame_stride: video frames for each latent frame after the first, which stands for one video frame alone.
        pixel_stride: pixels along each side of a latent pixel.
        patch: latent frames, rows and columns of one token.
    """

    channels: int
    frame_stride: int
    pixel_stride: int
    patch: tuple[int, int, int]

    @property
    def token_pixels(self) -> int:
        """Pixels along each side of a token."""
        return self.pixel_stride * self.patch[2]

    def shape(self, width: int, height: int, frames: int, batch: int = 1) -> tuple[int, int, int, int, int]:
        """[batch, channels, frames, height, width] of the latent of a video.

        Args:
            width, height: in pixels, multiples of ``pixel_stride``.
            frames: of the video, a multiple of ``frame_stride`` plus 1.
        """
        return (
            batch, self.channels, self.latent_frames(frames), height // self.pixel_stride, width // self.pixel_stride
        )

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a video; frames behind the last whole stride are left out."""
        return (frames - 1) // self.frame_stride + 1

    def video_frames(self, latent_frames: int) -> int:
        """Video frames of a latent."""
        return (latent_frames - 1) * self.frame_stride + 1

    def pixels(self, shape: Sequence[int]) -> tuple[int, int]:
        """Width and height in pixels of a latent of shape [batch, channels, frames, height, width]."""
        return shape[4] * self.pixel_stride, shape[3] * self.pixel_stride

    def has_side(self, pixels: int) -> bool:
        """Whether a side of this many pixels is a whole number of latent pixels."""
        return pixels % self.pixel_stride == 0

    def has_frames(self, frames: int) -> bool:
        """Whether a video of this many frames, 1 or more, is a whole number of latent frames."""
        return frames >= 1 and (frames - 1) % self.frame_stride == 0

    def nearest_side(self, pixels: int) -> int:
        """The nearest number of pixels, 0 or more, for which ``has_side`` is true."""
        return max(0, round(pixels / self.pixel_stride)) * self.pixel_stride

    def nearest_token_side(self, pixels: float) -> int:
        """The nearest number of pixels, at least one token's, that is a whole number of tokens."""
        return max(1, round(pixels / self.token_pixels)) * self.token_pixels

    def padded_frames(self, frames: int) -> int:
        """The smallest number of frames, ``frames`` or more, for which ``has_frames`` is true."""
        return self.video_frames(-(-(frames - 1) // self.frame_stride) + 1)

    def nearest_frames(self, frames: int) -> int:
        """The nearest number of frames for which ``has_frames`` is true."""
        return max(0, round((frames - 1) / self.frame_stride)) * self.frame_stride + 1

    def token_grid(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Tokens along time, rows and columns of a latent, see ``token_grid``."""
        return token_grid(shape, self.patch)

    def grid_shape(self, grid: Sequence[int], batch: int = 1) -> tuple[int, int, int, int, int]:
        """[batch, channels, frames, height, width] of the latent that fills a grid of tokens."""
        frames, rows, columns = (side * patch for side, patch in zip(grid, self.patch))
        return batch, self.channels, frames, rows, columns


def token_grid(shape: Sequence[int], patch: Sequence[int]) -> tuple[int, int, int]:
    """Tokens along time, rows and columns of a latent, rounded up.

    Args:
        shape: [batch, channels, frames, height, width].
        patch: latent frames, rows and columns of one token.
    """
    frames, rows, columns = (-(-side // edge) for side, edge in zip(shape[2:], patch))
    return frames, rows, columns
