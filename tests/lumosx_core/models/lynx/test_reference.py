"""The reference pass over ComfyUI's transformers; its numbers are the golden files'."""

from pathlib import Path

import pytest
import torch

from lumosx_core.models.lynx.reference import reference_features
from tools.golden import load_golden
from tools.lynx_network import build, dense, features, rotation

GOLDEN = Path(__file__).parents[3] / "golden" / "lynx_full_rows.safetensors"


@pytest.fixture(scope="module")
def golden():
    return load_golden(GOLDEN)


def test_pictures_in_a_batch_do_not_see_each_other(golden):
    tensors, case = golden
    model = build(tensors, case)
    together = features(model, torch.cat([tensors["refz"], tensors["refzu"]]), tensors["rtxt"])
    for block in range(case["layers"]):
        expected = torch.cat([tensors[f"buf.{block}"], tensors[f"bufu.{block}"]])
        assert (together[block] - expected).abs().max() < 2e-5


def test_nobody_is_a_grey_picture_and_not_nothing(golden):
    tensors, case = golden
    nothing = features(build(tensors, case), torch.zeros_like(tensors["refzu"]), tensors["rtxt"])
    assert (nothing[0] - tensors["bufu.0"]).abs().max() > 1e-2


def test_the_prompt_and_its_zero_rows_are_attended(golden):
    tensors, case = golden
    model = build(tensors, case)
    padded = torch.nn.functional.pad(tensors["rtxt"], (0, 0, 0, 3))
    assert (features(model, tensors["refz"], padded)[1] - tensors["buf.1"]).abs().max() > 1e-3


def test_more_input_channels_get_zeros(golden):
    """I2V transformers take 36: noise, mask and picture."""
    tensors, case = golden
    wide = build(tensors, case)
    embedding = wide.patch_embedding
    wider = torch.nn.Conv3d(36, embedding.out_channels, embedding.kernel_size, embedding.stride)
    with torch.no_grad():
        wider.weight[:, :16] = embedding.weight
        wider.bias.copy_(embedding.bias)
    wide.patch_embedding = wider.requires_grad_(False)
    seen = features(wide, tensors["refz"], tensors["rtxt"])
    assert (seen[2] - tensors["buf.2"]).abs().max() < 2e-5


def test_what_follows_the_last_features_is_not_computed(golden):
    tensors, case = golden
    model, calls = build(tensors, case), []
    for index, block in enumerate(model.blocks):
        block.ffn.register_forward_hook(lambda *_, index=index: calls.append(index))
    features(model, tensors["refz"], tensors["rtxt"])
    assert calls == list(range(case["layers"] - 1))


@pytest.mark.compile
def test_blocks_that_another_node_compiled_run_as_they_are(golden):
    """Its seconds are the import of torch's compiler."""
    tensors, case = golden
    model = build(tensors, case)
    model.blocks = torch.nn.ModuleList(torch.compile(block, backend="eager") for block in model.blocks)
    freqs = model.rope_encode(*tensors["refz"].shape[2:], dtype=torch.float32)
    seen = list(reference_features(
        model, tensors["refz"], tensors["rtxt"], rotation(freqs, case["heads"]), dense))
    assert (seen[2] - tensors["buf.2"]).abs().max() < 2e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_dtype_of_the_latent_is_that_of_the_pass(golden, dtype):
    tensors, case = golden
    model = build(tensors, case).to(dtype)
    # ComfyUI keeps this layer's input in float32 and casts its weights to it.
    model.patch_embedding.float()
    freqs = model.rope_encode(*tensors["refz"].shape[2:], dtype=torch.float32)
    seen = list(reference_features(
        model, tensors["refz"].to(dtype), tensors["rtxt"], rotation(freqs, case["heads"]), dense))
    assert {feature.dtype for feature in seen} == {dtype}
    assert (seen[1].float() - tensors["buf.1"]).abs().max() < 0.2


def test_a_transformer_kept_in_fp8_gives_features_in_the_dtype_to_compute_in(golden):
    """ComfyUI casts its weights layer by layer; nothing of ours may touch them in fp8."""
    tensors, case = golden
    model = build(tensors, case, "manual_cast").to(torch.float8_e4m3fn)
    seen = features(model, tensors["refz"], tensors["rtxt"])
    assert {feature.dtype for feature in seen} == {torch.float32}
    for block in range(case["layers"]):
        expected = tensors[f"buf.{block}"]
        assert 1e-3 < (seen[block] - expected).norm() / expected.norm() < 0.3
