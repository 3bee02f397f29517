"""What the ``.metadata`` file of a torch.distributed.checkpoint folder says of its tensors.

It is a serialised ``Metadata`` of torch's (torch/distributed/checkpoint/metadata.py, filesystem.py; torch 2.1 to 2.13).
It is read as inert records, so that nothing in it is imported or called.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import LumosXError
from .file_names import is_plain_name
from .records import Damaged, Foreign, GlobalName, PickledObject, read_records
from .source import DTYPES, MOST_DIMENSIONS, TensorInfo
from .torch_tensors import kind_of

METADATA = ".metadata"
_LARGEST = 1 << 28
_MOST_STEPS = 1 << 23
"""Opcodes of the index; each part that a machine of many wrote takes about 100."""

_MOST_ELEMENTS = 1 << 62
_CHECKPOINT = "torch.distributed.checkpoint."
_SHARDED = "torch.distributed._shard.sharded_tensor.metadata."
_TENSOR = f"{_CHECKPOINT}metadata.TensorStorageMetadata"
_BYTES = f"{_CHECKPOINT}metadata.BytesStorageMetadata"
_CHUNK = f"{_CHECKPOINT}metadata.ChunkStorageMetadata"
_INDEX = f"{_CHECKPOINT}metadata.MetadataIndex"
_WHOLE = f"{_CHECKPOINT}metadata.Metadata"
_STORED = f"{_CHECKPOINT}filesystem._StorageInfo"
# Until torch 2.3 the properties came from another module.
_PROPERTIES = (f"{_CHECKPOINT}metadata.TensorProperties", f"{_SHARDED}TensorProperties")
_LAYOUTS = (f"{_CHECKPOINT}metadata._MEM_FORMAT_ENCODING", f"{_SHARDED}MEM_FORMAT_ENCODING")
_GETATTR = "builtins.getattr"
_CALLED = frozenset((
    _TENSOR, _BYTES, _CHUNK, _INDEX, _WHOLE, _STORED, *_PROPERTIES, *_LAYOUTS, f"{_CHECKPOINT}metadata.StorageMeta",
    "torch.Size", "torch.serialization._get_layout", "collections.OrderedDict",
    *(f"pathlib.{module}{name}" for module in ("", "_local.") for name in ("PosixPath", "WindowsPath")),
))


@dataclass(frozen=True)
class Chunk:
    """A box of a tensor, and the bytes that hold it.

    Attributes:
        offsets: where the box begins in the tensor.
        sizes: of the box.
        file: name of the file inside the folder.
        start: first byte in the file.
        length: number of bytes.
    """

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    start: int
    length: int


@dataclass(frozen=True)
class IndexedTensor:
    """A tensor of the folder.

    Attributes:
        info: its kind and shape.
        dtype: the same kind for torch.
        chunks: boxes that together have as many elements as the tensor.
    """

    info: TensorInfo
    dtype: torch.dtype
    chunks: tuple[Chunk, ...]


def read_index(folder: Path) -> dict[str, IndexedTensor]:
    """Every tensor of a checkpoint folder; entries that are not tensors are left out.

    Raises:
        LumosXError: the metadata is damaged or asks to run code, data files are missing or too short, the data is
            compressed, or a tensor's parts do not make up the whole.
    """
    path = folder / METADATA
    try:
        metadata = read_records(_bytes_of(path), _may_mention, _call, _MOST_STEPS)
        state = _state(metadata, _WHOLE)
        places = _read_places(state["storage_data"], path)
        entries = {
            name: _read_entry(name, _state(entry, _TENSOR), places, path)
            for name, entry in state["state_dict_metadata"].items()
            if not (isinstance(entry, PickledObject) and entry.name == _BYTES)
        }
    except Foreign as error:
        raise LumosXError(
            f"{path}: loading it would run {str(error)[:60]!r}, which no checkpoint needs; take the folder from a "
            "source that you trust."
        ) from error
    except (Damaged, KeyError, TypeError, AttributeError, IndexError) as error:
        raise LumosXError(f"{path}: it is damaged or from an unsupported version of torch; get it again.") from error
    _check_files(entries, folder)
    return entries


def _bytes_of(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST:
        raise LumosXError(f"{path}: it is larger than any checkpoint's table of contents; get it again.")
    return path.read_bytes()


def _call(name: str, arguments: tuple) -> PickledObject:
    # Python 3.11's first releases stored the member of an Enum as getattr(its class, its name).
    member = name == _GETATTR and isinstance(arguments[0], GlobalName) and arguments[0] in _LAYOUTS
    if not member and name not in _CALLED:
        raise Foreign(name)
    return PickledObject(name, arguments, None)


def _may_mention(name: str) -> bool:
    return name in _CALLED or name == _GETATTR or name in DTYPES


def _state(record: object, name: str) -> dict:
    if not isinstance(record, PickledObject) or record.name != name or not isinstance(record.state, dict):
        raise Damaged(name)
    return record.state


def _size(record: object) -> tuple[int, ...]:
    """The numbers of a torch.Size, of which a product fits into torch's integers."""
    if not isinstance(record, PickledObject) or record.name != "torch.Size":
        raise Damaged("size")
    numbers = record.arguments[0]
    if type(numbers) is not tuple or len(numbers) > MOST_DIMENSIONS:
        raise Damaged("size")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise Damaged("size")
    if math.prod(max(number, 1) for number in numbers) > _MOST_ELEMENTS:
        raise Damaged("size")
    return numbers


def _read_places(stored: Mapping, path: Path) -> dict[tuple[str, tuple[int, ...]], tuple[str, int, int]]:
    """File, first byte and number of bytes of each box of each tensor."""
    places = {}
    for index, record in stored.items():
        where, what = _state(index, _INDEX), _state(record, _STORED)
        if where.get("offset") is None:
            continue
        if what.get("transform_descriptors"):
            raise LumosXError(f"{path}: its data is compressed or transformed; save it again without extensions.")
        file, start, length = what["relative_path"], what["offset"], what["length"]
        if not is_plain_name(file):
            raise LumosXError(f"{path}: it points out of its folder; take the folder from a source that you trust.")
        if type(start) is not int or type(length) is not int or start < 0 or length < 0:
            raise Damaged("place")
        key = (where["fqn"], _size(where["offset"]))
        if type(key[0]) is not str or key in places:
            raise Damaged("place")
        places[key] = (file, start, length)
    return places


def _read_entry(name: str, state: dict, places: dict, path: Path) -> IndexedTensor:
    """One tensor; the places of its boxes are taken out of ``places``."""
    if type(name) is not str:
        raise Damaged("name")
    dtype, shape = _dtype(state["properties"]), _size(state["size"])
    chunks = []
    for record in state["chunks"]:
        box = _state(record, _CHUNK)
        offsets = _size(box["offsets"])
        # Taken out, so that lists of boxes that repeat or share each other end at once.
        chunks.append(Chunk(offsets, _size(box["sizes"]), *places.pop((name, offsets))))
    if sum(math.prod(chunk.sizes) for chunk in chunks) != math.prod(shape):
        raise LumosXError(f"{path}: the parts of {name[:80]!r} do not make up the whole; get the folder again.")
    for chunk in chunks:
        if not _inside(chunk, shape) or math.prod(chunk.sizes) * dtype.itemsize > chunk.length:
            raise Damaged("chunk")
    return IndexedTensor(TensorInfo(kind_of(dtype), shape), dtype, tuple(chunks))


def _dtype(properties: object) -> torch.dtype:
    if not isinstance(properties, PickledObject) or properties.name not in _PROPERTIES:
        raise Damaged("properties")
    if not isinstance(properties.state, tuple) or type(properties.state[0]) is not GlobalName:
        raise Damaged("dtype")
    return DTYPES[properties.state[0]]


def _inside(chunk: Chunk, shape: tuple[int, ...]) -> bool:
    return len(chunk.offsets) == len(chunk.sizes) == len(shape) and all(
        offset + size <= whole for offset, size, whole in zip(chunk.offsets, chunk.sizes, shape)
    )


def _check_files(entries: Mapping[str, IndexedTensor], folder: Path) -> None:
    """Whether the files are there and as long as the metadata says, each byte belonging to one tensor only."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for entry in entries.values():
        for chunk in entry.chunks:
            spans.setdefault(chunk.file, []).append((chunk.start, chunk.start + chunk.length))
    for file, parts in spans.items():
        path = folder / file
        if not path.is_file():
            raise LumosXError(f"{path}: this file of the checkpoint is missing; get the folder again.")
        parts.sort()
        if parts[-1][1] > path.stat().st_size:
            raise LumosXError(f"{path}: it is cut off; get the folder again.")
        if any(end > start for (_, end), (start, _) in zip(parts, parts[1:])):
            raise LumosXError(f"{path}: two tensors of the checkpoint share their bytes; get the folder again.")
