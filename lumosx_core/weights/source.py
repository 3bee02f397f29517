"""The common interface of every kind of weight file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import LumosXError

EXPECTED = "LumosX weights or any checkpoint with the shape of Wan2.1-T2V-1.3B"
TORCH_KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Kinds that are torch dtypes, under the names that safetensors gives them."""

DTYPES = {f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
"""Torch's dtypes by every name that a pickle may give them. Asking torch for any other name can import something."""

MOST_TENSORS = 1 << 13
"""Twice what the release's model needs with averaged weights and its optimiser's state beside it (4,125)."""
LONGEST_NAME = 1 << 9
"""Letters of a tensor's name."""
MOST_DIMENSIONS = 64
"""As torch has it."""


def check_tensor_count(path: Path, count: int) -> None:
    """Refuse more tensors than any model needs, which could not be looked through in time.

    Raises:
        LumosXError: there are more than MOST_TENSORS.
    """
    if count > MOST_TENSORS:
        raise LumosXError(f"{path}: it holds {count} tensors, more than any model that LumosX reads; take {EXPECTED}.")


def check_tensor_names(path: Path, names: Collection[str]) -> None:
    """Refuse too many tensors, and names that are too long.

    Raises:
        LumosXError: there are such names.
    """
    check_tensor_count(path, len(names))
    if any(len(name) > LONGEST_NAME for name in names):
        raise LumosXError(f"{path}: a tensor's name is over {LONGEST_NAME} letters long; get the file again.")


@dataclass(frozen=True)
class TensorInfo:
    """What a file says of a tensor before it is read.

    Attributes:
        kind: a key of TORCH_KINDS, or a GGML block type such as ``Q8_0`` (see ``blocks``).
        shape: the logical shape, outermost first as in torch; also for block types.
    """

    kind: str
    shape: tuple[int, ...]


def check_dimensions(path: Path, tensors: Mapping[str, TensorInfo]) -> None:
    """Refuse tensors that torch could not hold, and whose shape no message could.

    Raises:
        LumosXError: there is one with more than MOST_DIMENSIONS.
    """
    for name, info in tensors.items():
        if len(info.shape) > MOST_DIMENSIONS:
            raise LumosXError(f"{path}: {name[:80]!r} has {len(info.shape)} dimensions; get the file again.")


class WeightSource(ABC):
    """An open weight file or folder. Tensors are read one by one, mapped from disk where the format allows.

    Attributes:
        path: the file or folder.
        format: what to call it in a message: ``safetensors``, ``GGUF``, ``torch``, ``checkpoint folder``.
        tensors: every tensor under its name in the file, with what the file says of it.
        metadata: the file's own text metadata.
    """

    path: Path
    format: str
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    @abstractmethod
    def read(self, name: str) -> torch.Tensor:
        """One tensor on the CPU.

        Returns:
            For torch kinds: ``tensors[name].shape`` in its dtype. For block types: the raw blocks as uint8
            [*shape[:-1], bytes of a row]. It may be mapped from the file read-only: do not write to it.

        Raises:
            LumosXError: the file cannot give what its header promised.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file. Tensors that were read may stay valid, if they keep the mapping alive."""

    def __enter__(self) -> WeightSource:
        return self

    def __exit__(self, *_) -> None:
        self.close()
