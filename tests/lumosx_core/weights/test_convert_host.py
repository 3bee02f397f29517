"""Converted files in ComfyUI itself."""

import comfy.model_base
import comfy.sd
import pytest
import safetensors.torch
import torch

from lumosx_core.weights.convert import convert
from lumosx_core.weights.dense import read_dense
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.quantised import find_quantised_layers
from lumosx_core.weights.transformer import find_transformer
from tools.placed_transformer import transformer_state_dict


@pytest.mark.parametrize("to", ["f16", "fp8_scaled"])
def test_comfyui_computes_with_the_converted_weights(tmp_path, to):
    safetensors.torch.save_file(transformer_state_dict(), tmp_path / "tiny.safetensors")
    path = convert(tmp_path / "tiny.safetensors", tmp_path / "out.safetensors", to).path
    model = comfy.sd.load_diffusion_model(str(path)).model
    assert type(model) is comfy.model_base.WAN21
    tokens = torch.randn(1, 5, 256, generator=torch.Generator().manual_seed(0))
    with open_weights(path) as file, torch.inference_mode():
        layers = find_quantised_layers(file, find_transformer(file))
        for layer in ("blocks.1.cross_attn.k", "blocks.3.ffn.0", "head.head"):
            weight, bias = (
                read_dense(file, f"{layer}.{part}", layers.get(f"{layer}.{part}")).float()
                for part in ("weight", "bias")
            )
            expected = torch.nn.functional.linear(tokens, weight, bias)
            found = model.diffusion_model.get_submodule(layer)(tokens)
            assert (found - expected).norm() < 1e-5 * expected.norm()
