"""What the training of an adapter takes from ComfyUI: words and pictures encoded as LumosX PolyVivid Encode does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.latent_formats
import comfy.sd
import comfy.utils
import torch
from PIL import Image

from ...errors import LumosXError
from ...models.hunyuan.config import HUNYUAN_LATENT
from ...models.polyvivid.positions import TextLayout
from ...models.polyvivid.template import tokenize_template
from .polyvivid import (
    check_kind,
    encode_template,
    picture_features,
    picture_grid,
    picture_latent,
    plain_text,
    tokenizer_of,
)


class SubjectsSide:
    """HunyuanVideo's text encoder, LLaVA's vision model and the VAE, for training.

    Raises:
        LumosXError: another kind of text encoder.
    """

    def __init__(self, clip: Any, clip_vision: Any, vae: Any) -> None:
        check_kind(clip)
        self._clip, self._vision, self._vae = clip, clip_vision, vae
        self._tokenize = tokenizer_of(clip)

    def features(self, picture: Image.Image) -> torch.Tensor:
        """What LLaVA reads of a picture, [tokens, hidden]."""
        return picture_features(self._vision, picture, self._clip).cpu()

    def text(
        self, prompt: str, words: Sequence[str] = (), features: Sequence[torch.Tensor] = ()
    ) -> tuple[torch.Tensor, torch.Tensor, TextLayout]:
        """Text stream [1, tokens, hidden] and pooled text, float32 on the CPU; and how the text is made up.

        Args:
            words, features: one of each for each subject; without any the layout is empty.
        """
        if words:
            tokens = tokenize_template(self._tokenize, prompt, words, [picture_grid(self._vision)] * len(words))
            ((hidden, options),) = encode_template(self._clip, prompt, tokens, list(features))
            layout = tokens.layout
        else:
            ((hidden, options),) = plain_text(self._clip, prompt)
            layout = TextLayout((), ())
        return hidden.float().cpu(), options["pooled_output"].float().cpu(), layout

    def picture(self, picture: Image.Image, side: int) -> torch.Tensor:
        """[1, 16, 1, side / 8, side / 8], scaled, float32 on the CPU."""
        return picture_latent(self._vae, picture, side, side).float().cpu()

    @torch.no_grad()
    def video(self, frames: torch.Tensor) -> torch.Tensor:
        """Scaled latent [1, 16, n + 1, H / 8, W / 8] of frames [4 n + 1, H, W, 3], float32 on the CPU.

        Raises:
            LumosXError: another kind of VAE.
        """
        latent = self._vae.encode(frames)
        count, height, width = frames.shape[:3]
        wanted = HUNYUAN_LATENT.shape(width, height, count)
        if tuple(latent.shape) != wanted:
            raise LumosXError(
                f"--vae: it makes latents of shape {tuple(latent.shape)} instead of {wanted}; give HunyuanVideo's VAE."
            )
        return comfy.latent_formats.HunyuanVideo().process_in(latent).float().cpu()


def load_subjects_side(clip_l: Path, llava: Path, vision: Path, vae: Path) -> SubjectsSide:
    """The four files, as ComfyUI's own loaders load them.

    Raises:
        LumosXError: ComfyUI cannot read one of them; the sentence names the option.
    """
    files = [str(clip_l), str(llava)]
    clip = _loaded("--llava", lambda: comfy.sd.load_clip(files, clip_type=comfy.sd.CLIPType.HUNYUAN_VIDEO))
    seen = _loaded("--vision", lambda: comfy.clip_vision.load(str(vision)))
    pictures = _loaded("--vae", lambda: _vae_of(vae))
    return SubjectsSide(clip, seen, pictures)


def _vae_of(path: Path) -> Any:
    vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(path), safe_load=True))
    vae.throw_exception_if_invalid()
    return vae


def _loaded(option: str, load: Any) -> Any:
    try:
        return load()
    # What a file that is none ends in differs between versions of the host.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise LumosXError(
            f"{option}: ComfyUI cannot load this file ({type(error).__name__}: {reason}); choose another."
        ) from error
