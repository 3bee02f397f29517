"""The tensors that make a LumosX model, found in any file and checked before anything heavy is done with them.

Their names and shapes are those of Wan2.1-T2V-1.3B (the release's model card). Smaller transformers of the same build
pass as well.
"""

from __future__ import annotations

import re
from typing import NoReturn

from ..errors import LumosXError
from ..models.families import WAN
from ..models.wan.config import HEAD_DIM, WAN21_1_3B, WanConfig, count_blocks
from .blocks import BLOCK_KINDS, is_packed
from .dense import FLOAT_KINDS
from .quantised import FP8_FORMATS, QUANTIZATION_METADATA, has_sidecars
from .recognise import describe_contents, describe_marks, describe_transformer, find_prefixes, tensors_under
from .source import EXPECTED, TensorInfo, WeightSource
from .split_file import SplitFile

_WEIGHT_KINDS = (*FLOAT_KINDS, *FP8_FORMATS)
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")


def find_transformer(source: WeightSource) -> dict[str, str]:
    """Every tensor of the model in an open file, under Wan's own names.

    Args:
        source: a file of any format; its names may have a prefix, as ``ema.`` or ``model.diffusion_model.``.

    Returns:
        Wan's name of each tensor to its name in the file. Scales and marks of quantised layers are not among them.

    Raises:
        LumosXError: the file holds something else, or a transformer that is not whole.
    """
    prefixes = find_prefixes(source.tensors, WAN)
    if not prefixes:
        _refuse_shards(source)
        raise LumosXError(f"{source.path}: it seems to be {describe_contents(source)}; LumosX needs {EXPECTED}.")
    prefix = prefixes[0]
    held = tensors_under(source, prefix)
    tensors = {name: source.tensors[stored] for name, stored in held.items()}
    _refuse_other_models(source, held, tensors)
    expected = _expected_shapes(tensors, source)
    _compare(source, held, expected)
    return {name: held[name] for name in expected}


def _expected_shapes(tensors: dict[str, TensorInfo], source: WeightSource) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a transformer as wide and deep as the one at hand."""
    for name in ("patch_embedding.weight", "blocks.0.ffn.0.weight", "head.head.weight", "text_embedding.0.weight"):
        if name not in tensors:
            _refuse_missing(source, name, 1)
    dim = _width(tensors)
    ffn = tensors["blocks.0.ffn.0.weight"].shape[0] if tensors["blocks.0.ffn.0.weight"].shape else 0
    if dim == 0 or dim % HEAD_DIM or ffn == 0:
        raise LumosXError(
            f"{source.path}: it is {dim} wide with a feed-forward of {ffn}, which no model with {HEAD_DIM} channels a "
            f"head is; the file is damaged or of another model, take {EXPECTED}."
        )
    return WanConfig(dim, ffn, count_blocks(tensors)).shapes()


def _refuse_other_models(source: WeightSource, held: dict[str, str], tensors: dict[str, TensorInfo]) -> None:
    what = describe_marks(tensors)
    embedding = tensors.get("patch_embedding.weight")
    other_channels = embedding is not None and embedding.shape[1:2] != (WAN.latent.channels,)
    if what is None and (other_channels or _width(tensors) > WAN21_1_3B.dim):
        what = describe_transformer(source, held, WAN)
    if what is not None:
        raise LumosXError(f"{source.path}: it seems to be {what}; LumosX needs {EXPECTED}.")


def _width(tensors: dict[str, TensorInfo]) -> int:
    """Channels of the transformer; 0 when the tensor that shows them is damaged."""
    shape = tensors[WAN.mark].shape
    return shape[-1] if shape else 0


def _compare(source: WeightSource, held: dict[str, str], expected: dict[str, tuple[int, ...]]) -> None:
    missing = [name for name in expected if name not in held]
    if missing:
        _refuse_missing(source, missing[0], len(missing))
    unknown = [name for name in held if name not in expected]
    if unknown:
        raise LumosXError(
            f"{source.path}: it contains {_count(unknown)} that this model does not have, such as "
            f"{unknown[0][:80]!r}; it is a variant that LumosX would run incorrectly, use {EXPECTED}."
        )
    for name, shape in expected.items():
        found = source.tensors[held[name]]
        if found.kind not in _WEIGHT_KINDS and not is_packed(found.kind):
            # Such a layer may be packed in ways that only the host knows, so its shape says nothing here.
            if has_sidecars(source, held[name]) or QUANTIZATION_METADATA in source.metadata:
                continue
            if source.format == "GGUF":
                raise LumosXError(
                    f"{source.path}: {name} is in blocks of type {found.kind}, which LumosX cannot read; take a file "
                    f"in one of {', '.join(BLOCK_KINDS)}."
                )
            raise LumosXError(
                f"{source.path}: {name} contains numbers of type {found.kind}, which are not weights; use a file in "
                "bf16, fp16, fp32, fp8 or a GGUF."
            )
        if found.shape != shape:
            raise LumosXError(
                f"{source.path}: {name} has the shape {list(found.shape)}, but the rest of the file requires "
                f"{list(shape)}; the file is damaged or mixed from two models, get it again."
            )


def _refuse_shards(source: WeightSource) -> None:
    if _SHARD.search(source.path.name) and not isinstance(source, SplitFile):
        raise LumosXError(
            f"{source.path}: it is one of several parts of a model, but its name does not say which; give all parts "
            "their original names."
        )


def _refuse_missing(source: WeightSource, name: str, count: int) -> NoReturn:
    _refuse_shards(source)
    more = f" and {count - 1} more are" if count > 1 else " is"
    raise LumosXError(f"{source.path}: {name}{more} missing; the file is not complete, get it again.")


def _count(names: list[str]) -> str:
    return "a tensor" if len(names) == 1 else f"{len(names)} tensors"
