"""What is folded again, and what is found."""

import copy

import comfy.sd
import pytest
import torch

from lumosx_core.host.methods.lynx_folds import Folds
from lumosx_core.models.lynx.adapters import ID_LAYERS, REF_LAYERS
from support.lynx_people import make_person, write_adapters
from tools.weight_files import small_transformer

LIKE = torch.zeros(1)


@pytest.fixture(scope="module")
def network():
    with torch.inference_mode(False):
        return comfy.sd.load_diffusion_model_state_dict(small_transformer()).model.diffusion_model


@pytest.fixture
def folds(tmp_path):
    return Folds(make_person(write_adapters(tmp_path, ref=False)))


@torch.no_grad()
def test_the_same_is_found_for_one_network_one_precision_and_fewer_rows_only(folds, network):
    both = folds.find(ID_LAYERS, network, "key", {0, 1}, LIKE)
    assert folds.find(ID_LAYERS, network, "key", {1}, LIKE) is both and both.rows == (0, 1)
    other = copy.deepcopy(network)
    assert folds.find(ID_LAYERS, other, "key", {0}, LIKE) is not both
    half = folds.find(ID_LAYERS, network, "key", {0}, LIKE.bfloat16())
    assert half is not both and half.pairs[0].keys.dtype == torch.bfloat16


@torch.no_grad()
def test_the_last_two_are_kept(folds, network):
    first, second, third = (folds.find(ID_LAYERS, network, key, {0}, LIKE) for key in "abc")
    assert folds.find(ID_LAYERS, network, "b", {0}, LIKE) is second
    assert folds.find(ID_LAYERS, network, "c", {0}, LIKE) is third
    assert folds.find(ID_LAYERS, network, "a", {0}, LIKE) is not first


def test_nobody_without_a_reference_picture_has_reference_layers(folds, network):
    with pytest.raises(ValueError, match="reference picture"):
        folds.find(REF_LAYERS, network, "key", {0}, LIKE)
