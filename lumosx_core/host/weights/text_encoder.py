"""A CLIP holding UMT5-XXL from any file of it, also under Wan's own names, which ComfyUI's loader does not know."""

from __future__ import annotations

import inspect
from functools import lru_cache
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sd
import comfy.supported_models_base
import comfy.text_encoders.sd3_clip
import comfy.text_encoders.wan
import comfy.utils
import folder_paths
import sentencepiece
import torch

from ...errors import LumosXError
from ...models.wan.config import UMT5
from ...weights.dense import read_dense
from ...weights.file_names import first_parts, part_files
from ...weights.opening import open_weights
from ...weights.quantised import FP8_FORMATS, SCALE, QuantisedLayer, find_quantised_layers
from ...weights.source import WeightSource
from ...weights.umt5 import TOKENIZER, TextEncoder, find_text_encoder
from .checkpoints import state_of

CATEGORY = "text_encoders"
TOKENIZER_FILE = "spiece.model"
_SMALL = "lumosx_tiny_umt5.safetensors"
"""What earlier versions of LumosX Tiny Models left behind."""
_SUBFOLDERS = ("", "google/umt5-xxl", "umt5-xxl", "tokenizer")
"""Where the tokenizer may lie, from the folder of the file or from models/text_encoders: as the release has it, too."""
_LARGEST_TOKENIZER = 1 << 24
_SPARE_WORDS = 1 << 10
"""Rows that an embedding may have beyond the tokenizer's pieces. UMT5's has a few hundred; mT5's is 6,000 off."""
_MARK = "scaled_fp8"


def list_text_encoders() -> list[str]:
    """Names of the files in ``text_encoders``; of models in several parts the first part.

    The small text encoder of earlier versions comes last.
    """
    return sorted(first_parts(folder_paths.get_filename_list(CATEGORY)), key=lambda name: Path(name).name == _SMALL)


def check_text_encoder(name: str) -> None:
    """Read what a file says of itself and look for its tokenizer; no weights are read.

    Raises:
        LumosXError: as ``load_text_encoder`` would, as far as that can be known.
    """
    path = _resolve(name)
    sentence = _refusal(path, text_encoder_fingerprint(name))
    if sentence is not None:
        raise LumosXError(sentence)


@lru_cache(maxsize=64)
def _refusal(path: Path, fingerprint: str) -> str | None:
    """Why a file in this state is not a UMT5; None if it is one."""
    try:
        with open_weights(path) as source:
            _tokenizer(source, find_text_encoder(source))
    except LumosXError as error:
        return str(error)
    return None


def text_encoder_fingerprint(name: str) -> str:
    """Changes whenever the file, a part of it, or a tokenizer that could be its own does."""
    path = _resolve(name)
    return "\n".join(map(state_of, [*part_files(path), *_tokenizer_places(path)]))


def load_text_encoder(name: str) -> Any:
    """A CLIP as the stock loader with type "wan" makes it.

    Args:
        name: as ``list_text_encoders`` gives it.

    Raises:
        LumosXError: the file is not there, is damaged, holds something else than UMT5-XXL's encoder, or has no
            tokenizer inside or beside it.
    """
    return load_clip(_resolve(name))


def load_clip(path: Path, disable_dynamic: bool = False) -> Any:
    """The same from any path; ``disable_dynamic`` keeps ComfyUI's dynamic VRAM out of it, where there is such a thing.

    Raises:
        LumosXError: as ``load_text_encoder``.
    """
    with open_weights(path) as source:
        encoder = find_text_encoder(source)
        tokenizer = _tokenizer(source, encoder)
        clip = _build(path, _read(source, encoder), encoder, tokenizer, disable_dynamic)
    clip.patcher.cached_patcher_init = (_load_patcher, (path,))
    return clip


def _load_patcher(path: Path, disable_dynamic: bool = False) -> Any:
    return load_clip(path, disable_dynamic).patcher


def _resolve(name: str) -> Path:
    path = folder_paths.get_full_path(CATEGORY, name) if isinstance(name, str) else None
    if path is None:
        raise LumosXError(f"text_encoder: {name!r} is not in ComfyUI's models/{CATEGORY}; put it there and refresh.")
    return Path(path)


def _read(source: WeightSource, encoder: TextEncoder) -> dict[str, torch.Tensor]:
    """The weights under ComfyUI's names; scaled fp8 in the older layout, which every supported host reads."""
    layers = find_quantised_layers(source, encoder.names)
    linear = [name for name in encoder.names if name.endswith(".weight") and _is_linear(name)]
    kept = all(_is_scaled_fp8(source, encoder.names[name], layers.get(name)) for name in linear)
    weights = {}
    for name, stored in encoder.names.items():
        layer = layers.get(name)
        if layer is None:
            weights[name] = read_dense(source, stored)
        elif kept and name in linear:
            weights[name] = source.read(stored)
            weights[f"{name.removesuffix('weight')}scale_weight"] = source.read(layer.parts[SCALE]).reshape(())
        else:
            weights[name] = read_dense(source, stored, layer).bfloat16()
    if kept:
        weights[_MARK] = torch.zeros(0, dtype=weights[linear[0]].dtype)
    return weights


def _is_linear(name: str) -> bool:
    return "norm" not in name and "relative_attention_bias" not in name and name.startswith("encoder.block.")


def _is_scaled_fp8(source: WeightSource, stored: str, layer: QuantisedLayer | None) -> bool:
    if layer is None or layer.format not in FP8_FORMATS.values():
        return False
    return source.tensors[layer.parts[SCALE]].shape in ((), (1,))


def _tokenizer(source: WeightSource, encoder: TextEncoder) -> bytes:
    """The tokenizer's model.

    Raises:
        LumosXError: there is none, or another model's.
    """
    if encoder.tokenizer is not None:
        data, place = source.read(encoder.tokenizer).contiguous().view(torch.uint8).numpy().tobytes(), source.path
    else:
        place = next((place for place in _tokenizer_places(source.path) if place.is_file()), None)
        if place is None:
            raise LumosXError(
                f"text_encoder: {source.path.name} contains no tokenizer; put google/umt5-xxl/{TOKENIZER_FILE} of the "
                f"release (Wan-AI/Wan2.1-T2V-1.3B) into models/{CATEGORY}."
            )
        with place.open("rb") as file:
            data = file.read(_LARGEST_TOKENIZER)
    try:
        pieces = sentencepiece.SentencePieceProcessor(model_proto=data).get_piece_size()
    except (RuntimeError, ValueError, OSError) as error:
        raise LumosXError(f"{place}: it is not a sentencepiece tokenizer, or it is damaged; get it again.") from error
    if not pieces:
        raise LumosXError(f"{place}: it is empty, not a sentencepiece tokenizer; get it again.")
    if not 0 <= encoder.config["vocab_size"] - pieces <= _SPARE_WORDS:
        raise LumosXError(
            f"{place}: it is the tokenizer of another model, with {pieces} pieces for {encoder.config['vocab_size']} "
            f"words; take {TOKENIZER_FILE} of google/umt5-xxl."
        )
    return data


def _tokenizer_places(path: Path) -> list[Path]:
    roots = [path.parent, *map(Path, folder_paths.get_folder_paths(CATEGORY))]
    return list(dict.fromkeys(root / folder / TOKENIZER_FILE for root in roots for folder in _SUBFOLDERS))


def _build(path: Path, weights: dict, encoder: TextEncoder, tokenizer: bytes, disable_dynamic: bool) -> Any:
    if hasattr(comfy.utils, "convert_old_quants"):
        weights, _ = comfy.utils.convert_old_quants(weights, model_prefix="", metadata={})
    target = comfy.supported_models_base.ClipTarget(
        comfy.text_encoders.wan.WanT5Tokenizer,
        comfy.text_encoders.wan.te(**comfy.text_encoders.sd3_clip.t5_xxl_detect(weights)),
    )
    known = inspect.signature(comfy.sd.CLIP.__init__).parameters
    early = "state_dict" in known
    arguments = {"disable_dynamic": disable_dynamic, "state_dict": [weights]}
    clip = comfy.sd.CLIP(
        target,
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        tokenizer_data={TOKENIZER: tokenizer},
        model_options={
            f"{UMT5.key}_model_config": dict(encoder.config),
            # Starting there keeps older versions from loading the encoder before it has weights.
            "initial_device": comfy.model_management.text_encoder_offload_device(),
        },
        **{name: value for name, value in arguments.items() if name in known},
    )
    missing = [] if early else clip.load_sd(weights)[0]
    if missing:
        raise LumosXError(f"{path}: this ComfyUI says that {missing[0]} is missing; update ComfyUI, or use another "
            "file.")
    return clip
