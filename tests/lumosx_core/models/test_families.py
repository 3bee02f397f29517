"""Families by their files, their modules and the operations of a forward."""

import comfy.ops
import pytest
import torch
from comfy.ldm.wan.model import WanModel
from safetensors.torch import save_file

from benchmarks.counting import count_flops
from lumosx_core.errors import LumosXError
from lumosx_core.models import families
from lumosx_core.models.families import FAMILIES, HUNYUAN_VIDEO, WAN, adapter_kind
from lumosx_core.models.hunyuan.config import HunyuanConfig
from lumosx_core.models.hunyuan.network import HunyuanNetwork
from lumosx_core.models.lumosx.cost import forward_work, prompt_flops
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout
from lumosx_core.models.lynx.recognise import resampler_shapes
from lumosx_core.models.lynx.sizes import ResamplerSizes
from lumosx_core.models.polyvivid.adapter import new_shapes
from lumosx_core.models.polyvivid.config import AdapterConfig
from lumosx_core.models.wan.config import WAN21_1_3B, WAN21_14B, WanConfig
from lumosx_core.models.wan.network import Network
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.recognise import describe_contents
from lumosx_core.weights.transformer import find_transformer

SMALL_HUNYUAN = HunyuanConfig(
    hidden_size=32, num_heads=2, axes_dim=(4, 6, 6), depth=2, depth_single_blocks=1, context_in_dim=24, vec_in_dim=12
)
NETWORKS = {
    WAN.name: (Network, WanConfig(256, 96, 2, text_dim=48)), HUNYUAN_VIDEO.name: (HunyuanNetwork, SMALL_HUNYUAN)
}
LYNX, POLYVIVID = WAN.adapters[0], HUNYUAN_VIDEO.adapters[0]
RESAMPLER = resampler_shapes(ResamplerSizes(8, 8, 64, 8, 1, 1, 2, 8))
POLYVIVID_NAMES = list(new_shapes(AdapterConfig(8, 16, (0, 3), rank=2)))


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request):
    return request.param


@pytest.fixture
def shapes(family):
    """Of the tensors of a small transformer of the family."""
    build, config = NETWORKS[family.name]
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build(config).state_dict().items()}


@pytest.fixture
def described(tmp_path):
    """described(shapes) writes a file of such tensors and says what it seems to be."""
    def run(shapes):
        save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "file.safetensors")
        with open_weights(tmp_path / "file.safetensors") as source:
            return describe_contents(source)

    return run


def test_each_mark_belongs_to_one_family(family, shapes):
    assert [other.name for other in FAMILIES if other.mark in shapes] == [family.name]


def test_the_sizes_of_a_small_model_are_read_off_module_and_file(family, shapes):
    build, config = NETWORKS[family.name]
    with torch.device("meta"):
        assert family.config.of_module(build(config)) == config
    rotary = {"axes_dim": config.axes_dim} if family is HUNYUAN_VIDEO else {}
    assert vars(family.config.of_shapes(shapes, **rotary)) == {**vars(config), **({"theta": 256.0} if rotary else {})}


def test_the_defaults_of_the_sizes_are_the_family_s_latents_and_texts():
    assert (WAN21_14B.in_dim, WAN21_14B.patch_size, WAN21_14B.text_dim) == (
        WAN.latent.channels, WAN.latent.patch, WAN.text.width
    )
    base = HunyuanConfig()
    assert (base.in_channels, base.patch_size, base.context_in_dim) == (
        HUNYUAN_VIDEO.latent.channels, HUNYUAN_VIDEO.latent.patch, HUNYUAN_VIDEO.text.width
    )


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_transformer_is_named_under_any_prefix(family, shapes, prefix, described):
    expected = {"Wan": "a Wan text-to-video transformer of 256 channels", "HunyuanVideo": "HunyuanVideo"}
    assert described({prefix + name: shape for name, shape in shapes.items()}) == expected[family.name]


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((32, 32, 1, 2, 2), "an image or other variant of HunyuanVideo (32 input channels, 32 wide)"),
        ((32, 16, 1, 1, 1), "an image or other variant of HunyuanVideo (16 input channels, 32 wide)"),
        ((32,), "part of a HunyuanVideo transformer"),
        ((), "part of a HunyuanVideo transformer"),
    ],
)
def test_other_hunyuan_models_are_distinguished(shape, what, described):
    assert described({HUNYUAN_VIDEO.mark: (32,), "img_in.proj.weight": shape}) == what


@pytest.mark.parametrize("names", [
    POLYVIVID_NAMES, [f"base_model.model.{name}" for name in POLYVIVID_NAMES],
    [name.replace("lora_down", "lora_A").replace("lora_up", "lora_B") for name in POLYVIVID_NAMES],
])
def test_a_polyvivid_adapter_is_no_lora(names, described):
    assert described(dict.fromkeys(names, (1, 1))) == POLYVIVID.what


@pytest.mark.parametrize("names", [
    list(RESAMPLER), [f"resampler.{name}" for name in RESAMPLER],
    ["0.to_k_ip.weight", "0.to_v_ip.weight", "0.registers"], ["7.to_k_ref.weight", "7.to_k_ref.bias"],
    ["module.blocks.0.cross_attn.ip_adapter.to_k_ip.weight"], ["blocks.0.self_attn.to_v_ref.weight._data"],
])
def test_a_part_of_lynx_is_named(names, described):
    assert described(dict.fromkeys(names, (1, 1))) == LYNX.what


@pytest.mark.parametrize("names", [
    ["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], ["latents", "proj_in.weight"],
    ["a.latents", "b.proj_in.weight", "c.layers.0.0.to_kv.weight"], ["double_blocks.0.interact.img_attn.q.x"],
    ["double_blocks.0.img_attn.qkv.lora_down.weight"], ["blocks.0.self_attn.q.lora_A.weight"], [],
])
def test_other_files_are_no_adapter_of_a_family(names):
    assert adapter_kind(names) is None


def test_a_hunyuan_model_is_refused_by_its_name(tmp_path):
    save_file({HUNYUAN_VIDEO.mark: torch.zeros(4), "img_in.proj.weight": torch.zeros(4, 16, 1, 2, 2)},
              tmp_path / "model.safetensors")
    refused = pytest.raises(LumosXError, match="it seems to be HunyuanVideo; LumosX needs")
    with open_weights(tmp_path / "model.safetensors") as source, refused:
        find_transformer(source)


def test_a_wan_forward_costs_what_comfyuis_own_does():
    config = WanConfig(256, 96, 2, in_dim=12, out_dim=6, text_dim=48)
    model = WanModel(
        dim=256, ffn_dim=96, num_layers=2, num_heads=2, in_dim=12, out_dim=6, text_dim=48, cross_attn_norm=True,
        device="cpu", dtype=torch.float32, operations=comfy.ops.disable_weight_init,
    ).requires_grad_(False)
    latent, text = torch.zeros(1, 12, 3, 6, 8), torch.zeros(1, 7, 48)
    counted = count_flops(lambda: model(latent, torch.ones(1), text))
    assert WAN.cost(config, 3 * 3 * 4, text_tokens=7) == counted


def test_without_references_lumosx_costs_what_wan_does():
    layout = SequenceLayout(21, 30, 52, Binding((), (), ()))
    assert WAN.cost(WAN21_1_3B, layout.tokens) == forward_work(layout).total + prompt_flops()


@pytest.mark.parametrize("guidance_embed", [True, False])
def test_a_hunyuan_forward_costs_what_is_counted(guidance_embed):
    config = HunyuanConfig(**{**vars(SMALL_HUNYUAN), "guidance_embed": guidance_embed})
    network = HunyuanNetwork(config).requires_grad_(False)
    counted = count_flops(lambda: network(
        torch.zeros(1, 16, 3, 6, 8), torch.ones(1), torch.zeros(1, 7, 24), torch.zeros(1, 12), torch.ones(1)
    ))
    assert HUNYUAN_VIDEO.cost(config, 3 * 3 * 4, text_tokens=7) == counted


@pytest.mark.parametrize(("embedding", "words"), [
    ((), "part of a Wan transformer"), ((1536,), "part of a Wan transformer"), ((1536, 16), "Wan2.1-T2V-1.3B"),
    ((1536, 36), "an image or control variant of Wan (36 input channels, 1536 wide)"),
    ((1536, 16, 1, 2, 2), "Wan2.1-T2V-1.3B"),
])
def test_a_wan_is_recognised_by_its_first_layer(embedding, words):
    shapes = {families.MODULATION: (1, 6, 1536), "patch_embedding.weight": embedding}
    assert families._recognise_wan(shapes) == words


@pytest.mark.parametrize(("embedding", "words"), [
    ((), "part of a HunyuanVideo transformer"), ((3072,), "part of a HunyuanVideo transformer"),
    ((3072, 16, 1, 2, 2), "HunyuanVideo"), ((3072, 16), "an image or other variant of HunyuanVideo (16 input channels"),
    ((3072, 33, 1, 2, 2), "an image or other variant of HunyuanVideo (33 input channels, 3072 wide)"),
])
def test_a_hunyuan_is_recognised_by_its_first_layer(embedding, words):
    assert families._recognise_hunyuan({"img_in.proj.weight": embedding}).startswith(words)


@pytest.mark.parametrize(("shape", "words"), [
    (None, "part of a HunyuanVideo transformer"), ((9,), "part of a HunyuanVideo transformer"),
    ((9, 16, 1, 2, 2), "HunyuanVideo"), ((9, 33, 1, 2, 2), "other variant of HunyuanVideo (33 input channels, 9 wide)"),
    ((9, 16, 1, 1, 1), "other variant of HunyuanVideo (16 input channels, 9 wide)"),
])
def test_a_hunyuanvideo_is_recognised_by_what_it_reads(shape, words):
    found = families._recognise_hunyuan({} if shape is None else {"img_in.proj.weight": shape})
    assert found.endswith(words) and (words != "HunyuanVideo" or found == words)
