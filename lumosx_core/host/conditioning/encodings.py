"""What CLIP and VAE make of texts and pictures, found again by content instead of being made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sd
import folder_paths
import numpy as np
import torch
from PIL import Image

from ...store import TensorStore
from .fingerprint import model_fingerprint

LIMIT = 512 << 20
"""Bytes that the folder of encodings may hold."""

_VERSION = "2"
"""To be raised whenever an entry would be read in another way than before."""
_RESULT = "lumosx_result"
"""The name of a text's embedding, or of a picture's latent, in its entry."""
_NOTHING, _PADDED = "nothing", "padded"
_KEPT = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool)


def encodings_folder() -> Path:
    """Where encodings are stored: in ComfyUI's user folder, which its server does not serve."""
    return Path(folder_paths.get_system_user_directory("lumosx")) / "encodings"


class Encodings:
    """The encodings of one run.

    Args:
        reuse: look for those of earlier runs, and keep what is made; off, no file is read or written.
    """

    def __init__(self, reuse: bool) -> None:
        self._store = TensorStore(encodings_folder(), LIMIT) if reuse else None
        self._fingerprints: dict[Any, str | None] = {}
        self._latents: dict[str, torch.Tensor] = {}

    def text(self, clip: Any, tokens: dict) -> list:
        """CONDITIONING of a text, from CLIP unless its result is at hand."""
        key = self._key(clip, _text_inputs(clip, tokens))
        values = self._read(key)
        if values is not None:
            return [[values.pop(_RESULT), values]]
        conditioning = clip.encode_from_tokens_scheduled(tokens)
        if len(conditioning) == 1:
            self._write(key, {_RESULT: conditioning[0][0], **conditioning[0][1]})
        return conditioning

    def latent(self, vae: Any, picture: Image.Image, encode: Callable[[Image.Image], torch.Tensor]) -> torch.Tensor:
        """Latent of an RGB picture, from ``encode`` unless its result is at hand; equal pictures share one."""
        content = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
        if content not in self._latents:
            key = self._key(vae, _picture_inputs(vae, content))
            latent = (self._read(key) or {}).get(_RESULT)
            if latent is None:
                latent = encode(picture)
                self._write(key, {_RESULT: latent})
            self._latents[content] = latent
        return self._latents[content]

    def _key(self, holder: Any, inputs: list[str] | None) -> str | None:
        """Of what a CLIP or VAE makes of these inputs; None where it is not to be kept."""
        if self._store is None or inputs is None:
            return None
        patcher = holder.patcher
        if patcher not in self._fingerprints:
            self._fingerprints[patcher] = model_fingerprint(patcher)
        known = self._fingerprints[patcher]
        return known and hashlib.sha256(json.dumps([_VERSION, known, *inputs]).encode()).hexdigest()

    def _read(self, key: str | None) -> dict[str, torch.Tensor | None] | None:
        entry = self._store.read(key) if key and self._store is not None else None
        return _unpack(*entry) if entry else None

    def _write(self, key: str | None, values: Mapping[str, Any]) -> None:
        if key and self._store is not None and all(_is_exact(value) for value in values.values()):
            self._store.write(key, *_pack(values))


def _text_inputs(clip: Any, tokens: dict) -> list[str] | None:
    """What a text's encoding depends on besides the encoder; None where that cannot be said."""
    if (
        type(clip) is not comfy.sd.CLIP
        or clip.patcher.model is not clip.cond_stage_model
        or vars(clip).keys() & {"encode_from_tokens_scheduled", "encode_from_tokens", "load_model"}
        or clip.layer_idx is not None
        or clip.use_clip_schedule
        or clip.apply_hooks_to_conds
        or clip.tokenizer_options
    ):
        return None
    try:
        return ["text", json.dumps(tokens)]
    except TypeError:
        # An embedding stands among the ids.
        return None


def _picture_inputs(vae: Any, content: str) -> list[str] | None:
    """What a picture's latent depends on besides the VAE; None where that cannot be said."""
    if type(vae) is not comfy.sd.VAE or vae.first_stage_model is None or "encode" in vars(vae):
        return None
    if vae.patcher.model is not vae.first_stage_model:
        return None
    # Later versions of ComfyUI can be set to pass latents on in half precision.
    kind = getattr(comfy.model_management, "intermediate_dtype", lambda: torch.float32)()
    return ["picture", content, str(vae.vae_dtype), str(kind)]


def _is_exact(value: Any) -> bool:
    """Whether a value comes back from a file as it was."""
    return value is None or (
        type(value) is torch.Tensor
        and value.dtype in _KEPT
        and value.is_contiguous()
        and value.device == comfy.model_management.intermediate_device()
    )


def _pack(values: Mapping[str, torch.Tensor | None]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and a note for the store. Most of a text's rows are padding, of which little is kept."""
    nothing = [name for name, value in values.items() if value is None]
    tensors = {name: value.cpu() for name, value in values.items() if value is not None}
    padded = [name for name, value in tensors.items() if value.is_floating_point() and value.ndim > 1]
    for name in padded:
        tensors |= {f"{name}.{part}": kept for part, kept in _without_zero_rows(tensors.pop(name)).items()}
    return tensors, {_NOTHING: json.dumps(nothing), _PADDED: json.dumps(padded)}


def _unpack(tensors: dict[str, torch.Tensor], note: dict[str, str]) -> dict[str, torch.Tensor | None]:
    for name in json.loads(note[_PADDED]):
        tensors[name] = _with_zero_rows(**{part: tensors.pop(f"{name}.{part}") for part in ("kept", "rows", "signs")})
    device = comfy.model_management.intermediate_device()
    whole = {name: tensor.to(device) for name, tensor in tensors.items()}
    return whole | dict.fromkeys(json.loads(note[_NOTHING]))


def _without_zero_rows(tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """Rows of the last dimension that are not all zero, and one bit for each zero in the others."""
    kept = tensor.ne(0).any(-1)
    # Masking makes padding by multiplication, which turns every negative number into -0.0.
    signs = np.packbits(torch.signbit(tensor[~kept]).numpy())
    return {"kept": kept, "rows": tensor[kept], "signs": torch.from_numpy(signs)}


def _with_zero_rows(kept: torch.Tensor, rows: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    whole = rows.new_zeros(*kept.shape, rows.shape[-1])
    whole[kept] = rows
    zeros = whole[~kept]
    negative = torch.from_numpy(np.unpackbits(signs.numpy(), count=zeros.numel())).bool().view(zeros.shape)
    whole[~kept] = torch.where(negative, -zeros, zeros)
    return whole
