"""The model is found under any prefix, and whatever is no LumosX model is refused with what it seems to be."""

from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.models.wan.config import WAN21_1_3B, WanConfig
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.quantised import settings_in_metadata
from lumosx_core.weights.recognise import describe_contents
from lumosx_core.weights.source import TensorInfo
from lumosx_core.weights.transformer import _refuse_missing, _refuse_other_models, find_transformer
from tools.placed_transformer import transformer_state_dict


@pytest.fixture(scope="module")
def weights():
    return {name: tensor.bfloat16() for name, tensor in transformer_state_dict().items()}


@pytest.fixture
def find(tmp_path):
    """find(tensors) writes a file of them and looks for the model in it."""
    def run(tensors, metadata=None, name="model.safetensors"):
        save_file(tensors, tmp_path / name, metadata=metadata)
        with open_weights(tmp_path / name) as source:
            return find_transformer(source)

    return run


def prefixed(weights, prefix):
    return {prefix + name: tensor for name, tensor in weights.items()}


def refusal(find, tensors, **options):
    with pytest.raises(LumosXError) as caught:
        find(tensors, **options)
    message = str(caught.value)
    assert "model" in message and message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("prefix", ["", "ema.", "model.", "model.diffusion_model.", "generator_ema.model."])
def test_any_prefix_comes_off(find, weights, prefix):
    assert find(prefixed(weights, prefix)) == {name: prefix + name for name in weights}


def test_averaged_weights_come_before_the_last_ones(find, weights):
    found = find({**prefixed(weights, "ema."), **prefixed({n: t.clone() for n, t in weights.items()}, "model.")})
    assert set(found.values()) == {f"ema.{name}" for name in weights}


def test_the_average_is_known_by_either_end_of_its_name(find, weights):
    found = find({**prefixed(weights, "ema_model."), **prefixed({n: t.clone() for n, t in weights.items()}, "model.")})
    assert set(found.values()) == {f"ema_model.{name}" for name in weights}


def test_what_a_training_run_keeps_beside_is_left_out(find, weights):
    beside = {"optimizer.state.0.exp_avg": torch.zeros(2), "step": torch.zeros(1), "optim.x": torch.zeros(1)}
    assert set(find({**weights, **beside})) == set(weights)


def test_scales_of_quantised_layers_are_no_part_of_the_model(find, weights):
    assert set(find({**weights, "blocks.0.ffn.0.weight_scale": torch.ones(())})) == set(weights)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["diffusion_model.blocks.0.self_attn.q.lora_A.weight"], "a LoRA"),
        (["lora_unet_blocks_0_self_attn_q.lora_down.weight"], "a LoRA"),
        (["decoder.conv1.weight", "encoder.conv1.weight"], "a VAE"),
        (["first_stage_model.decoder.mid.block_1.conv1.weight"], "a VAE"),
        (["encoder.block.0.layer.0.SelfAttention.q.weight"], "a text encoder"),
        (["token_embedding.weight", "blocks.0.attn.q.weight"], "a text encoder"),
        (["text_model.encoder.layers.0.mlp.fc1.weight"], "a text encoder"),
        (
            ["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.conv_in.weight"],
            "a diffusion model of another family",
        ),
        (["vision_model.embeddings.class_embedding"], "an image encoder"),
        (["condition_embedder.text_embedder.linear_1.weight"], "Wan in the naming of diffusers"),
        (["double_blocks.0.img_attn.proj.weight"], "a diffusion model of another family"),
        (["something"], "no model that LumosX knows (its first tensor is 'something')"),
    ],
)
def test_other_files_are_named(find, names, what):
    message = refusal(find, {name: torch.zeros(1) for name in names})
    assert f"it seems to be {what}" in message and "LumosX needs LumosX weights or any checkpoint" in message


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ("vace_blocks.0.before_proj.weight", "a VACE (control) variant of Wan"),
        ("img_emb.proj.0.bias", "a Wan I2V (image-to-video) model"),
        ("ref_conv.weight", "a Wan Fun variant"),
        ("control_adapter.conv.weight", "a camera-control variant"),
        ("casual_audio_encoder.encoder.final_linear.weight", "Wan2.2-S2V"),
        ("face_adapter.fuser_blocks.0.k_norm.weight", "Wan2.2-Animate"),
    ],
)
def test_variants_of_wan_are_named(find, weights, extra, what):
    assert f"it seems to be {what}" in refusal(find, {**weights, extra: torch.zeros(1)})


@pytest.mark.parametrize(
    ("dim", "channels", "what"),
    [
        (5120, 16, "Wan-T2V-14B"),
        (3072, 48, "Wan2.2-TI2V-5B"),
        (5120, 36, "an image or control variant of Wan (36 input channels, 5120 wide)"),
        (1536, 36, "an image or control variant of Wan (36 input channels, 1536 wide)"),
    ],
)
def test_other_sizes_of_wan_are_named(find, dim, channels, what):
    tensors = {"head.modulation": torch.zeros(1, 2, dim), "patch_embedding.weight": torch.zeros(dim, channels, 1, 2, 2)}
    assert f"it seems to be {what};" in refusal(find, tensors)


def test_a_missing_tensor_is_named(find, weights):
    held = {name: tensor for name, tensor in weights.items() if not name.startswith("blocks.1.ffn.2")}
    assert "blocks.1.ffn.2.weight and 1 more are missing" in refusal(find, held)


@pytest.mark.parametrize("name", ["model-00001-of-00900.safetensors", "model-00004-of-00003.safetensors"])
def test_a_part_whose_name_cannot_be_is_named(find, weights, name):
    names = list(weights)
    for part in (names[:20], [name for name in names if name != "head.modulation"]):
        message = refusal(find, {name: weights[name] for name in part}, name=name)
        assert "it is one of several parts of a model, but its name does not say which" in message


def wrapped(name, by, layers):
    """A tensor's name with a wrapper in front of some of its parts."""
    parts = name.split(".")
    if layers == "blocks":
        return ".".join([*parts[:2], by, *parts[2:]]) if parts[0] == "blocks" else name
    if layers == "all":
        return f"{by}." + f".{by}.".join(parts)
    return f"{by}.{name}"


@pytest.mark.parametrize("layers", ["blocks", "all", "whole"])
@pytest.mark.parametrize("by", ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "ema."])
def test_what_torch_wraps_around_modules_comes_off(find, weights, by, layers, prefix):
    names = {name: prefix + wrapped(name, by, layers) for name in weights}
    assert find({names[name]: tensor for name, tensor in weights.items()}) == names


def test_several_wrappers_at_once(find, weights):
    names = {name: "module._orig_mod.ema." + wrapped(name, "_orig_mod", "blocks") for name in weights}
    assert find({names[name]: tensor for name, tensor in weights.items()}) == names


def test_a_model_with_and_without_wrappers_is_refused(find, weights):
    both = {**weights, "_orig_mod.head.head.bias": weights["head.head.bias"].clone()}
    assert "'_orig_mod.head.head.bias' and 'head.head.bias' are the same tensor" in refusal(find, both)


def test_wrapped_models_of_other_kinds_are_named_too(find, weights):
    extra = {f"_orig_mod.{name}": tensor for name, tensor in weights.items()}
    extra["_orig_mod.blocks.0._orig_mod.cross_attn.k_img.weight"] = torch.zeros(2)
    assert "a Wan I2V" in refusal(find, extra)


@pytest.mark.parametrize("beside", ["optimizer.state.0.exp_avg", "first_stage_model.decoder.conv1.weight"])
def test_a_whole_transformer_is_what_a_file_is(tmp_path, weights, beside):
    save_file({**prefixed(weights, "model."), beside: torch.zeros(2)}, tmp_path / "whole.safetensors")
    with open_weights(tmp_path / "whole.safetensors") as source:
        assert describe_contents(source) == "a Wan text-to-video transformer of 256 channels"


def test_an_unknown_tensor_is_named(find, weights):
    message = refusal(find, {**weights, "blocks.0.novelty.weight": torch.zeros(1)})
    assert "'blocks.0.novelty.weight'" in message


def test_a_wrong_shape_is_named(find, weights):
    message = refusal(find, {**weights, "blocks.2.self_attn.k.weight": torch.zeros(256, 128)})
    assert "blocks.2.self_attn.k.weight has the shape [256, 128], but the rest of the file requires" in message


@pytest.mark.parametrize("name", ["head.modulation", "patch_embedding.weight", "blocks.0.ffn.0.weight"])
def test_a_scalar_where_a_size_is_read_from_is_refused(find, weights, name):
    refusal(find, {**weights, name: torch.zeros(())})


@pytest.mark.parametrize(("dim", "ffn"), [(192, 512), (64, 512), (256, 0)])
def test_a_width_of_no_whole_number_of_heads_is_named(find, dim, ffn):
    tensors = {
        "head.modulation": torch.zeros(1, 2, dim), "patch_embedding.weight": torch.zeros(dim, 16, 1, 2, 2),
        "blocks.0.ffn.0.weight": torch.zeros(ffn, dim), "head.head.weight": torch.zeros(64, dim),
        "text_embedding.0.weight": torch.zeros(dim, 4096),
    }
    assert f"it is {dim} wide with a feed-forward of {ffn}, which no model" in refusal(find, tensors)


def test_whole_numbers_are_no_weights(find, weights):
    message = refusal(find, {**weights, "blocks.0.ffn.0.weight": torch.zeros(512, 256, dtype=torch.int16)})
    assert "blocks.0.ffn.0.weight contains numbers of type I16" in message


def test_blocks_that_cannot_be_read_are_named(tmp_path, weights):
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "wan")
    for name, tensor in weights.items():
        if name == "blocks.0.ffn.0.weight":
            blocks = np.zeros((512, 66), dtype=np.uint8)
            writer.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType.IQ2_XXS)
        else:
            writer.add_tensor(name, tensor.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_weights(tmp_path / "model.gguf") as source, pytest.raises(LumosXError) as caught:
        find_transformer(source)
    assert "ffn.0.weight is in blocks of type IQ2_XXS, which LumosX cannot read; take a file in" in str(caught.value)


def test_a_layer_that_only_the_host_can_read_is_left_to_it(find, weights):
    packed = {
        "blocks.0.ffn.0.weight": torch.zeros(512, 128, dtype=torch.uint8),
        "blocks.0.ffn.0.comfy_quant": torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8),
    }
    assert "blocks.0.ffn.0.weight" in find({**weights, **packed})


def test_a_layer_whose_quantisation_stands_in_the_metadata_is_left_to_the_host(find, weights):
    packed = {"blocks.0.ffn.0.weight": torch.zeros(512, 128, dtype=torch.uint8)}
    metadata = settings_in_metadata({"blocks.0.ffn.0": {"format": "nvfp4"}})
    assert "blocks.0.ffn.0.weight" in find({**weights, **packed}, metadata=metadata)
    assert "numbers of type U8" in refusal(find, {**weights, **packed})


@pytest.mark.parametrize(("metadata", "tensors", "words"), [
    ({}, {}, "a file without tensors"), ({}, {"x": None}, "no model that LumosX knows (its first tensor is 'x')"),
    ({"general.architecture": "t5encoder"}, {"x": None}, "a text encoder"),
    ({"general.architecture": "clip-vision"}, {}, "an image encoder"),
    ({"general.architecture": "llama"}, {"x": None}, "a model of the family 'llama'"),
    ({"general.architecture": "l" * 50}, {}, f"a model of the family {'l' * 40!r}"),
    ({"general.architecture": "wan"}, {}, "a file without tensors"),
    ({"general.architecture": ""}, {}, "a file without tensors"),
])
def test_what_is_no_transformer_is_described(metadata, tensors, words):
    source = SimpleNamespace(metadata=metadata, tensors=tensors)
    assert describe_contents(source).startswith(words)


@pytest.mark.parametrize(("width", "refused"), [(WAN21_1_3B.dim, False), (WAN21_1_3B.dim + 128, True)])
def test_a_model_as_wide_as_the_released_one_is_no_other(width, refused):
    tensors = {name: TensorInfo("BF16", shape) for name, shape in WanConfig(dim=width, ffn_dim=64,
                                                                              num_layers=1).shapes().items()}
    source = SimpleNamespace(path="a", tensors=tensors, metadata={})
    if refused:
        with pytest.raises(LumosXError, match=f"^a: it seems to be .* {width} channels"):
            _refuse_other_models(source, {name: name for name in tensors}, tensors)
    else:
        assert _refuse_other_models(source, {name: name for name in tensors}, tensors) is None


@pytest.mark.parametrize(("count", "words"), [(1, "x is missing"), (2, "x and 1 more are missing")])
def test_missing_tensors_are_counted(tmp_path, count, words):
    with pytest.raises(LumosXError, match=words):
        _refuse_missing(SimpleNamespace(path=tmp_path / "a.pt"), "x", count)
