"""Write a GGUF file tensor by tensor, through the gguf package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .gguf_package import require_gguf
from .precision import Stored

ARCHITECTURE = "wan"
"""What other GGUF loaders for ComfyUI know Wan's transformers by."""


class GGUFStreamWriter:
    """A new file whose tensors are all named beforehand and written in that order.

    Args:
        path: a file that does not exist yet.
        tensors: everything that will be written, in this order.
        metadata: text for the header.
        block_kind: the type of most tensors, such as ``Q8_0``.

    Raises:
        OSError: here and in ``write``, the file cannot be written.
    """

    def __init__(self, path: Path, tensors: Sequence[Stored], metadata: Mapping[str, str], block_kind: str) -> None:
        gguf = require_gguf()
        self._writer = gguf.GGUFWriter(path, ARCHITECTURE)
        self._writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        self._writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{block_kind}"])
        for key, text in metadata.items():
            self._writer.add_string(key, text)
        for tensor in tensors:
            kind = gguf.GGMLQuantizationType[tensor.kind]
            # With a numpy type that is not uint8 the package takes the shape as the logical one.
            self._writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), tensor.nbytes, raw_dtype=kind)
        try:
            self._writer.write_header_to_file()
            self._writer.write_kv_data_to_file()
            self._writer.write_ti_data_to_file()
        except BaseException:
            self._writer.close()
            raise
        self.header_bytes = path.stat().st_size

    def write(self, name: str, data: memoryview) -> None:
        """The bytes of the next tensor."""
        self._writer.write_tensor_data(np.frombuffer(data, np.uint8))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
