"""The embedded default as ComfyUI objects: MODEL, CLIP and VAE without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.latent_formats
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

from ...errors import LumosXError
from ...files import write_aside
from ...models.lumosx import RelationalOptions
from ...models.lynx.adapters import Adapters
from ...models.wan.config import UMT5, WAN21_LATENT
from ...tiny import text
from ...tiny.codec import world_codec
from ...tiny.learned import SCALE, load_codec
from ...tiny.preview import RGB_BIAS, RGB_FACTORS
from ...tiny.trained import LYNX, TRAINED, VERSION, VERSION_KEY
from ..methods.lumosx import relational_model
from .loader import load_patcher

TEXT_ENCODER_FILE = "lumosx_tiny_umt5.safetensors"
LEARNED, FIXED = "learned 2x", "block transform"
"""The codecs of the small VAE, as LumosX Tiny Models names them."""
DECODERS = (LEARNED, FIXED)
_PAINTED_COPIES, _PAINTED_FROM = 3, 32_000
"""Copies of the painted video in memory at once, and bytes for each latent pixel of the frame that is being painted."""


class WorldLatents(comfy.latent_formats.Wan21):
    """The latents of the small codec: Wan2.1's, but with colours of its own in ComfyUI's previews."""

    latent_rgb_factors = [list(row) for row in RGB_FACTORS]
    latent_rgb_factors_bias = list(RGB_BIAS)

    def __init__(self) -> None:
        super().__init__()
        # The small decoders of Wan2.1 would paint something else.
        self.taesd_decoder_name = None


def load_tiny_models(decoder: str = LEARNED) -> tuple:
    """MODEL, CLIP and VAE of the embedded default. The MODEL has the relational forward.

    The MODEL is read where it lies in the pack, so that no loader offers it for a real one; the text encoder is made on
    first use (about 12 MB) and kept in ComfyUI's user folder.

    Args:
        decoder: of the VAE, one of ``DECODERS``.

    Raises:
        LumosXError: the user folder cannot be written, ComfyUI does not take the text encoder's file, or a file of the
            pack is damaged.
    """
    return relational_model(load_tiny_transformer(), RelationalOptions()), load_tiny_clip(), load_tiny_vae(decoder)


def load_tiny_transformer(disable_dynamic: bool = False) -> Any:
    """A ModelPatcher without our wrappers; ComfyUI calls it again when it needs a second copy of the weights."""
    patcher = load_patcher(str(TRAINED), disable_dynamic=disable_dynamic)
    patcher.model.latent_format = WorldLatents()
    patcher.cached_patcher_init = (load_tiny_transformer, ())
    return patcher


def load_tiny_lynx() -> Adapters:
    """The small Lynx, for the small model; read where it lies in the pack, one layer at a time.

    Raises:
        LumosXError: its file is damaged.
    """
    return Adapters.of_files([LYNX])


def load_tiny_clip() -> comfy.sd.CLIP:
    """The CLIP alone; raises as ``load_tiny_models``."""
    return _load_clip(_text_encoder_file())


def _text_encoder_file() -> Path:
    """The file in ComfyUI's user folder, made again if it is missing, unreadable or of another version."""
    path = Path(folder_paths.get_system_user_directory("lumosx")) / TEXT_ENCODER_FILE
    if not _is_current(path):
        _write(path)
    return path


def _is_current(path: Path) -> bool:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get(VERSION_KEY) == VERSION
    except (OSError, safetensors.SafetensorError):
        return False


def _write(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, safetensors.torch.save(text.text_encoder_state_dict(), metadata={VERSION_KEY: VERSION}))
    except OSError as error:
        raise LumosXError(f"{path}: cannot be written ({error}); make its folder writable.") from error


def _load_clip(path: Path) -> comfy.sd.CLIP:
    """A CLIP as the stock loader makes it for Wan, with UMT5 in small."""
    # pyrefly: ignore[bad-assignment] Without metadata it is a dict.
    weights: dict[str, torch.Tensor] = comfy.utils.load_torch_file(str(path), safe_load=True)
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
            f"{UMT5.key}_model_config": text.encoder_config(len(weights["shared.weight"])),
            "initial_device": comfy.model_management.text_encoder_offload_device(),
        },
    )
    missing, unexpected = clip.load_sd(weights)
    if missing or unexpected:
        raise LumosXError(f"{path.name}: ComfyUI says that {missing} is missing and {unexpected} is unknown; delete "
            "the file.")
    return clip


def load_tiny_vae(decoder: str = FIXED) -> comfy.sd.VAE:
    """A codec that replaces a Wan2.1 VAE; the learned one decodes to twice the size that it encodes.

    ComfyUI sets strides, formulas and flags itself when it recognises the weights of a (very small) real one.

    Raises:
        LumosXError: the codec's file is damaged.
    """
    recognised = comfy.ldm.wan.vae.WanVAE(
        dim=4, z_dim=WAN21_LATENT.channels, temperal_downsample=[False, True, True]
    ).state_dict()
    vae = comfy.sd.VAE(sd=recognised, dtype=torch.float32)
    put_codec(vae, load_codec() if decoder == LEARNED else world_codec())
    vae.memory_used_encode = lambda shape, dtype: _bytes_of_frames(shape[2], shape[3], shape[4])
    if decoder == LEARNED:
        # pyrefly: ignore[bad-index] That of a video VAE is a tuple.
        vae.upscale_ratio = (vae.upscale_ratio[0], SCALE, SCALE)
        # pyrefly: ignore[unsupported-operation] The same.
        vae.upscale_index_formula = (vae.upscale_index_formula[0], SCALE, SCALE)
        vae.memory_used_decode = lambda shape, dtype: _bytes_of_painting(shape[2], shape[3], shape[4])
    else:
        frames, side = WAN21_LATENT.frame_stride, WAN21_LATENT.pixel_stride
        vae.memory_used_decode = lambda shape, dtype: _bytes_of_frames(
            frames * shape[2], side * shape[3], side * shape[4]
        )
    return vae


def put_codec(vae: comfy.sd.VAE, codec: torch.nn.Module) -> None:
    """Make a VAE encode and decode with a codec."""
    vae.first_stage_model = codec
    vae.patcher = type(vae.patcher)(codec, load_device=vae.device, offload_device=vae.patcher.offload_device)
    vae.size = None
    vae.model_size()


def _bytes_of_frames(frames: int, height: int, width: int) -> int:
    """Peak memory of the block transform: a few float32 copies of the video."""
    return 4 * 3 * 4 * frames * height * width


def _bytes_of_painting(frames: int, height: int, width: int) -> int:
    """Peak memory of the learned decoder for latent frames: copies of the video, and what one frame is painted from."""
    return height * width * (_PAINTED_COPIES * 3 * 4 * 4 * frames * SCALE**2 + _PAINTED_FROM)
