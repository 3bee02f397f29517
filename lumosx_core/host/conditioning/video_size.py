"""The size of the video to make, as LumosX Relational Encode takes it."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import LumosXError
from ...models.wan.config import WAN21_LATENT

SMALLEST_SIDE, LARGEST_SIDE = 16, 8192
MOST_FRAMES = 1025


@dataclass(frozen=True)
class VideoSize:
    """The video to make, in pixels and frames.

    Raises:
        LumosXError: sizes that the VAE cannot hold: width and height go in steps of 8, frames are 4 n + 1.
    """

    width: int
    height: int
    frames: int
    batch: int = 1

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if not SMALLEST_SIDE <= value <= LARGEST_SIDE or not WAN21_LATENT.has_side(value):
                use = min(max(WAN21_LATENT.nearest_side(value), SMALLEST_SIDE), LARGEST_SIDE)
                raise LumosXError(
                    f"{name}: {value} is not a multiple of {WAN21_LATENT.pixel_stride} between {SMALLEST_SIDE} and "
                    f"{LARGEST_SIDE}; use {use}."
                )
        if not WAN21_LATENT.has_frames(self.frames) or self.frames > MOST_FRAMES:
            use = min(WAN21_LATENT.nearest_frames(self.frames), MOST_FRAMES)
            raise LumosXError(
                f"frames: {self.frames} is not {WAN21_LATENT.frame_stride} n + 1 from 1 to {MOST_FRAMES}; use {use}."
            )
        if self.batch < 1:
            raise LumosXError(f"batch_size: {self.batch} is below 1; use 1 or more.")

    @property
    def latent_shape(self) -> tuple[int, int, int, int, int]:
        """[batch, channels, frames, height, width] of the latent."""
        return WAN21_LATENT.shape(self.width, self.height, self.frames, self.batch)
