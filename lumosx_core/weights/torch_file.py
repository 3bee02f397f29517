"""Weights that ``torch.save`` wrote: ``.pt``, ``.pth``, ``.ckpt``, ``.bin``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from ..errors import LumosXError
from .source import LONGEST_NAME, TensorInfo, WeightSource, check_tensor_names
from .torch_archive import load_archive
from .torch_tensors import kind_of

_DEEPEST = 16
_MOST_ENTRIES = 1 << 17
_NESTED = "{}: its names are too long or nested beyond all reason; save a model's state_dict()."


class TorchFile(WeightSource):
    """A state dict, alone or inside a checkpoint; the tensors stay mapped from disk.

    A nested dict gives dotted names (``ema.blocks.0.modulation``); anything that is not a tensor is left out.

    Raises:
        LumosXError: the file is damaged, wants to run code, or holds other things than plain tensors.
    """

    format = "torch"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: Mapping[str, str] = {}
        with path.open("rb") as file:
            saved = load_archive(file, path, mapped=True)
        if not isinstance(saved, dict):
            raise LumosXError(f"{path}: it contains no dictionary of tensors; save a model's state_dict().")
        self._loaded: dict[str, torch.Tensor] = {}
        for count, (name, tensor) in enumerate(_named_entries(saved, path)):
            # Dicts may hold each other, so that a small file has more entries than could ever be counted or named.
            if count > _MOST_ENTRIES or len(name) > LONGEST_NAME:
                raise LumosXError(_NESTED.format(path))
            if not isinstance(tensor, torch.Tensor):
                continue
            if name in self._loaded:
                raise LumosXError(f"{path}: it has two tensors named {name[:60]!r}; save them under other names.")
            self._loaded[name] = tensor
        check_tensor_names(path, self._loaded)
        self.tensors = {
            name: TensorInfo(kind_of(tensor.dtype), tuple(tensor.shape)) for name, tensor in self._loaded.items()
        }

    def read(self, name: str) -> torch.Tensor:
        return self._loaded[name].contiguous()

    def close(self) -> None:
        self._loaded.clear()


def _named_entries(saved: dict, path: Path, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, object]]:
    """Every entry, also inside of nested dicts, under the keys that lead to it."""
    if depth > _DEEPEST:
        raise LumosXError(_NESTED.format(path))
    for key, value in saved.items():
        # The text of other keys could be longer than anything.
        if not isinstance(key, (str, int)):
            continue
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from _named_entries(value, path, f"{prefix}{key}.", depth + 1)
