"""IMAGE tensors and PIL pictures, and the white letterbox that the model was trained with."""

from __future__ import annotations

import io
from pathlib import PurePath

import numpy as np
import torch
from PIL import Image, ImageOps

from ..errors import LumosXError

WHITE = (255, 255, 255)
PICTURES = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff")
"""How the names of pictures end that we read."""
KINDS = "PNG, JPEG, WebP, BMP or TIFF"
MOST_PIXELS = 64_000_000
MOST_BYTES = 256_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_MOST_READS = 1 << 19
"""How often Pillow may read from a file: about four times for each chunk or marker, of which a picture has a few."""
_MOST_SCANS = 100
"""Of a JPEG; each takes as long as a picture, and a progressive one has about ten."""
_SCAN = b"\xff\xda"
# Sharpening and decoders overshoot a little; far above 1 are 8-bit values that nobody divided.
_BRIGHTEST = 8.0
# Far below 0 are values from -1 to 1, as models take them.
_DARKEST = -0.6


def same_proportions(one: tuple[int, int], other: tuple[int, int], percent: int) -> bool:
    """Whether two sizes (width, height) have the same shape within ``percent``, which is still the same."""
    wide, high = one[0] * other[1], one[1] * other[0]
    return 100 * abs(wide - high) <= percent * high


def one_picture(image: torch.Tensor, source: str) -> torch.Tensor:
    """An IMAGE socket's value as one RGB picture [1, H, W, 3] in [0, 1]; transparency becomes white.

    Args:
        image: [1, H, W, C] or [H, W, C] with 1 (grey), 3 (RGB) or 4 (RGBA) channels.
        source: the input's name, for messages.

    Raises:
        LumosXError: several pictures in one batch, another number of channels, an empty picture or values that are no
            numbers or far outside of 0 to 1.
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
        raise LumosXError(f"{source}: the image contains values that are not numbers; check the node that made it.")
    if image.max() > _BRIGHTEST:
        raise LumosXError(
            f"{source}: the image contains values up to {image.max():g}, but white is 1; divide by 255, or check the "
            "node that made it."
        )
    if image.min() < _DARKEST:
        raise LumosXError(
            f"{source}: the image contains values down to {image.min():g}, but black is 0; scale it to 0 to 1, or "
            "check the node that made it."
        )
    image = image.float()
    if image.shape[3] == 1:
        image = image.expand(-1, -1, -1, 3)
    elif image.shape[3] == 4:
        alpha = image[..., 3:].clamp(0, 1)
        image = image[..., :3] * alpha + (1 - alpha)
    return image.clamp(0, 1)


class PictureError(ValueError):
    """Why the content of a file is not a picture that we read, in a few words."""


class _BoundedReads(io.BytesIO):
    """A file that is not read in millions of small pieces, which takes minutes."""

    _reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self._reads += 1
        if self._reads > _MOST_READS:
            raise PictureError("it is in too many pieces")
        return super().read(size)


def decode_picture(content: bytes, most_pixels: int = MOST_PIXELS) -> tuple[torch.Tensor, bool]:
    """The first picture of a file, whatever its name is.

    Args:
        content: of a PNG, JPEG, WebP, BMP or TIFF file.
        most_pixels: larger ones are refused before they are decoded.

    Returns:
        An IMAGE as ``tensor_from_pil`` makes it, and whether the file has further frames or pages, which are not read.

    Raises:
        PictureError: another kind of file, a broken or cut one, too many pixels, or values that have no colour.
    """
    try:
        with Image.open(_BoundedReads(content), formats=_FORMATS) as picture:
            if picture.width * picture.height > most_pixels:
                raise Image.DecompressionBombError
            if picture.format in ("JPEG", "MPO") and content.count(_SCAN) > _MOST_SCANS:
                raise PictureError(f"it has more than {_MOST_SCANS} scans")
            # The second picture of an MPO file, which is a JPEG otherwise, is a camera's preview.
            several = getattr(picture, "is_animated", False) and picture.format != "MPO"
            return tensor_from_pil(picture), several
    except PictureError:
        raise
    except Image.UnidentifiedImageError as error:
        raise PictureError(f"it is not {KINDS} inside") from error
    except Image.DecompressionBombError as error:
        raise PictureError(f"it has more than {most_pixels / 1e6:g} megapixels") from error
    # Pillow raises almost anything for a broken file: struct.error, IndexError, zlib.error and more.
    except Exception as error:
        raise PictureError(str(error).partition("\n")[0][:120] or type(error).__name__) from error


def is_picture_name(path: PurePath) -> bool:
    """Whether a name ends as that of a picture that we read."""
    return path.suffix.lower() in PICTURES


def tensor_from_pil(picture: Image.Image) -> torch.Tensor:
    """A PIL picture, turned upright by its EXIF tag and laid on white, as an IMAGE [1, H, W, 3] in [0, 1].

    Raises:
        PictureError: floats or 32-bit integers, of which nobody says what white is.
    """
    if picture.mode in ("F", "I;16S") or (picture.mode, picture.format) == ("I", "TIFF"):
        raise PictureError("its values are floats, signed or of 32 bits; save it with 8 or 16 bits")
    picture = _upright(picture)
    if picture.mode.startswith("I"):
        picture = _in_eight_bits(picture)
    if picture.mode in ("RGBa", "La"):
        picture = picture.convert(picture.mode.upper())
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        canvas = Image.new("RGBA", picture.size, (*WHITE, 255))
        picture = Image.alpha_composite(canvas, picture)
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    pixels /= 255
    return torch.from_numpy(pixels)[None]


def _upright(picture: Image.Image) -> Image.Image:
    """Turned by its EXIF tag; unchanged if the tag cannot be read, since the pixels can."""
    picture.load()
    try:
        return ImageOps.exif_transpose(picture)
    # As for broken files.
    except Exception:
        return picture


def _in_eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, which Pillow would cut to white; the grey that stands for nothing becomes white."""
    values = np.asarray(picture).astype(np.float32)
    scaled = (values / 65535 * 255).clip(0, 255).astype(np.uint8)
    scaled[values == picture.info.get("transparency")] = 255
    return Image.fromarray(scaled)


def pil_from_tensor(image: torch.Tensor) -> Image.Image:
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
