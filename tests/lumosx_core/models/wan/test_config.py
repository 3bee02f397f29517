"""The sizes of Wan's transformers, against ComfyUI's own module."""

from dataclasses import asdict

import comfy.ops
import pytest
import torch
from comfy.ldm.wan.model import WanModel
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.models.wan.config import (
    UMT5,
    WAN21_1_3B,
    WAN21_14B,
    WAN21_LATENT,
    WAN22_5B,
    WAN22_LATENT,
    WanConfig,
    count_blocks,
)
from lumosx_core.models.wan.network import Network

REAL = {"1.3B": WAN21_1_3B, "14B": WAN21_14B, "5B": WAN22_5B}
CONFIGS = st.builds(
    WanConfig, dim=st.sampled_from([128, 384]), ffn_dim=st.integers(1, 9), num_layers=st.integers(1, 12),
    in_dim=st.integers(1, 50), out_dim=st.integers(1, 50), text_dim=st.integers(1, 9),
    freq_dim=st.sampled_from([2, 4, 8]), patch_size=st.sampled_from([(1, 2, 2), (1, 1, 1), (2, 3, 1)]),
)


def comfyui_model(config):
    """ComfyUI's WanModel of this size, without memory."""
    sizes = {name: value for name, value in asdict(config).items() if name != "head_dim"}
    return WanModel(
        **sizes, num_heads=config.num_heads, cross_attn_norm=True, device="meta", dtype=torch.bfloat16,
        operations=comfy.ops.disable_weight_init,
    )


def shapes_of(module):
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("config", REAL.values(), ids=REAL)
def test_the_real_models_have_the_tensors_of_comfyuis_wan(config):
    model = comfyui_model(config)
    assert config.shapes() == shapes_of(model)
    assert WanConfig.of_module(model) == WanConfig.of_shapes(config.shapes()) == config


@pytest.mark.parametrize(("name", "billions"), [("1.3B", 1.42), ("14B", 14.29), ("5B", 5.0)])
def test_the_real_models_are_as_large_as_their_names(name, billions):
    numbers = sum(torch.Size(shape).numel() for shape in REAL[name].shapes().values())
    assert numbers / 1e9 == pytest.approx(billions, abs=0.01)


@pytest.mark.slow
@given(CONFIGS)
def test_sizes_come_back_from_module_and_shapes(config):
    with torch.device("meta"):
        network = Network(config)
    assert shapes_of(network) == config.shapes()
    assert WanConfig.of_module(network) == WanConfig.of_shapes(config.shapes()) == config


def test_heads_of_another_width_are_read_off_the_module():
    with torch.device("meta"):
        network = Network(WanConfig(96, 8, 1, head_dim=24))
    assert WanConfig.of_module(network).num_heads == 4


def test_defaults_are_what_the_text_encoder_and_the_vae_give():
    assert (WAN21_1_3B.text_dim, WAN21_1_3B.in_dim, WAN21_1_3B.out_dim) == (UMT5.width, *2 * (WAN21_LATENT.channels,))
    assert (WAN22_5B.in_dim, WAN22_5B.out_dim) == 2 * (WAN22_LATENT.channels,)


def test_blocks_are_counted_by_the_highest_number():
    assert count_blocks({"blocks.0.x": 1, "blocks.11.x": 1, "head.x": 1}) == 12
    assert count_blocks({"double_blocks.3.x": 1, "blocks.x": 1, "blocks.1234.x": 1}) == 0
