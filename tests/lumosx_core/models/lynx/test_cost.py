"""What the adapters add to a forward: at the sizes of Wan 14B on tensors without memory, and by counting."""

from itertools import pairwise

import pytest
import torch

from benchmarks.counting import count_flops
from lumosx_core.models.attention import dense_attention
from lumosx_core.models.lynx.attention import Addition, KeysValues, cross_attention, self_attention
from lumosx_core.models.lynx.sizes import AdapterSizes, adapter_flops
from lumosx_core.models.wan.config import WAN21_14B, WAN21_LATENT
from lumosx_core.models.wan.cost import forward_flops
from lumosx_core.models.wan.network import Network

WIDE, BLOCKS = WAN21_14B.dim, tuple(range(WAN21_14B.num_layers))
IDS, REFS = AdapterSizes("full", WIDE, WIDE, 16, BLOCKS), AdapterSizes("ref", WIDE, WIDE, 0, BLOCKS)
TOKENS = {IDS: 16, REFS: 256}
SIZES = [(832, 480, 81), (832, 480, 121), (1280, 720, 81), (416, 240, 33)]


def video_tokens(size):
    frames, rows, columns = WAN21_LATENT.token_grid(WAN21_LATENT.shape(*size))
    return frames * rows * columns


@pytest.fixture(scope="module")
def block():
    """A block of Wan 14B."""
    with torch.device("meta"):
        return Network(WAN21_14B).blocks[0]


def flops_of(block, count, ids=(), refs=()):
    """Of a block's layers for so many video tokens and 512 text tokens."""
    with torch.device("meta"):
        x, text = torch.empty(1, count, WIDE), torch.empty(1, 512, WIDE)

    def run():
        self_attention(block.self_attn, x, lambda q: q, dense_attention, refs)
        cross_attention(block.cross_attn, x, text, dense_attention, ids)
        block.ffn(x)

    return count_flops(run)


def addition(adapter):
    with torch.device("meta"):
        tokens = torch.empty(1, TOKENS[adapter] + adapter.registers, WIDE)
    return [Addition(KeysValues(tokens, tokens), 1.0)]


def test_the_counter_sees_what_is_counted_and_less_than_one_part_in_a_hundred(block):
    count = video_tokens(SIZES[0])
    plain, with_ids, with_both = (
        flops_of(block, count, *given) for given in ((), (addition(IDS),), (addition(IDS), addition(REFS)))
    )
    expected = [adapter_flops(adapter, count, TOKENS[adapter]) // len(BLOCKS) for adapter in (IDS, REFS)]
    assert [more - less for less, more in pairwise((plain, with_ids, with_both))] == expected
    assert 0 < with_both - plain <= 0.01 * plain


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_forward_of_wan_14b_has_at_most_one_part_in_a_hundred_more_to_do(size):
    count = video_tokens(size)
    added = sum(adapter_flops(adapter, count, tokens) for adapter, tokens in TOKENS.items())
    assert 0.001 < added / forward_flops(WAN21_14B, count) <= 0.01
