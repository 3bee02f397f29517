"""The order of numbers and scales in nvfp4, against the positions that cuBLAS documents."""

import pytest
import torch

from lumosx_core.weights.nvfp4 import from_nvfp4, scale_shape

ONE = torch.tensor(1.0)


def byte_of(row, block, blocks_in_a_row):
    """Where the scale of a block lies among all scales."""
    tile = row // 128 * (blocks_in_a_row // 4) + block // 4
    return 512 * tile + 16 * (row % 32) + 4 * (row % 128 // 32) + block % 4


@pytest.mark.parametrize(("shape", "padded"), [
    ((128, 64), (128, 4)), ((129, 80), (256, 8)), ((16, 16), (128, 4)), ((1536, 8960), (1536, 560)),
])
def test_scales_fill_whole_tiles(shape, padded):
    assert scale_shape(*shape) == padded


@pytest.mark.parametrize("place", [(0, 0), (31, 3), (32, 0), (127, 5), (128, 1), (159, 5)])
def test_each_block_has_its_own_scale(place):
    row, block = place
    padded = scale_shape(160, 96)
    scales = torch.zeros(padded).flatten()
    scales[byte_of(row, block, padded[1])] = 3.0
    # 0x22 is 1.0 twice.
    stored = torch.full((160, 48), 0x22, dtype=torch.uint8)
    found = from_nvfp4(stored, scales.view(padded).to(torch.float8_e4m3fn), torch.tensor(0.5))
    expected = torch.zeros(160, 96)
    expected[row, 16 * block:16 * block + 16] = 1.5
    assert torch.equal(found, expected)


def test_every_number_and_the_half_of_a_byte_that_comes_first():
    stored = torch.tensor([[16 * (2 * pair) + 2 * pair + 1 for pair in range(8)]], dtype=torch.uint8)
    scales = torch.ones(scale_shape(1, 16)).to(torch.float8_e4m3fn)
    assert from_nvfp4(stored, scales, ONE)[0].tolist() == [
        0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0,
    ]
