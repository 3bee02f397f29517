"""GGUF files, read back by the gguf package."""

import gguf
import numpy as np
import torch

from lumosx_core.weights.checksum import tensor_bytes
from lumosx_core.weights.encode import encode
from lumosx_core.weights.gguf_writer import GGUFStreamWriter
from lumosx_core.weights.precision import Stored


def test_the_package_reads_what_was_written(tmp_path):
    generator = torch.Generator().manual_seed(0)
    numbers = {
        "a.weight": ("Q4_1", torch.randn(6, 64, generator=generator)),
        "b.bias": ("F32", torch.randn(5, generator=generator)),
        "c.weight": ("BF16", torch.randn(3, 7, generator=generator)),
        "d.weight": ("F16", torch.randn(3, 7, generator=generator)),
        "patch_embedding.weight": ("F32", torch.randn(4, 2, 1, 2, 2, generator=generator)),
    }
    tensors = [Stored(name, kind, tuple(tensor.shape)) for name, (kind, tensor) in numbers.items()]
    path = tmp_path / "x.gguf"
    file = GGUFStreamWriter(path, tensors, {"lumosx.source_name": "größe"}, "Q4_1")
    for name, (kind, tensor) in numbers.items():
        file.write(name, tensor_bytes(encode(tensor, kind, name, lambda count: None)))
    file.close()

    reader = gguf.GGUFReader(path)
    stored = {key: field.parts[field.data[0]] for key, field in reader.fields.items()}
    assert bytes(stored["general.architecture"]) == b"wan"
    assert stored["general.file_type"][0] == gguf.LlamaFileType.MOSTLY_Q4_1
    assert stored["general.quantization_version"][0] == gguf.GGML_QUANT_VERSION
    assert bytes(stored["lumosx.source_name"]).decode() == "größe"
    assert [tensor.name for tensor in reader.tensors] == list(numbers)
    for found in reader.tensors:
        kind, tensor = numbers[found.name]
        assert found.tensor_type.name == kind and found.data_offset % 32 == 0
        assert tuple(reversed(found.shape.tolist())) == tuple(tensor.shape)
        back = gguf.quants.dequantize(np.array(found.data), found.tensor_type).reshape(tensor.shape)
        assert np.abs(back - tensor.numpy()).max() <= {"Q4_1": 0.3, "BF16": 0.02, "F16": 0.002, "F32": 0}[kind]
