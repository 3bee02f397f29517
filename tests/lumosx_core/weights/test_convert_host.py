"""Converted files in ComfyUI itself."""

import comfy.model_base
import comfy.quant_ops
import comfy.sd
import pytest
import safetensors.torch
import torch

from lumosx_core.host.weights.loader import load_patcher
from lumosx_core.weights.convert import convert
from lumosx_core.weights.dense import read_dense
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.quantised import find_quantised_layers
from lumosx_core.weights.transformer import find_transformer
from tools.placed_transformer import transformer_state_dict
from tools.weight_files import small_transformer


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


def velocity(patcher):
    """What the stock forward makes of fixed inputs."""
    patcher.patch_model(torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    x, context = torch.randn(1, 16, 2, 8, 8, generator=generator), torch.randn(1, 20, 4096, generator=generator)
    with torch.inference_mode():
        return patcher.model.diffusion_model(x, torch.tensor([500.0]), context)


@pytest.mark.slow
@pytest.mark.parametrize(("to", "least", "most"), [("int8", 0.003, 0.03), ("nvfp4", 0.03, 0.15)])
def test_comfyui_and_our_loader_compute_in_what_comfy_kitchen_made(tmp_path, to, least, most):
    pytest.importorskip("comfy_kitchen", reason="comfy-kitchen is not installed")
    save_file, plain = safetensors.torch.save_file, tmp_path / "plain.safetensors"
    save_file({name: weight.bfloat16() for name, weight in small_transformer().items()}, plain)
    path = convert(plain, tmp_path / "out.safetensors", to).path
    theirs, ours = comfy.sd.load_diffusion_model(str(path)), load_patcher(str(path))
    for patcher in (theirs, ours):
        layer = patcher.model.diffusion_model.blocks[1].ffn[0]
        assert layer.quant_format in comfy.quant_ops.QUANT_ALGOS and layer.weight._qdata.dtype.itemsize == 1
    exact, found = velocity(load_patcher(str(plain))), velocity(ours)
    assert torch.equal(found, velocity(theirs))
    assert least < (found - exact).norm() / exact.norm() < most
