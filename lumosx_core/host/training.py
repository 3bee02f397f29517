"""What training takes from ComfyUI: words and pictures encoded as the nodes encode them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.latent_formats
import comfy.model_management
import comfy.sd
import comfy.utils
import torch

from ..errors import LumosXError
from ..models.wan.config import UMT5
from ..scene.phrases import Tokens
from ..scene.prompt import tokenizer_text
from .conditioning.tokens import ClipTokenizer
from .conditioning.video_size import VideoSize
from .weights.text_encoder import load_clip


class TextSide:
    """A CLIP holding UMT5, for training."""

    def __init__(self, clip: Any) -> None:
        self._clip = clip

    def tokenise(self, text: str, source: str = "prompt") -> Tokens:
        """The tokens that phrases are looked for in.

        Raises:
            LumosXError: another kind of CLIP, or a text that is too long, with its source.
        """
        return ClipTokenizer(self._clip)(text, source)

    def encode(self, text: str) -> torch.Tensor:
        """[1, tokens, 4096] float32 up to the end token; what follows is zero in ComfyUI too."""
        (chunk,) = self._clip.tokenize(tokenizer_text(text, "prompt"))[UMT5.key]
        end = next(index for index, token in enumerate(chunk) if token[0] == UMT5.end) + 1
        # ComfyUI pads to 512 tokens, which takes twice the time and gives the same.
        return self._clip.encode_from_tokens({UMT5.key: [chunk[:end]]}).float().cpu()


class PictureSide:
    """A VAE of Wan2.1, for training."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae

    @torch.no_grad()
    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """Normalised latent [1, 16, n + 1, H / 8, W / 8], float32 on the CPU.

        Args:
            frames: a picture or a video [4 n + 1, H, W, 3] in [0, 1].

        Raises:
            LumosXError: another kind of VAE.
        """
        latent = self._vae.encode(frames)
        count, height, width = frames.shape[:3]
        wanted = VideoSize(width, height, count).latent_shape
        if tuple(latent.shape) != wanted:
            raise LumosXError(
                f"vae: it makes latents of shape {tuple(latent.shape)} instead of {wanted}; give "
                "wan_2.1_vae.safetensors."
            )
        return comfy.latent_formats.Wan21().process_in(latent).float().cpu()


def load_text_side(path: Path) -> TextSide:
    """The text encoder of a file, as LumosX Text Encoder Loader loads it.

    Raises:
        LumosXError: it cannot be read, it is no UMT5-XXL, or it has no tokenizer.
    """
    try:
        return TextSide(load_clip(path))
    except LumosXError as error:
        raise LumosXError(f"--text-encoder: {error}") from error


def load_picture_side(path: Path) -> PictureSide:
    """The VAE of a file, as Load VAE loads it.

    Raises:
        LumosXError: ComfyUI cannot read it.
    """
    try:
        vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(path), safe_load=True))
        vae.throw_exception_if_invalid()
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise LumosXError(
            f"--vae: ComfyUI cannot load {path} ({type(error).__name__}: {reason}); give wan_2.1_vae.safetensors."
        ) from error
    return PictureSide(vae)


def unload_models() -> None:
    """Take ComfyUI's models off the card, to be called once nobody holds them any more."""
    comfy.model_management.unload_all_models()
    comfy.model_management.soft_empty_cache()
