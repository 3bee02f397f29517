"""IMAGE tensors and PIL pictures, and the white letterbox that the model was trained with."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps

from ..errors import LumosXError

WHITE = (255, 255, 255)
# Sharpening and decoders overshoot a little; far above 1 are 8-bit values that nobody divided.
_BRIGHTEST = 8.0


def one_picture(image: torch.Tensor, source: str) -> torch.Tensor:
    """An IMAGE socket's value as one RGB picture [1, H, W, 3] in [0, 1]; transparency becomes white.

    Args:
        image: [1, H, W, C] or [H, W, C] with 1 (grey), 3 (RGB) or 4 (RGBA) channels.
        source: the input's name, for messages.

    Raises:
        LumosXError: several pictures in one batch, another number of channels, an empty picture or values that are no
            numbers or far above 1.
    """
    image = image[None] if image.ndim == 3 else image
    if image.ndim != 4 or image.shape[3] not in (1, 3, 4) or 0 in image.shape:
        raise LumosXError(
            f"{source}: the image has shape {tuple(image.shape)}; link a picture of shape (1, height, width, 3 or 4)."
        )
    if image.shape[0] != 1:
        raise LumosXError(
            f"{source}: {image.shape[0]} pictures came in one batch, but each reference is one picture; "
            "pick one with ImageFromBatch, choose with LumosX Views, or give each an input of its own."
        )
    if not torch.isfinite(image).all():
        raise LumosXError(f"{source}: the image holds values that are no numbers; check the node that made it.")
    if image.max() > _BRIGHTEST:
        raise LumosXError(
            f"{source}: the image holds values up to {image.max():g}, but white is 1; divide by 255, or check the node "
            "that made it."
        )
    image = image.float()
    if image.shape[3] == 1:
        image = image.expand(-1, -1, -1, 3)
    elif image.shape[3] == 4:
        alpha = image[..., 3:].clamp(0, 1)
        image = image[..., :3] * alpha + (1 - alpha)
    return image.clamp(0, 1)


def to_image(picture: Image.Image) -> torch.Tensor:
    """A PIL picture, turned upright by its EXIF tag and laid on white, as an IMAGE [1, H, W, 3] in [0, 1]."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        canvas = Image.new("RGBA", picture.size, (*WHITE, 255))
        picture = Image.alpha_composite(canvas, picture)
    if picture.mode.startswith("I"):
        # PIL would cut 16-bit grey to white instead of scaling it.
        picture = Image.fromarray((np.asarray(picture).astype(np.float32) / 65535 * 255).clip(0, 255).astype(np.uint8))
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(pixels)[None]


def from_image(image: torch.Tensor) -> Image.Image:
    """The first picture of an RGB IMAGE [1, H, W, 3] in [0, 1] as 8-bit PIL, exact for values that came from 8 bits."""
    pixels = (image[0] * 255).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(pixels.cpu().numpy())


def letterbox(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Scale a picture to fit inside width x height and centre it on white.

    As the release does: one scale for both sides, sizes and offsets cut to whole pixels, 8-bit bicubic.
    """
    scale = min(width / picture.width, height / picture.height)
    size = max(1, int(picture.width * scale)), max(1, int(picture.height * scale))
    canvas = Image.new("RGB", (width, height), WHITE)
    offset = (width - size[0]) // 2, (height - size[1]) // 2
    canvas.paste(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC), offset)
    return canvas
