"""Quantised layers in all of ComfyUI's layouts, and files that contradict themselves."""

import json

import pytest
import safetensors.torch
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.quantised import find_quantised_layers, is_sidecar

FP8 = torch.ones(4, 6).to(torch.float8_e4m3fn)
SCALE = torch.tensor(0.5)
E4M3 = {"format": "float8_e4m3fn"}


@pytest.fixture
def find(tmp_path):
    """find(tensors, layers, prefix) is what a file of them says, with layers in its metadata."""
    def run(tensors, layers=None, prefix="", text=None):
        text = json.dumps({"format_version": "1.0", "layers": layers}) if text is None and layers else text
        path = tmp_path / "model.safetensors"
        metadata = None if text is None else {"_quantization_metadata": text}
        safetensors.torch.save_file(
            {prefix + name: tensor.clone() for name, tensor in tensors.items()}, path, metadata=metadata
        )
        with open_weights(path) as source:
            names = {name: prefix + name for name in tensors if not is_sidecar(name)}
            return {
                name.removesuffix(".weight"): (
                    dict(layer.settings), {new: old.removeprefix(prefix) for new, old in layer.parts.items()}
                )
                for name, layer in find_quantised_layers(source, names).items()
            }

    return run


def mark(settings):
    return torch.tensor(list(json.dumps(settings).encode()), dtype=torch.uint8)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_all_layouts_say_the_same(find, prefix):
    scaled = {"a.q.weight": FP8, "a.q.weight_scale": SCALE, "a.q.bias": torch.ones(4), "b.weight": torch.ones(2, 2)}
    expected = {"a.q": (E4M3, {"weight_scale": "a.q.weight_scale"})}
    assert find(scaled, {"a.q": E4M3}, prefix) == expected
    assert find(scaled, {f"{prefix}a.q": E4M3}, prefix) == expected
    assert find({**scaled, "a.q.comfy_quant": mark(E4M3)}, None, prefix) == expected
    # More than the tensors alone would tell, so that the metadata must have been found.
    full = {**E4M3, "full_precision_matrix_mult": True}
    for name in ("a.q", f"{prefix}a.q"):
        assert find(scaled, {name: full}, prefix)["a.q"][0] == full
        # A mark beside the layer is nearer than a list for all of them.
        assert find({**scaled, "a.q.comfy_quant": mark(E4M3)}, {name: full}, prefix) == expected
    assert find(scaled, None, prefix) == expected
    old = {"a.q.weight": FP8, "a.q.scale_weight": SCALE, "a.q.scale_input": SCALE}
    parts = {"weight_scale": "a.q.scale_weight", "input_scale": "a.q.scale_input"}
    assert find(old, None, prefix) == {"a.q": (E4M3, parts)}
    marked = {**old, "scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    assert find(marked, None, prefix) == {"a.q": (full, parts)}
    for size in (0, 1, 3):
        other = {**old, "scaled_fp8": torch.zeros(size, dtype=torch.float8_e4m3fn)}
        assert find(other, None, prefix) == {"a.q": (E4M3, parts)}


def test_fp8_without_a_scale_is_no_quantised_layer(find):
    assert find({"a.q.weight": FP8, "scaled_fp8": FP8}) == {}


@pytest.mark.parametrize(
    ("tensors", "layers", "sentence"),
    [
        ({"a.weight": torch.ones(2), "a.weight_scale": SCALE}, None, "a.weight_scale scales a weight that is F32"),
        ({"a.weight": FP8, "a.weight_scale": SCALE, "b.weight": FP8}, None, "b.weight is scaled fp8, but its scale"),
        ({"a.weight": FP8}, {"a": E4M3}, "a.weight is scaled fp8, but its scale is missing; get the file again"),
        ({"a.weight": torch.ones(2), "a.weight_scale": SCALE}, {"a": E4M3}, "a.weight should be fp8 but is F32; get"),
        ({"a.weight": FP8, "a.weight_scale": SCALE}, {"a": {}}, "quantisation of a cannot be read"),
        ({"a.weight": FP8, "a.comfy_quant": torch.ones(3, dtype=torch.uint8)}, None, "quantisation of a.comfy_quant"),
        ({"a.weight": FP8, "a.comfy_quant": mark([1])}, None, "quantisation of a cannot be read"),
    ],
)
def test_contradictions_end_in_a_sentence(find, tensors, layers, sentence):
    with pytest.raises(LumosXError, match=f"model.safetensors: .*{sentence}"):
        find(tensors, layers)


@pytest.mark.parametrize("text", ["{", "[]", '{"layers": 3}', "[" * 100000])
def test_broken_metadata_ends_in_a_sentence(find, text):
    with pytest.raises(LumosXError, match="quantisation of _quantization_metadata cannot be read"):
        find({"a.weight": FP8}, text=text)


def test_sidecars_are_distinguished_from_weights():
    for name in ("scaled_fp8", "blocks.0.ffn.0.scale_weight", "blocks.0.ffn.0.scale_input", "x.weight_scale",
                 "x.input_scale", "x.weight_scale_2", "x.comfy_quant", "model.diffusion_model.scaled_fp8"):
        assert is_sidecar(name), name
    for name in ("blocks.0.ffn.0.weight", "blocks.0.modulation", "scale", "weight_scale.weight"):
        assert not is_sidecar(name), name
