"""int8 and nvfp4: the bytes are those of the real comfy-kitchen, and without it there is one sentence."""

import sys
from types import ModuleType

import pytest
import safetensors.torch
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.weights.convert import convert
from lumosx_core.weights.kitchen import encode_int8, encode_nvfp4, require_kitchen
from lumosx_core.weights.nvfp4 import from_nvfp4
from tools.stand_ins import hide_for
from tools.weight_files import small_transformer

RANGE = 448 * 6
"""The largest scale of a block times the largest number of nvfp4."""


@pytest.fixture
def kitchen():
    return pytest.importorskip("comfy_kitchen", reason="comfy-kitchen is not installed")


def matrix(rows, columns):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows))


def same_bytes(one, other):
    return one.shape == other.shape and torch.equal(one.view(torch.uint8), other.view(torch.uint8))


@pytest.mark.parametrize("shape", [(1100, 1024), (3, 5)], ids=["several pieces", "odd"])
def test_int8_is_what_the_package_makes_of_the_whole(kitchen, shape):
    told = []
    stored, scale = encode_int8(matrix(*shape), "file: a", told.append)
    expected, its_scale = kitchen.quantize_int8_rowwise(matrix(*shape))
    assert torch.equal(stored, expected) and torch.equal(scale, its_scale) and scale.shape == (shape[0], 1)
    assert sum(told) == stored.nbytes


@pytest.mark.parametrize("shape", [(256, 512), (272, 80), (16, 16)])
def test_nvfp4_is_what_the_package_makes_of_the_whole_and_reads_back(kitchen, shape):
    told = []
    numbers = matrix(*shape)
    stored, blocks, scale = encode_nvfp4(numbers, "file: a", told.append)
    expected, its_blocks = kitchen.quantize_nvfp4(numbers, numbers.abs().max() / RANGE)
    assert same_bytes(stored, expected) and same_bytes(blocks, its_blocks) and scale == numbers.abs().max() / RANGE
    assert sum(told) == stored.nbytes
    back = kitchen.dequantize_nvfp4(stored, scale, blocks, torch.float32)
    assert torch.equal(from_nvfp4(stored, blocks, scale), back)
    assert 0.05 < (back - numbers).norm() / numbers.norm() < 0.12


def test_zeros_stay_zeros(kitchen):
    for encode in (encode_int8, encode_nvfp4):
        stored, *scales = encode(torch.zeros(16, 32), "file: a", bool)
        assert not stored.any() and all(scale.float().isfinite().all() for scale in scales)


@pytest.mark.parametrize("to", ["int8", "nvfp4"])
def test_without_the_package_a_sentence_comes_before_any_work(monkeypatch, tmp_path, to):
    safetensors.torch.save_file(small_transformer(), tmp_path / "plain.safetensors")
    hide_for(monkeypatch, ["comfy_kitchen"])
    with pytest.raises(LumosXError) as caught:
        convert(tmp_path / "plain.safetensors", tmp_path / "out.safetensors", to, lambda *_: pytest.fail("it began"))
    sentence = str(caught.value)
    assert sentence.startswith("int8 and nvfp4 files need a package: comfy-kitchen is not installed; run ")
    assert "pip install comfy-kitchen torch==" in sentence and "\n" not in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["plain.safetensors"]


def test_a_package_that_is_too_old_is_named(monkeypatch):
    old = ModuleType("comfy_kitchen")
    old.__version__ = "0.1"
    monkeypatch.setitem(sys.modules, "comfy_kitchen", old)
    with pytest.raises(LumosXError, match="comfy-kitchen 0.1 is too old, .*comfy-kitchen>=0.2.31"):
        require_kitchen()
