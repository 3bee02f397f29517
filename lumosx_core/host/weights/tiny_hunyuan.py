"""The small HunyuanVideo as ComfyUI objects: MODEL, CLIP, CLIP_VISION and VAE without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.clip_model
import comfy.clip_vision
import comfy.latent_formats
import comfy.model_management
import comfy.ops
import comfy.sd
import comfy.text_encoders.hunyuan_video as hunyuan_text
import comfy.utils
import torch

from ...errors import LumosXError
from ...tiny import llava
from ...tiny.hunyuan import HunyuanCodec
from ...tiny.preview import RGB_BIAS, RGB_FACTORS
from ...tiny.trained import HUNYUAN
from .tiny import LEARNED, load_tiny_vae, put_codec


class HunyuanWorldLatents(comfy.latent_formats.HunyuanVideo):
    """The latents of the small codec at HunyuanVideo's scale, with its own colours for ComfyUI's previews."""

    latent_rgb_factors = [list(row) for row in RGB_FACTORS]
    latent_rgb_factors_bias = list(RGB_BIAS)

    def __init__(self) -> None:
        super().__init__()
        # HunyuanVideo's small preview decoder does not know these latents.
        self.taesd_decoder_name = None  # pyrefly: ignore[bad-assignment] That of the class without a decoder is None.


def load_tiny_hunyuan() -> tuple[Any, comfy.sd.CLIP, Any, comfy.sd.VAE]:
    """MODEL, CLIP, CLIP_VISION and VAE of the small HunyuanVideo.

    Raises:
        LumosXError: a file of the pack is missing or damaged, or this ComfyUI lacks a tokenizer.
    """
    return load_hunyuan_transformer(), *load_hunyuan_encoders()


def load_hunyuan_encoders() -> tuple[comfy.sd.CLIP, Any, comfy.sd.VAE]:
    """CLIP, CLIP_VISION and VAE; raises as ``load_tiny_hunyuan``."""
    return load_llava_clip(), load_llava_vision(), load_hunyuan_vae()


def load_hunyuan_transformer(path: str = str(HUNYUAN)) -> Any:
    """A ModelPatcher, loaded by ComfyUI's own loader."""
    try:
        patcher = comfy.sd.load_diffusion_model(path)
    except Exception as error:
        reason = str(error).partition("\n")[0][:200]
        raise LumosXError(
            f"{path}: the small HunyuanVideo cannot be loaded ({reason}); install the pack again."
        ) from error
    patcher.model.latent_format = HunyuanWorldLatents()
    return patcher


def load_llava_clip() -> comfy.sd.CLIP:
    """A small version of the CLIP that ComfyUI's loader makes for HunyuanVideo, with weights from a seed.

    Raises:
        LumosXError: this ComfyUI lacks the tokenizer of llava_llama3.
    """
    _check_tokenizer()

    class Target:
        params: dict = {}
        clip = hunyuan_text.HunyuanVideoClipModel
        tokenizer = hunyuan_text.HunyuanVideoTokenizer

    options = {
        "llama_model_config": llava.LLAMA, "clip_l_model_config": llava.CLIP_L,
        # Starting on the offload device keeps ComfyUI from loading the encoder before it has weights.
        "initial_device": comfy.model_management.text_encoder_offload_device(),
    }
    with torch.inference_mode(False):
        clip = comfy.sd.CLIP(Target, model_options=options)
        llava.fill(clip.cond_stage_model.llama.transformer, llava.llama_weight)
        llava.fill(clip.cond_stage_model.clip_l.transformer, llava.clip_l_weight)
    return clip


def _check_tokenizer() -> None:
    """Some copies of ComfyUI lack this large file; transformers would then try to download it."""
    file = Path(hunyuan_text.__file__).with_name("llama_tokenizer") / "tokenizer.json"
    if not file.is_file():
        raise LumosXError(f"{file}: this ComfyUI lacks the tokenizer of llava_llama3; install ComfyUI again.")


def load_llava_vision() -> comfy.clip_vision.ClipVisionModel:
    """A CLIP_VISION with LLaVA's projector, as wide as the small text encoder."""
    with torch.inference_mode(False):
        vision = comfy.clip_vision.ClipVisionModel(str(llava.VISION))
        projector = vision.model.multi_modal_projector.linear_1  # pyrefly: ignore[missing-attribute] A LlavaProjector.
        # The class always has the width of LLaMA 8B.
        vision.model.multi_modal_projector = comfy.clip_model.LlavaProjector(
            projector.in_features, llava.HIDDEN, projector.weight.dtype, projector.weight.device, comfy.ops.manual_cast
        )
        llava.fill(vision.model, llava.vision_weight)
    return vision


def load_hunyuan_vae() -> comfy.sd.VAE:
    """The learned codec in place of HunyuanVideo's VAE; it decodes to twice the size that it encodes.

    Raises:
        LumosXError: the codec's file is damaged.
    """
    vae = load_tiny_vae(LEARNED)
    # pyrefly: ignore[bad-argument-type] It is the learned codec, which was put there just now.
    put_codec(vae, HunyuanCodec(vae.first_stage_model))
    return vae
