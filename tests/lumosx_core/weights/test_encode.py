"""Rounding to every kind: how far off it may be, and what is refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lumosx_core.errors import LumosXError
from lumosx_core.weights import pieces
from lumosx_core.weights.blocks import dequantize
from lumosx_core.weights.encode import check_blocks, encode, encode_fp8
from lumosx_core.weights.precision import BLOCKS, FP8_KIND
from lumosx_core.weights.source import TORCH_KINDS

HALF_ROUNDING = 2.0**-11
SMALLEST_HALF = 2.0**-25
"""Half the distance between float16 numbers next to zero."""
LEVELS = {"Q8_0": 127, "Q5_1": 31, "Q5_0": 16, "Q4_1": 15, "Q4_0": 8}
"""Steps from zero, or from the smallest number, to the largest."""


def quiet(count):
    pass


def rows(limit=6e4):
    numbers = st.floats(-limit, limit, width=32)
    return arrays.arrays(np.float32, st.tuples(st.integers(1, 3), st.just(64)), elements=numbers).map(torch.from_numpy)


def allowed_error(blocks, kind):
    """Half a step of each block of 32, a whole one where the range is lopsided, and the rounding of its scale."""
    low, high = blocks.amin(-1, keepdim=True), blocks.amax(-1, keepdim=True)
    largest = torch.maximum(-low, high)
    reach = high - low if kind in ("Q4_1", "Q5_1") else largest
    step = reach / LEVELS[kind]
    whole = 1.0 if kind in ("Q4_0", "Q5_0") else 0.5
    return step * whole + LEVELS[kind] * (step * HALF_ROUNDING + SMALLEST_HALF) + largest * HALF_ROUNDING + 1e-6 * reach


@pytest.mark.parametrize("kind", BLOCKS.values())
@given(numbers=rows())
def test_blocks_are_off_by_a_step_at_most(kind, numbers):
    back = dequantize(encode(numbers, kind, "x", quiet), kind)
    blocks = numbers.double().unflatten(-1, (-1, 32))
    assert ((back.double().unflatten(-1, (-1, 32)) - blocks).abs() <= allowed_error(blocks, kind)).all()


@given(numbers=rows(limit=float(np.finfo(np.float32).max)))
def test_fp8_is_off_by_a_sixteenth_at_most(numbers):
    stored, scale = encode_fp8(numbers, "x", quiet)
    back = stored.double() * scale.double()
    smallest_step = 2.0**-9 * scale.double()
    assert ((back - numbers).abs() <= torch.maximum(numbers.double().abs() / 16, smallest_step / 2) * 1.00001).all()
    largest = numbers.abs().max()
    assert largest < 1e-35 or stored.float().abs().max() == 448


@pytest.mark.parametrize("kind", BLOCKS.values())
def test_permuted_rows_give_permuted_blocks(kind):
    generator = torch.Generator().manual_seed(0)
    numbers, order = torch.randn(40, 96, generator=generator), torch.randperm(40, generator=generator)
    assert torch.equal(encode(numbers[order], kind, "x", quiet), encode(numbers, kind, "x", quiet)[order])


@pytest.mark.parametrize("kind", [*BLOCKS.values(), "F32", "F16", "BF16"])
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_pieces_make_no_difference(kind, dtype, monkeypatch):
    numbers = torch.randn(33, 64, generator=torch.Generator().manual_seed(1)).to(dtype)
    told = []
    whole = encode(numbers, kind, "x", quiet)
    monkeypatch.setattr(pieces, "_NUMBERS_AT_ONCE", 150)
    assert torch.equal(encode(numbers, kind, "x", told.append), whole)
    assert len(told) == 17 and sum(told) == whole.nbytes
    # Less than a row, which is never cut.
    monkeypatch.setattr(pieces, "_NUMBERS_AT_ONCE", 10)
    assert torch.equal(encode(numbers, kind, "x", told.append), whole) and len(told) == 17 + 33


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_a_tensor_of_the_kind_is_checked_and_not_copied(kind):
    numbers, told = torch.ones(3, 5, dtype=TORCH_KINDS[kind]), []
    assert encode(numbers, kind, "x", told.append) is numbers and sum(told) == numbers.nbytes
    numbers[2, 1] = math.inf
    with pytest.raises(LumosXError, match="not finite"):
        encode(numbers, kind, "x", quiet)


@pytest.mark.parametrize("shape", [(7,), (1, 6, 7), (3, 2, 1, 2, 2)])
def test_plain_kinds_keep_any_shape(shape):
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    assert torch.equal(encode(numbers, "F32", "x", quiet), numbers)
    assert torch.equal(encode(numbers, "BF16", "x", quiet), numbers.bfloat16())


@pytest.mark.parametrize("kind", [*BLOCKS.values(), "F32", "F16", "BF16", FP8_KIND])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(kind, bad):
    numbers = torch.zeros(2, 32)
    numbers[1, 5] = bad
    with pytest.raises(LumosXError, match="a.pt: q holds numbers that are not finite"):
        encode_fp8(numbers, "a.pt: q", quiet) if kind == FP8_KIND else encode(numbers, kind, "a.pt: q", quiet)


@pytest.mark.parametrize("kind", [*BLOCKS.values(), "F16"])
def test_what_float16_cannot_hold_is_refused(kind):
    numbers = torch.full((1, 32), 65504.0)
    encode(numbers, kind, "x", quiet)
    numbers[0, 3] = -70000
    with pytest.raises(LumosXError, match=f"x holds 70000, which is too large for {kind}"):
        encode(numbers, kind, "x", quiet)


@pytest.mark.parametrize("kind", [*BLOCKS.values(), "F32", "F16", "BF16", FP8_KIND])
def test_a_large_double_is_too_large_and_not_infinite(kind):
    numbers = torch.full((1, 32), -1e300, dtype=torch.float64)
    with pytest.raises(LumosXError, match=f"x holds 1e\\+300, which is too large for {kind};"):
        encode_fp8(numbers, "x", quiet) if kind == FP8_KIND else encode(numbers, kind, "x", quiet)


def test_blocks_with_an_infinite_scale_are_refused():
    packed = encode(torch.ones(2, 32), "Q8_0", "x", quiet)
    check_blocks(packed, "Q8_0", "x", quiet)
    packed[1, :2] = torch.tensor([0x00, 0x7C], dtype=torch.uint8)
    with pytest.raises(LumosXError, match="not finite"):
        check_blocks(packed, "Q8_0", "x", quiet)


@pytest.mark.parametrize("numbers", [torch.zeros(2, 32), torch.full((2, 32), 1e-44), torch.full((2, 32), 1e-37)])
def test_next_to_nothing_becomes_zero(numbers):
    for kind in BLOCKS.values():
        assert not dequantize(encode(numbers, kind, "x", quiet), kind).any()
    stored, scale = encode_fp8(numbers, "x", quiet)
    assert not stored.float().any() and scale == 1


@pytest.mark.parametrize(("factor", "scale"), [(1.0, torch.finfo(torch.float32).tiny), (0.5, 1.0), (2.0, None)])
def test_the_smallest_scale_is_the_smallest_number_of_full_precision(factor, scale):
    tiny = torch.finfo(torch.float32).tiny
    _, found = encode_fp8(torch.tensor([448 * tiny * factor, 0.0]), "x", quiet)
    assert float(found) == (tiny * factor if scale is None else scale)
