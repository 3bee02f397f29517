"""UMT5-XXL's encoder in any file: found under Wan's own names, or under those of transformers and ComfyUI.

Wan's own names (wan/modules/t5.py of the release; Kijai's umt5-xxl-enc-* files) are ``blocks.0.attn.q.weight``,
``token_embedding.weight``, ``norm.weight``. ComfyUI's are those of transformers: ``encoder.block.0.layer.0…``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import LumosXError
from ..models.wan.config import UMT5
from .quantised import is_sidecar
from .recognise import describe_contents, without_wrappers
from .source import TensorInfo, WeightSource

TOKENIZER = "spiece_model"
"""Under this name files for ComfyUI carry the tokenizer, as bytes."""

EXPECTED = "umt5_xxl_fp8_e4m3fn_scaled.safetensors, or the release's models_t5_umt5-xxl-enc-bf16.pth"
_BUCKETS = 32
_EMBEDDING, _OWN_EMBEDDING = "shared.weight", "token_embedding.weight"
_COPY = "encoder.embed_tokens.weight"
"""transformers names the embedding a second time."""
_WHOLE = {_OWN_EMBEDDING: _EMBEDDING, "norm.weight": "encoder.final_layer_norm.weight"}
_LAYER = {
    **{f"attn.{part}.weight": f"layer.0.SelfAttention.{part}.weight" for part in "qkvo"},
    "pos_embedding.embedding.weight": "layer.0.SelfAttention.relative_attention_bias.weight",
    "norm1.weight": "layer.0.layer_norm.weight",
    "ffn.gate.0.weight": "layer.1.DenseReluDense.wi_0.weight",
    "ffn.fc1.weight": "layer.1.DenseReluDense.wi_1.weight",
    "ffn.fc2.weight": "layer.1.DenseReluDense.wo.weight",
    "norm2.weight": "layer.1.layer_norm.weight",
}
_OWN_LAYER = re.compile(r"blocks\.(\d{1,3})\.(.+)")
_HOST_LAYER = re.compile(r"encoder\.block\.(\d{1,3})\.")


@dataclass(frozen=True)
class TextEncoder:
    """An encoder that was found.

    Attributes:
        names: ComfyUI's name of each weight to its name in the file.
        config: the sizes, under the names of transformers.
        tokenizer: name of the tensor that holds the tokenizer's bytes, if there is one.
    """

    names: Mapping[str, str]
    config: Mapping[str, int]
    tokenizer: str | None


def find_text_encoder(source: WeightSource) -> TextEncoder:
    """Find the encoder in an open file.

    Raises:
        LumosXError: the file holds something else, or an encoder that is not whole.
    """
    names, tokenizer = _host_names(source)
    if _EMBEDDING not in names or not any(map(_HOST_LAYER.match, names)):
        contents = describe_contents(source)
        raise LumosXError(f"{source.path}: it seems to be {contents}; LumosX needs UMT5-XXL, take {EXPECTED}.")
    infos = {name: source.tensors[stored] for name, stored in names.items()}
    config = _config(source, infos)
    expected = _shapes(config)
    missing = [name for name in expected if name not in names]
    if missing:
        own = f" ({missing[0]} in ComfyUI's names)"
        raise LumosXError(f"{source.path}: {len(missing)} of its tensors are missing{own}; get the file again.")
    for name, shape in expected.items():
        if infos[name].shape != shape:
            raise LumosXError(
                f"{source.path}: {names[name][:80]} has the shape {list(infos[name].shape)} instead of {list(shape)}, "
                f"so it is not UMT5-XXL's; take {EXPECTED}."
            )
    unknown = [name for name in names if name not in expected]
    if unknown:
        raise LumosXError(
            f"{source.path}: it holds {names[unknown[0]][:80]!r}, which UMT5's encoder does not have; take {EXPECTED}."
        )
    return TextEncoder({name: names[name] for name in expected}, config, tokenizer)


def _host_names(source: WeightSource) -> tuple[dict[str, str], str | None]:
    """ComfyUI's name of each weight to its name in the file, and the tokenizer's."""
    plain = {without_wrappers(stored): stored for stored in source.tensors}
    ends = [name for name in plain if name.endswith((_EMBEDDING, _OWN_EMBEDDING))]
    prefix = re.sub(f"({re.escape(_EMBEDDING)}|{re.escape(_OWN_EMBEDDING)})$", "", min(ends, key=len)) if ends else ""
    names, tokenizer = {}, None
    for name, stored in plain.items():
        short = name.removeprefix(prefix)
        if short == TOKENIZER:
            tokenizer = stored
        elif not is_sidecar(short) and not (short == _COPY and f"{prefix}{_EMBEDDING}" in plain):
            names[_host_name(short)] = stored
    return names, tokenizer


def _host_name(name: str) -> str:
    found = _OWN_LAYER.fullmatch(name)
    if found is not None and found[2] in _LAYER:
        return f"encoder.block.{found[1]}.{_LAYER[found[2]]}"
    return _WHOLE.get(name, name)


def _config(source: WeightSource, infos: Mapping[str, TensorInfo]) -> dict[str, int]:
    """The sizes that some of the tensors have."""
    block = "encoder.block.0.layer"
    sizes = [_EMBEDDING, f"{block}.0.SelfAttention.relative_attention_bias.weight", f"{block}.0.SelfAttention.q.weight",
             f"{block}.1.DenseReluDense.wi_0.weight"]
    shapes = [infos[name].shape if name in infos else () for name in sizes]
    if any(len(shape) != 2 or 0 in shape for shape in shapes):
        raise LumosXError(
            f"{source.path}: it is a text encoder, but not UMT5's, or not complete; LumosX needs UMT5-XXL, use "
            f"{EXPECTED}."
        )
    (words, width), (_, heads), (inner, _), (feed_forward, _) = shapes
    if width != UMT5.width or inner % heads:
        raise LumosXError(
            f"{source.path}: it is a text encoder of width {width}, but UMT5-XXL has {UMT5.width}; use {EXPECTED}."
        )
    layers = 1 + max(int(found[1]) for found in map(_HOST_LAYER.match, infos) if found)
    return {"d_model": width, "d_kv": inner // heads, "num_heads": heads, "d_ff": feed_forward, "num_layers": layers,
            "vocab_size": words}


def _shapes(config: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of an encoder of this size."""
    width, inner, wide = config["d_model"], config["d_kv"] * config["num_heads"], config["d_ff"]
    of_layer = {
        **{f"layer.0.SelfAttention.{part}.weight": (inner, width) for part in "qkv"},
        "layer.0.SelfAttention.o.weight": (width, inner),
        "layer.0.SelfAttention.relative_attention_bias.weight": (_BUCKETS, config["num_heads"]),
        "layer.1.DenseReluDense.wi_0.weight": (wide, width),
        "layer.1.DenseReluDense.wi_1.weight": (wide, width),
        "layer.1.DenseReluDense.wo.weight": (width, wide),
        **{f"layer.{part}.layer_norm.weight": (width,) for part in range(2)},
    }
    shapes: dict[str, tuple[int, ...]] = {
        _EMBEDDING: (config["vocab_size"], width), "encoder.final_layer_norm.weight": (width,)
    }
    for index in range(config["num_layers"]):
        shapes.update({f"encoder.block.{index}.{name}": shape for name, shape in of_layer.items()})
    return shapes
