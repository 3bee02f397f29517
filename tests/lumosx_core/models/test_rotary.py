"""Rotations by position."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.models.rotary import apply_rotary, rotary_table, video_ids

AXES = (4, 6, 6)


@given(st.lists(st.tuples(*[st.floats(-400, 400, width=32)] * 3), min_size=1, max_size=5))
def test_it_is_comfyuis_embedding_for_negative_and_fractional_ids_too(positions):
    from comfy.ldm.flux.layers import EmbedND
    from comfy.ldm.flux.math import apply_rope

    ids, x = torch.tensor(positions, dtype=torch.float32), torch.randn(1, len(positions), 2, 16)
    turned = apply_rotary(x, rotary_table(ids, AXES, 256.0))
    expected, _ = apply_rope(x.transpose(1, 2), x.transpose(1, 2), EmbedND(16, 256, list(AXES))(ids[None]))
    torch.testing.assert_close(turned, expected.transpose(1, 2), rtol=1e-5, atol=1e-5)


def test_position_zero_turns_nothing_and_lengths_stay():
    x = torch.randn(2, 3, 1, 16)
    assert torch.equal(apply_rotary(x, rotary_table(torch.zeros(3, 3), AXES, 256.0)), x)
    turned = apply_rotary(x, rotary_table(torch.tensor([[1.0, 2, 3]]).expand(3, 3), AXES, 256.0))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_low_precision_comes_back_as_it_was(dtype):
    x = torch.randn(1, 2, 3, 16).to(dtype)
    assert apply_rotary(x, rotary_table(torch.ones(2, 3), AXES, 256.0)).dtype == dtype


def test_video_ids_count_columns_fastest():
    assert video_ids(2, 1, 2).tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]]
