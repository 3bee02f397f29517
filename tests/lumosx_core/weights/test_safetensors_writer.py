"""Files written piece by piece, read back by the safetensors package."""

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.weights.checksum import tensor_bytes
from lumosx_core.weights.precision import Stored
from lumosx_core.weights.safetensors_writer import SafetensorsWriter
from lumosx_core.weights.source import TORCH_KINDS

KINDS = ("F32", "F16", "BF16", "F8_E4M3")


def write(path, tensors, metadata=None, order=None):
    kinds = {dtype: kind for kind, dtype in TORCH_KINDS.items()}
    stored = [Stored(name, kinds[tensor.dtype], tuple(tensor.shape)) for name, tensor in tensors.items()]
    writer = SafetensorsWriter(path, stored, metadata or {})
    for name in order or tensors:
        writer.write(name, tensor_bytes(tensors[name]))
    writer.close()


@given(
    shapes=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda s: s != "__metadata__"),
        st.tuples(st.sampled_from(KINDS), st.lists(st.integers(1, 5), max_size=4)), min_size=1, max_size=6,
    ),
    seed=st.integers(0, 99),
)
def test_any_tensors_come_back(tmp_path_factory, shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(shape, generator=generator).to(TORCH_KINDS[kind]) for name, (kind, shape) in shapes.items()
    }
    path = tmp_path_factory.mktemp("written") / "x.safetensors"
    write(path, tensors, {"key": "värde \"x\""}, order=sorted(tensors, reverse=True))
    found = safetensors.torch.load_file(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape
        assert torch.equal(found[name].float(), tensor.float())
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata() == {"key": "värde \"x\""}


def test_every_tensor_is_aligned_to_its_kind(tmp_path):
    tensors = {
        "a": torch.zeros(3, dtype=torch.float8_e4m3fn), "b": torch.zeros(3, dtype=torch.bfloat16), "c": torch.zeros(())
    }
    path = tmp_path / "x.safetensors"
    write(path, tensors)
    data = path.read_bytes()
    header = int.from_bytes(data[:8], "little")
    assert header % 8 == 0 and len(data) == 8 + header + 4 + 6 + 3
    package = safetensors.torch.save(tensors)
    assert data[8 + header:] == package[8 + int.from_bytes(package[:8], "little"):]


def test_an_existing_file_is_not_touched(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        write(path, {"a": torch.zeros(3)})
    assert path.read_bytes() == b"precious"
