"""Adapter files, read and written (section 10 of the specification). They are recognised by their tensors alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from ...errors import LumosXError
from ...files import replacing
from ...weights.dense import read_dense
from ...weights.source import WeightSource
from .adapter import PolyVividAdapter, new_shapes
from .config import MOST_RANK, AdapterConfig
from .file_names import OPTIONAL, TensorName, is_adapter
from .lora import MakeLinear
from .metadata import metadata_of, settings_of

_log = logging.getLogger("LumosX")
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter as it lies in a file.

    Attributes:
        config: sizes and settings.
        tensors: all of them under the names of ``adapter.new_shapes``, on the CPU, in their stored dtype; they may be
            mapped from the file, so they must not be written to.
    """

    config: AdapterConfig
    tensors: Mapping[str, torch.Tensor]

    def build(self, linear: MakeLinear = nn.Linear, dtype: torch.dtype = torch.float32) -> PolyVividAdapter:
        """The module with these weights, in one dtype; ``linear`` makes its linear layers."""
        adapter = PolyVividAdapter(self.config, {name: tuple(one.shape) for name, one in self.tensors.items()}, linear)
        adapter.to(dtype).load_state_dict(dict(self.tensors))
        return adapter


def read_adapter(source: WeightSource) -> StoredAdapter:
    """Read an adapter from an open weight file of any kind.

    Canonical names, short ones (``lora_d``), PEFT's (``lora_A``) and fused query-key-value LoRAs are accepted.

    Raises:
        LumosXError: it is no adapter, lacks something, has something too much, or states what cannot be.
    """
    path = source.path
    if not is_adapter(source.tensors):
        raise LumosXError(
            f"{path}: it is not a PolyVivid adapter, which has tensors named …interact… and …inject.fc.weight; "
            "choose another file."
        )
    tensors = _separate(path, {name: read_dense(source, stored) for name, stored in _named(source).items()})
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    try:
        config = _config_of(shapes, source.metadata, path)
        _check_shapes(shapes, config)
    except LumosXError as error:
        raise LumosXError(f"{path}: {error}") from error
    return StoredAdapter(config, tensors)


def write_adapter(path: Path, adapter: PolyVividAdapter, dtype: torch.dtype | None = None) -> None:
    """Write an adapter, so that the file is there whole or not at all.

    Args:
        dtype: of the stored numbers; None for those of the adapter.

    Raises:
        OSError: it cannot be written; what was at ``path`` is still there.
    """
    tensors = {
        name: tensor.detach().to("cpu", dtype or tensor.dtype).contiguous()
        for name, tensor in adapter.state_dict().items()
    }
    metadata = metadata_of(adapter.config)
    if len({tensor.shape[0] for name, tensor in tensors.items() if name.endswith("lora_down.weight")}) > 1:
        # No one number is right; readers take the ranks from the tensors.
        del metadata["rank"]
    with replacing(path) as part:
        save_file(tensors, part, metadata)


def _named(source: WeightSource) -> dict[TensorName, str]:
    """What each tensor of a file is, and its name there."""
    named: dict[TensorName, str] = {}
    for stored in source.tensors:
        name = TensorName.of(stored)
        if name is None:
            raise LumosXError(
                f"{source.path}: {stored[:80]!r} does not belong to a PolyVivid adapter; get the file again."
            )
        if name in named:
            raise LumosXError(
                f"{source.path}: {stored[:80]!r} and {named[name][:80]!r} are the same tensor; get the file again."
            )
        named[name] = stored
    return named


def _separate(path: Path, tensors: Mapping[TensorName, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All tensors with fused layers taken apart: queries, keys and values share the thin matrix down."""
    result: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        names = name.separate
        if len(names) > 1 and name.side == "up":
            if tensor.ndim != 2 or tensor.shape[0] % 3:
                raise LumosXError(f"{path}: {name} has the shape {list(tensor.shape)}; get the file again.")
            parts = tensor.chunk(3)
        else:
            parts = (tensor,) * len(names)
        for one, part in zip(names, parts):
            if str(one) in result:
                raise LumosXError(f"{path}: {one} is there alone and fused; get the file again.")
            result[str(one)] = part
    return result


def _config_of(shapes: Shapes, metadata: Mapping[str, str], path: Path) -> AdapterConfig:
    """Sizes from the tensors, settings from the metadata."""
    settings, missing = settings_of(metadata)
    layers = tuple(sorted({_parsed(name).layer for name in shapes}))
    if settings.pop("layers", layers) != layers:
        raise LumosXError(f"layers: the metadata disagrees with the tensors, which are of {list(layers)}.")
    rank = settings.pop("rank", None)
    ranks = {shape[0] for name, shape in shapes.items() if name.endswith("lora_down.weight") and shape}
    if rank is not None and ranks - {rank}:
        raise LumosXError(f"rank: the metadata states {rank}, but there are LoRAs of rank {max(ranks - {rank})}.")
    hidden, mlp = (
        _rows(shapes, f"double_blocks.{layers[0]}.inject.{name}") for name in ("fc.weight", "mlp.0.lora_up.weight")
    )
    if missing:
        _log.info("%s: the PolyVivid adapter does not state %s; defaults are used.", path, ", ".join(missing))
    return AdapterConfig(
        hidden_size=hidden, mlp_size=mlp, layers=layers, rank=rank or max(ranks, default=0),
        alpha=settings.pop("alpha", None), **settings,
    )


def _parsed(name: str) -> TensorName:
    parsed = TensorName.of(name)
    if parsed is None:
        raise LumosXError(f"{name} does not belong to a PolyVivid adapter; get the file again.")
    return parsed


def _rows(shapes: Shapes, name: str) -> int:
    """The rows of a tensor that every adapter has."""
    if len(shapes.get(name, ())) != 2:
        raise LumosXError(f"{name} is missing or does not have two dimensions; get the file again.")
    return shapes[name][0]


def _check_shapes(shapes: Shapes, config: AdapterConfig) -> None:
    """Refuse missing tensors, halves of LoRAs, and wrong shapes."""
    possible = new_shapes(config, with_optional=True)
    for name, shape in possible.items():
        one = _parsed(name)
        optional = one.part in OPTIONAL[one.module]
        if name not in shapes:
            half = one.side and str(replace(one, side="up" if one.side == "down" else "down")) in shapes
            if not optional or half:
                raise LumosXError(f"{name} is missing; get the file again.")
            continue
        found = shapes[name]
        if one.side is not None:
            # The rank is each LoRA's own.
            rank = (shapes.get(str(replace(one, side="down"))) or (config.rank,))[0]
            if not 1 <= rank <= MOST_RANK:
                raise LumosXError(f"{name} has the rank {rank}, which must be from 1 to {MOST_RANK}.")
            shape = (rank, shape[1]) if one.side == "down" else (shape[0], rank)
        if found != shape:
            raise LumosXError(f"{name} has the shape {list(found)}, but {list(shape)} is needed; get the file again.")
