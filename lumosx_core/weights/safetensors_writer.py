"""Write a safetensors file tensor by tensor, so that never more than one of them is in memory.

The safetensors package writes from a complete dictionary only. The format (its README): the header's length as a
64-bit little-endian integer, the header as JSON padded with spaces, the tensors' bytes without gaps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .precision import Stored
from .source import TORCH_KINDS

_ALIGNMENT = 8


class SafetensorsWriter:
    """A new file whose tensors are all named beforehand and may be written in any order.

    Args:
        path: a file that does not exist yet.
        tensors: everything that will be written.
        metadata: text for the header.

    Raises:
        OSError: here and in ``write``, the file cannot be written.
    """

    def __init__(self, path: Path, tensors: Sequence[Stored], metadata: Mapping[str, str]) -> None:
        header: dict = {"__metadata__": dict(metadata)}
        end = 0
        # Wide kinds first keeps every tensor aligned to its own kind, as the safetensors package does.
        for tensor in sorted(tensors, key=lambda tensor: (-TORCH_KINDS[tensor.kind].itemsize, tensor.name)):
            start, end = end, end + tensor.nbytes
            header[tensor.name] = {"dtype": tensor.kind, "shape": tensor.shape, "data_offsets": (start, end)}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self.header_bytes = 8 + len(text)
        self._starts = {tensor.name: self.header_bytes + header[tensor.name]["data_offsets"][0] for tensor in tensors}
        self._file = path.open("xb")
        try:
            self._file.write(len(text).to_bytes(8, "little") + text)
        except BaseException:
            self._file.close()
            raise

    def write(self, name: str, data: memoryview) -> None:
        """The bytes of one of the tensors."""
        self._file.seek(self._starts[name])
        self._file.write(data)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
