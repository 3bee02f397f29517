"""Which files a PolyVivid adapter can be trained on, and how the others are refused."""

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.training.hunyuan_base import check_hunyuan_file, read_hunyuan
from support.hunyuan_files import SMALL, small_network

PROJECTION = "img_in.proj.weight"
LINEAR = "single_blocks.0.linear1.weight"


@pytest.fixture(scope="module")
def weights():
    return {name: tensor.contiguous() for name, tensor in small_network().state_dict().items()}


@pytest.fixture
def write(tmp_path):
    def run(weights):
        path = tmp_path / "base.safetensors"
        save_file(weights, path)
        return path

    return run


@pytest.mark.parametrize("prefix", ["", "model.", "diffusion_model.", "model.diffusion_model."])
def test_a_base_is_read_under_every_prefix(weights, write, prefix):
    path = write({prefix + name: tensor for name, tensor in weights.items()} | {"not.of.the.model": torch.zeros(1)})
    assert check_hunyuan_file(path) == SMALL
    read = read_hunyuan(path, torch.float32).state_dict()
    assert read.keys() == weights.keys() and all(torch.equal(read[name], weights[name]) for name in weights)


@pytest.mark.parametrize(("name", "tensor"), [
    ("double_blocks.0.img_attn.qkv.scale_weight", torch.ones(1)), (PROJECTION, torch.zeros(128, 33, 1, 2, 2)),
])
def test_scaled_fp8_and_image_to_video_are_refused(weights, write, name, tensor):
    with pytest.raises(LumosXError, match="^--base: .*base.safetensors is a scaled fp8 file or an image-to-video var"):
        check_hunyuan_file(write(weights | {name: tensor}))


@pytest.mark.parametrize("shape", [None, (9, 128)])
def test_a_tensor_that_is_missing_or_of_another_shape_is_named(weights, write, shape):
    others = {name: tensor for name, tensor in weights.items() if name != LINEAR}
    path = write(others if shape is None else others | {LINEAR: torch.zeros(shape)})
    wanted = list(weights[LINEAR].shape)
    for read in (check_hunyuan_file, lambda path: read_hunyuan(path, torch.float32)):
        with pytest.raises(LumosXError) as refused:
            read(path)
        assert f"has no {LINEAR} of the shape {wanted};" in str(refused.value)
