"""Safetensors files, alone or as the shards of an index, through the safetensors package."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ..errors import LumosXError
from .file_names import is_plain_name
from .source import EXPECTED, TensorInfo, WeightSource, check_dimensions, check_tensor_names

INDEX_ENDING = ".safetensors.index.json"
LARGEST_HEADER = 1 << 22
"""Bytes; the release's model needs 0.1 MB, the rest is for what others write into the metadata."""
_PAIR, _MOST_PAIRS = re.compile(rb'"\s*:'), 1 << 16
_LARGEST_INDEX = 1 << 22
_DAMAGE = (SafetensorError, RuntimeError, TypeError, ValueError, OverflowError, AttributeError)
"""What the package and torch raise over a damaged file."""


class SafetensorsFile(WeightSource):
    """One or several safetensors files, mapped from disk. Kinds keep the names that safetensors gives them.

    Args:
        path: the file; or an index, whose name ends in ``.safetensors.index.json`` and whose shards lie beside it.

    Raises:
        LumosXError: damaged, a shard is missing, or an index and its shards disagree.
    """

    format = "safetensors"

    def __init__(self, path: Path) -> None:
        self.path = path
        places = _read_index(path) if path.name.endswith(INDEX_ENDING) else None
        shards = [path] if places is None else dict.fromkeys(places.values())
        with ExitStack() as opened:
            files = {shard: opened.enter_context(_open(shard)) for shard in shards}
            held = {shard: file.keys() for shard, file in files.items()}
            check_tensor_names(path, [name for names in held.values() for name in names])
            if places is None:
                places = dict.fromkeys(held[path], path)
            else:
                _compare(path, places, held)
            self._held = {name: files[shard] for name, shard in places.items()}
            self.metadata = {key: text for file in files.values() for key, text in (file.metadata() or {}).items()}
            self.tensors = {name: _info(file, name) for name, file in self._held.items()}
            check_dimensions(path, self.tensors)
            self._opened = opened.pop_all()

    def read(self, name: str) -> torch.Tensor:
        try:
            return self._held[name].get_tensor(name)
        except _DAMAGE as error:
            kind = type(error)
        if kind is ValueError and self._can_read(name):
            # Torch takes a Ctrl-C in its midst for a wrong argument, and says no word of it; the file is whole.
            raise KeyboardInterrupt
        raise LumosXError(
            f"{self.path}: {name[:80]!r} cannot be read ({kind.__name__}); the file is damaged, get it again."
        )

    def _can_read(self, name: str) -> bool:
        try:
            self._held[name].get_tensor(name)
        except _DAMAGE:
            return False
        return True

    def close(self) -> None:
        self._held = {}
        self._opened.close()


def _open(path: Path) -> safe_open:
    try:
        _check_header(path)
        return safe_open(path, framework="pt", device="cpu")
    except FileNotFoundError:
        problem = "this file of the model is missing; get all of its files again"
    except SafetensorError:
        problem = "its header is damaged, the file is cut off, or it needs a newer safetensors package; get it again"
    except (MemoryError, RuntimeError):
        problem = "there is not enough memory to map it; close other programs"
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); get it again"
    raise LumosXError(f"{path}: {problem}.")


def _check_regular(path: Path) -> None:
    """Refuse a pipe or a device, which could hold us up for ever."""
    if path.exists() and not path.is_file():
        raise LumosXError(f"{path}: it is not a regular file; get the model again.")


def _check_header(path: Path) -> None:
    """Refuse a header that the package would take long to read, blocking every other thread."""
    _check_regular(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if LARGEST_HEADER < length <= path.stat().st_size:
            raise LumosXError(f"{path}: its header is larger than any that LumosX reads; take {EXPECTED}.")
        header = file.read(min(length, LARGEST_HEADER))
        if sum(1 for _ in _PAIR.finditer(header)) > _MOST_PAIRS:
            raise LumosXError(f"{path}: its header lists more than any that LumosX reads; take {EXPECTED}.")


def _info(file: safe_open, name: str) -> TensorInfo:
    header = file.get_slice(name)
    return TensorInfo(header.get_dtype(), tuple(header.get_shape()))


def _read_index(path: Path) -> dict[str, Path]:
    """The shard of each tensor, as ``weight_map`` of the index says (huggingface_hub's layout)."""
    _check_regular(path)
    if path.stat().st_size > _LARGEST_INDEX:
        raise LumosXError(f"{path}: it is larger than any index; get it again.")
    try:
        shards = json.loads(path.read_bytes(), object_pairs_hook=_without_repeats)["weight_map"]
        plain = all(is_plain_name(shard) for shard in shards.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LumosXError(f"{path}: it is not an index of safetensors files; get it again.") from error
    if not plain:
        raise LumosXError(f"{path}: it points out of its folder; take the model from a source that you trust.")
    check_tensor_names(path, shards)
    return {name: path.parent / shard for name, shard in shards.items()}


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _compare(path: Path, places: Mapping[str, Path], held: Mapping[Path, Iterable[str]]) -> None:
    """Whether each shard holds what the index says, and no other shard holds it too."""
    found: dict[str, Path] = {}
    for shard, names in held.items():
        for name in names:
            if name in found:
                both = f"{found[name].name[:60]} and {shard.name[:60]}"
                raise LumosXError(f"{path}: both {both} hold {name[:80]!r}; get the model again.")
            found[name] = shard
    for name, shard in places.items():
        if found.get(name) != shard:
            raise LumosXError(f"{shard}: it lacks {name[:80]!r}, which the index promises; get the model again.")
