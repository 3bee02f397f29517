"""The embedded default as ComfyUI objects: MODEL, CLIP and VAE without a download."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import comfy.ldm.wan.vae
import comfy.model_management
import comfy.sd
import comfy.supported_models_base
import comfy.text_encoders.wan
import comfy.utils
import folder_paths
import safetensors
import safetensors.torch
import torch

from ..errors import LumosXError
from ..files import unfinished_beside
from ..tiny import text
from ..tiny.codec import world_codec
from ..tiny.decoder import SCALE, painting_codec
from ..tiny.trained import TRAINED, VERSION, VERSION_KEY

TRANSFORMER_FILE = "lumosx_tiny_dit.safetensors"
TEXT_ENCODER_FILE = "lumosx_tiny_umt5.safetensors"
LEARNED, FIXED = "learned 2x", "block transform"
"""The decoders of the small VAE, as LumosX Tiny Models names them."""
DECODERS = (LEARNED, FIXED)
_PAINTED_COPIES, _PAINTED_FROM = 3, 32_000
"""Copies of the painted video in memory at once, and bytes for each latent pixel of the frame that is being painted."""


def load_tiny_models(decoder: str = LEARNED) -> tuple:
    """MODEL, CLIP and VAE of the embedded default.

    The weights lie as ordinary files in ComfyUI's model folders, put there on first use (about 24 MB), so that stock
    loaders, LoRA nodes and caches treat them like any other model.

    Args:
        decoder: of the VAE, one of ``DECODERS``.

    Raises:
        LumosXError: a model folder cannot be written, ComfyUI does not take the text encoder's file, or the decoder's
            file is damaged.
    """
    transformer = _file_of("diffusion_models", TRANSFORMER_FILE, lambda part: shutil.copyfile(TRAINED, part))
    return comfy.sd.load_diffusion_model(str(transformer)), load_tiny_clip(), load_tiny_vae(decoder)


def load_tiny_clip() -> comfy.sd.CLIP:
    """The CLIP alone; raises as ``load_tiny_models``."""
    return _load_clip(_file_of("text_encoders", TEXT_ENCODER_FILE, _make_text_encoder))


def _make_text_encoder(part: Path) -> None:
    safetensors.torch.save_file(text.text_encoder_state_dict(), part, metadata={VERSION_KEY: VERSION})


def _file_of(category: str, name: str, make: Callable[[Path], object]) -> Path:
    """The file in the category's first folder, made anew when missing, unreadable or of another version."""
    path = Path(folder_paths.get_folder_paths(category)[0]) / name
    if not _is_current(path):
        _write(path, make)
    return path


def _is_current(path: Path) -> bool:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(VERSION_KEY) == VERSION
    except (OSError, safetensors.SafetensorError):
        return False


def _write(path: Path, make: Callable[[Path], object]) -> None:
    """Make it beside the target and move it into place, so that nobody ever sees half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished_beside(path) as part:
            make(part)
            os.replace(part, path)
    except OSError as error:
        raise LumosXError(f"{path}: cannot be written ({error}); make its folder writable.") from error


def _load_clip(path: Path) -> comfy.sd.CLIP:
    """A CLIP as the stock loader makes it for Wan, with UMT5 in small."""
    weights = comfy.utils.load_torch_file(str(path), safe_load=True)
    tokenizer = weights.pop(text.TOKENIZER_KEY)
    target = comfy.supported_models_base.ClipTarget(
        comfy.text_encoders.wan.WanT5Tokenizer, comfy.text_encoders.wan.WanT5Model
    )
    # Starting on the offload device keeps ComfyUI from loading the encoder before it has weights.
    clip = comfy.sd.CLIP(
        target,
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        tokenizer_data={text.TOKENIZER_KEY: tokenizer},
        model_options={
            "umt5xxl_model_config": text.encoder_config(len(weights["shared.weight"])),
            "initial_device": comfy.model_management.text_encoder_offload_device(),
        },
    )
    missing, unexpected = clip.load_sd(weights)
    if missing or unexpected:
        raise LumosXError(f"{path.name}: ComfyUI finds {missing} missing and {unexpected} unknown; delete the file.")
    return clip


def load_tiny_vae(decoder: str = FIXED) -> comfy.sd.VAE:
    """The block transform in the place of a Wan2.1 VAE; with the learned decoder its pictures are twice as large.

    ComfyUI sets strides, formulas and flags itself when it recognises the weights of a (very small) real one.

    Raises:
        LumosXError: the decoder's file is damaged.
    """
    recognised = comfy.ldm.wan.vae.WanVAE(dim=4, z_dim=16, temperal_downsample=[False, True, True]).state_dict()
    vae = comfy.sd.VAE(sd=recognised, dtype=torch.float32)
    codec = painting_codec() if decoder == LEARNED else world_codec()
    vae.first_stage_model = codec
    vae.patcher = type(vae.patcher)(codec, load_device=vae.device, offload_device=vae.patcher.offload_device)
    vae.size = None
    vae.model_size()
    vae.memory_used_encode = lambda shape, dtype: _bytes_of_frames(shape[2], shape[3], shape[4])
    if decoder == LEARNED:
        vae.upscale_ratio = (vae.upscale_ratio[0], SCALE, SCALE)
        vae.upscale_index_formula = (vae.upscale_index_formula[0], SCALE, SCALE)
        vae.memory_used_decode = lambda shape, dtype: _bytes_of_painting(shape[2], shape[3], shape[4])
    else:
        vae.memory_used_decode = lambda shape, dtype: _bytes_of_frames(4 * shape[2], 8 * shape[3], 8 * shape[4])
    return vae


def _bytes_of_frames(frames: int, height: int, width: int) -> int:
    """Peak memory of the block transform: a few float32 copies of the video."""
    return 4 * 3 * 4 * frames * height * width


def _bytes_of_painting(frames: int, height: int, width: int) -> int:
    """Peak memory of the learned decoder for latent frames: copies of the video, and what one frame is painted from."""
    return height * width * (_PAINTED_COPIES * 3 * 4 * 4 * frames * SCALE**2 + _PAINTED_FROM)
