"""Block types against the gguf package's own reader, bit for bit."""

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.weights.blocks import dequantize, is_packed, packed_row_bytes
from tools import weight_files

KINDS = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS")
SCALES = {"Q8_0": (0,), "Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q5_1": (0, 2), **weight_files.SCALES}
"""Where the float16 numbers of a block lie."""
HARD_HALVES = np.array(
    [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00], np.uint16
)
"""Zeros, subnormals, one, the largest, infinities and NaN."""


def sizes(kind):
    return gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]


def reference(packed, kind):
    with np.errstate(all="ignore"):
        return torch.from_numpy(gguf.quants.dequantize(packed.numpy(), gguf.GGMLQuantizationType[kind]))


def random_blocks(kind, *shape, seed=0):
    """Random bytes with hard scales strewn in: uint8 [*shape, bytes of a block]."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (*shape, sizes(kind)[1]), np.uint8)
    for place in SCALES[kind]:
        hard = random.choice(HARD_HALVES, shape)
        chosen = random.random(shape) < 0.3
        blocks[..., place:place + 2][chosen] = hard[..., None].view(np.uint8)[chosen]
    return torch.from_numpy(blocks)


def assert_same_bits(found, expected):
    assert found.dtype == expected.dtype and found.shape == expected.shape
    numbers = ~expected.isnan()
    assert torch.equal(found.isnan(), expected.isnan())
    as_bits = {4: torch.int32, 2: torch.int16}[expected.itemsize]
    assert torch.equal(found[numbers].view(as_bits), expected[numbers].view(as_bits))


@pytest.mark.parametrize("kind", KINDS)
def test_meets_the_reference_bit_for_bit(kind):
    packed = random_blocks(kind, 64, 5).flatten(-2)
    assert_same_bits(dequantize(packed, kind), reference(packed, kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x0F, 0xF0, 0x80])
def test_uniform_blocks_with_every_hard_scale(kind, fill):
    packed = torch.full((len(HARD_HALVES) ** len(SCALES[kind]), sizes(kind)[1]), fill, dtype=torch.uint8)
    halves = np.stack(np.meshgrid(*[HARD_HALVES] * len(SCALES[kind]), indexing="ij"), -1).reshape(len(packed), -1)
    for column, place in enumerate(SCALES[kind]):
        packed.numpy()[:, place:place + 2] = halves[:, column:column + 1].copy().view(np.uint8)
    assert_same_bits(dequantize(packed, kind), reference(packed, kind))


@pytest.mark.slow
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_any_bytes_meet_the_reference(kind, data):
    packed = torch.frombuffer(bytearray(data.draw(st.binary(min_size=sizes(kind)[1], max_size=sizes(kind)[1]))),
                              dtype=torch.uint8)
    assert_same_bits(dequantize(packed[None], kind), reference(packed[None], kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_results_are_the_float32_ones_rounded_once(kind, dtype):
    packed = random_blocks(kind, 64, 5, seed=1).flatten(-2)
    assert_same_bits(dequantize(packed, kind, dtype), reference(packed, kind).to(dtype))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_independent_and_any_number_of_dimensions_will_do(kind):
    packed = random_blocks(kind, 2, 3, 4, 5, seed=2).flatten(-2)
    whole = dequantize(packed, kind)
    assert whole.shape == (2, 3, 4, 5 * sizes(kind)[0])
    order = torch.randperm(4, generator=torch.Generator().manual_seed(0))
    assert_same_bits(dequantize(packed[:, :, order], kind), whole[:, :, order])
    assert_same_bits(dequantize(packed[1:, ::2, 1:], kind), whole[1:, ::2, 1:])
    assert_same_bits(dequantize(packed[0, 0, 0], kind), whole[0, 0, 0])
    assert dequantize(packed[:0], kind).shape == (0, 3, 4, 5 * sizes(kind)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_traces_into_one_graph(kind):
    packed = random_blocks(kind, 8, 2, seed=3).flatten(-2)
    torch.compiler.reset()
    compiled = torch.compile(dequantize, fullgraph=True, backend="aot_eager")
    with torch.inference_mode():
        assert_same_bits(compiled(packed, kind, torch.bfloat16), reference(packed, kind).bfloat16())


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_stays_as_it_was(kind):
    packed = random_blocks(kind, 4, seed=4)
    before = packed.clone()
    dequantize(packed, kind)
    assert torch.equal(packed, before)


@pytest.mark.parametrize(("kind", "columns", "row_bytes"), [("Q8_0", 64, 68), ("Q4_0", 1536, 864), ("Q6_K", 256, 210)])
def test_row_bytes(kind, columns, row_bytes):
    assert packed_row_bytes(kind, columns) == row_bytes


def test_wrong_rows_and_kinds_end_in_a_sentence():
    with pytest.raises(LumosXError, match="Q8_0: a row of 48 numbers is not a multiple of 32"):
        packed_row_bytes("Q8_0", 48)
    with pytest.raises(LumosXError, match="Q8_0: a row of 33 bytes is not a multiple of 34"):
        dequantize(torch.zeros(2, 33, dtype=torch.uint8), "Q8_0")
    with pytest.raises(LumosXError, match="IQ2_XXS: this kind of block cannot be read"):
        dequantize(torch.zeros(2, 66, dtype=torch.uint8), "IQ2_XXS")
    assert is_packed("Q4_K") and not is_packed("F16") and not is_packed("IQ2_XXS") and not is_packed("nonsense")
