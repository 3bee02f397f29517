"""Plain numbers out of every layout that ComfyUI's files and GGUF have."""

import json

import gguf
import numpy as np
import pytest
import safetensors.torch
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.weights.dense import is_plain, read_dense
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.quantised import find_quantised_layers, is_sidecar

FP8 = torch.linspace(-400, 400, 24).reshape(4, 6).to(torch.float8_e4m3fn)
SCALE = torch.tensor(0.0125)


@pytest.fixture
def opened(tmp_path):
    """opened(tensors, metadata) is an open safetensors file."""
    files = []

    def write(tensors, metadata=None):
        path = tmp_path / "model.safetensors"
        safetensors.torch.save_file(tensors, path, metadata=metadata)
        files.append(open_weights(path))
        return files[-1]

    yield write
    for file in files:
        file.close()


def dense(source, name):
    """A tensor as plain numbers, by what the file says of its layer."""
    layers = find_quantised_layers(source, {name: name for name in source.tensors if not is_sidecar(name)})
    return read_dense(source, name, layers.get(name))


def mark(layout, **settings):
    return torch.frombuffer(bytearray(json.dumps({"format": layout, **settings}).encode()), dtype=torch.uint8)


def metadata(layout):
    return {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": {"a.q": {"format": layout}}})}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2])
def test_floats_come_as_they_are_stored(opened, dtype):
    weight = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = read_dense(opened({"a.q.weight": weight}), "a.q.weight")
    assert found.dtype == dtype and torch.equal(found.float(), weight.float())


@pytest.mark.parametrize(
    ("beside", "text"),
    [
        ({"a.q.scale_weight": SCALE, "scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}, None),
        ({"a.q.scale_weight": SCALE.reshape(1), "scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}, None),
        ({"a.q.weight_scale": SCALE, "a.q.comfy_quant": mark("float8_e4m3fn")}, None),
        ({"a.q.weight_scale": SCALE}, metadata("float8_e4m3fn")),
    ],
    ids=["old", "old, scale [1]", "mark", "metadata"],
)
def test_scaled_fp8_is_multiplied_by_its_scale(opened, beside, text):
    source = opened({"a.q.weight": FP8, "a.q.bias": torch.ones(4), **beside}, text)
    assert torch.equal(dense(source, "a.q.weight"), FP8.float() * SCALE)
    assert torch.equal(read_dense(source, "a.q.bias"), torch.ones(4))
    assert not is_plain(source, "a.q.weight") and is_plain(source, "a.q.bias")


@pytest.mark.parametrize(
    ("tensors", "text", "layout"),
    [
        ({"a.q.weight": torch.zeros(4, 3, dtype=torch.uint8), "a.q.comfy_quant": mark("nvfp4")}, None, "nvfp4 in"),
        ({"a.q.weight": FP8, "a.q.weight_scale": torch.zeros(4, dtype=torch.uint8)}, metadata("mxfp8"), "'mxfp8'"),
        ({"a.q.weight": torch.zeros(4, 6, dtype=torch.int8)}, metadata("int8_tensorwise"), "'int8_tensorwise'"),
        ({"a.q.weight": torch.zeros(4, 6, dtype=torch.int8)}, None, "I8"),
        ({"a.q.weight": FP8, "a.q.weight_scale": torch.ones(4)}, None, "fp8 with 4 scales"),
    ],
)
def test_other_layouts_are_refused(opened, tensors, text, layout):
    with pytest.raises(LumosXError, match=f"a.q.weight is stored as {layout}.*, which .* use the bf16 file"):
        dense(opened(tensors, text), "a.q.weight")


def test_blocks_become_float32_in_their_logical_shape(tmp_path):
    path = tmp_path / "model.gguf"
    numbers = np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32)
    packed = gguf.quants.quantize(numbers, gguf.GGMLQuantizationType.Q5_1)
    writer = gguf.GGUFWriter(path, "wan")
    writer.add_tensor("q.weight", packed, raw_dtype=gguf.GGMLQuantizationType.Q5_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_weights(path) as source:
        found = read_dense(source, "q.weight")
        assert not is_plain(source, "q.weight")
    assert torch.equal(found, torch.from_numpy(gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q5_1)))


def int8(scale, **settings):
    """Tensors of an int8 layer, and its numbers."""
    stored = torch.arange(-12, 12, dtype=torch.int8).reshape(4, 6)
    said = mark("int8_tensorwise", **settings)
    return {"a.q.weight": stored, "a.q.weight_scale": scale, "a.q.comfy_quant": said}, stored.float() * scale


@pytest.mark.parametrize("scale", [torch.tensor(0.5), torch.tensor([[0.5], [1.0], [2.0], [4.0]])], ids=["one", "rows"])
def test_int8_with_one_scale_or_one_a_row(opened, scale):
    tensors, expected = int8(scale)
    assert torch.equal(dense(opened(tensors), "a.q.weight"), expected)


@pytest.mark.parametrize(("tensors", "words"), [
    (int8(torch.ones(4, 1), convrot=True, convrot_groupsize=256)[0], "int8_tensorwise with convrot"),
    (int8(torch.ones(6))[0], "int8 with 6 scales"),
    ({**int8(torch.ones(4, 1))[0], "a.q.weight": torch.ones(4, 6)}, "'int8_tensorwise'"),
])
def test_int8_of_another_kind_is_refused(opened, tensors, words):
    with pytest.raises(LumosXError, match=f"a.q.weight is stored as {words}, which LumosX cannot convert"):
        dense(opened(tensors), "a.q.weight")


NVFP4 = {
    "a.q.weight": torch.full((2, 16), 0x22, dtype=torch.uint8), "a.q.weight_scale_2": torch.tensor(0.5),
    "a.q.weight_scale": torch.ones(128, 4).to(torch.float8_e4m3fn), "a.q.comfy_quant": mark("nvfp4"),
}


def test_nvfp4_has_twice_as_many_columns_as_bytes(opened):
    assert torch.equal(dense(opened(NVFP4), "a.q.weight"), torch.full((2, 32), 0.5))


@pytest.mark.parametrize("changed", [
    {"a.q.weight_scale": torch.ones(2, 2).to(torch.float8_e4m3fn)}, {"a.q.weight_scale_2": torch.ones(2)},
    {"a.q.weight": torch.ones(2, 16, dtype=torch.int8)}, {"a.q.weight": torch.ones(16, dtype=torch.uint8)},
    {"a.q.weight_scale_2": None}, {"a.q.weight_scale": None}, {"a.q.pre_quant_scale": torch.ones(32)},
])
def test_nvfp4_whose_parts_do_not_fit_is_refused(opened, changed):
    tensors = {name: tensor for name, tensor in {**NVFP4, **changed}.items() if tensor is not None}
    with pytest.raises(LumosXError, match="a.q.weight is stored as nvfp4 in another form"):
        dense(opened(tensors), "a.q.weight")
