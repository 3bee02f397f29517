"""The policy: which tensor is stored in which kind."""

import gguf
import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.weights.precision import BLOCKS, FORMATS, Stored, choose_kind, ending
from lumosx_core.weights.source import TensorInfo

SHAPES = {
    "blocks.0.ffn.0.weight": (512, 256), "blocks.0.ffn.0.bias": (512,), "blocks.0.modulation": (1, 6, 256),
    "blocks.0.norm3.weight": (256,), "patch_embedding.weight": (256, 16, 1, 2, 2), "head.modulation": (1, 2, 256),
    "text_embedding.0.weight": (256, 4096), "head.head.weight": (64, 256),
}


def kinds(to, stored):
    return {name: choose_kind(name, TensorInfo(stored, shape), to) for name, shape in SHAPES.items()}


@pytest.mark.parametrize(("to", "kind"), [("f32", "F32"), ("f16", "F16"), ("bf16", "BF16")])
def test_plain_formats_hold_one_kind(to, kind):
    assert set(kinds(to, "BF16").values()) == {kind}


@pytest.mark.parametrize("stored", ["F32", "BF16", "F16"])
def test_scaled_fp8_reduces_the_layers_of_the_blocks(stored):
    found = kinds("fp8_scaled", stored)
    assert found.pop("blocks.0.ffn.0.weight") == "F8_E4M3" and set(found.values()) == {"BF16"}


@pytest.mark.parametrize(("to", "kind"), [("int8", "I8"), ("nvfp4", "U8")])
@pytest.mark.parametrize("stored", ["F32", "BF16", "F16"])
def test_int8_and_nvfp4_reduce_the_same_layers_as_fp8(to, kind, stored):
    found = kinds(to, stored)
    assert found.pop("blocks.0.ffn.0.weight") == kind and set(found.values()) == {"BF16"}


@pytest.mark.parametrize(("to", "shape", "kind"), [
    ("nvfp4", (64, 200), "BF16"), ("nvfp4", (200, 64), "BF16"), ("nvfp4", (208, 64), "U8"), ("int8", (3, 5), "I8"),
])
def test_nvfp4_takes_whole_blocks_of_16_in_both_directions(to, shape, kind):
    assert choose_kind("blocks.0.ffn.0.weight", TensorInfo("BF16", shape), to) == kind


@pytest.mark.parametrize(("to", "kind"), BLOCKS.items())
@pytest.mark.parametrize(("stored", "kept"), [("F32", "BF16"), ("BF16", "BF16"), ("F16", "F16"), ("F8_E4M3", "F16")])
def test_block_formats_keep_the_rest(to, kind, stored, kept):
    found = kinds(to, stored)
    assert found.pop("blocks.0.ffn.0.weight") == kind
    assert found.pop("text_embedding.0.weight") == found.pop("head.head.weight") == kept
    assert set(found.values()) == {"F32"}


def test_rows_that_are_no_whole_number_of_blocks_stay_f16():
    assert choose_kind("blocks.0.ffn.0.weight", TensorInfo("BF16", (64, 200)), "q8_0") == "F16"


@pytest.mark.parametrize(("shape", "kind"), [((32, 32), "F32"), ((1, 1024), "F32"), ((1, 1025), "BF16"), ((9,), "F32")])
def test_what_is_small_stays_f32_beside_blocks(shape, kind):
    assert choose_kind("head.head.weight", TensorInfo("BF16", shape), "q8_0") == kind


def test_sizes_are_those_of_the_gguf_package():
    for kind in BLOCKS.values():
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
        assert Stored("x", kind, (3, 4 * block)).nbytes == 12 * size
    assert Stored("x", "BF16", (3, 5)).nbytes == 30 and Stored("x", "F32", ()).nbytes == 4


def test_formats_are_forever():
    assert FORMATS == (
        "f32", "f16", "bf16", "fp8_scaled", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "int8", "nvfp4",
    )


def test_each_format_has_its_ending_and_others_are_refused():
    assert {to: ending(to) for to in FORMATS} == {
        **dict.fromkeys(("f32", "f16", "bf16", "fp8_scaled", "int8", "nvfp4"), ".safetensors"),
        **dict.fromkeys(("q8_0", "q5_1", "q5_0", "q4_1", "q4_0"), ".gguf"),
    }
    with pytest.raises(LumosXError, match="to: iq4_nl cannot be made"):
        ending("iq4_nl")
