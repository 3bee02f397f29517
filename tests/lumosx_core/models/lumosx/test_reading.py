"""The share of the video's attention that goes to each reference, against the whole matrix."""

import pytest
import torch

from lumosx_core.models.attention import dense_attention
from lumosx_core.models.lumosx import reading
from lumosx_core.models.lumosx.reading import Reading, deep_blocks, reference_shares
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout

HEADS, WIDTH = 2, 16


@pytest.fixture
def layout():
    return SequenceLayout(2, 3, 4, Binding((((1, 2),),), (((2, 3),), ((3, 4),)), (2, 1)))


@pytest.fixture
def parts(layout):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, layout.tokens, WIDTH, generator=generator) for _ in range(3))
    return q[:, :layout.video_tokens], k, v


@pytest.mark.parametrize("most", [1, 1000, 1 << 24])
def test_shares_are_sums_of_columns_of_the_whole_matrix_however_few_rows_at_a_time(layout, parts, monkeypatch, most):
    monkeypatch.setattr(reading, "_MOST_LOGITS", most)
    q, k, _ = parts
    queries, keys = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k))
    matrix = (queries @ keys.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5).softmax(-1).mean(1)
    expected = torch.stack([matrix[..., slice(*layout.reference_range(n))].sum(-1) for n in range(4)], 1)
    shares = reference_shares(q, k, HEADS, layout.frame_tokens)
    assert shares.shape == (2, 4, layout.video_tokens)
    torch.testing.assert_close(shares, expected)


def test_attention_is_the_same_and_only_chosen_blocks_and_the_videos_call_count(layout, parts):
    q, k, v = parts
    block = [0]
    one = Reading(4, frozenset({1}), range(4))
    attend = one.beside(dense_attention, layout, lambda: block[0], 3)
    assert torch.equal(attend(q, k, v, HEADS), dense_attention(q, k, v, HEADS)) and one.mean() is None
    block[0] = 1
    attend(k[:, 24:48], k[:, 24:48], v[:, 24:48], HEADS)
    assert one.mean() is None
    assert torch.equal(attend(q, k, v, HEADS), dense_attention(q, k, v, HEADS))
    torch.testing.assert_close(one.mean(), reference_shares(q, k, HEADS, layout.frame_tokens))
    attend(q, 2 * k, v, HEADS)
    both = reference_shares(q, k, HEADS, layout.frame_tokens) + reference_shares(q, 2 * k, HEADS, layout.frame_tokens)
    torch.testing.assert_close(one.mean(), both / 2)


def test_a_reference_that_is_there_in_some_forwards_is_averaged_over_those(layout, parts):
    q, k, _ = parts
    one = Reading(6, frozenset({0}), (0, 2, 3, 5))
    one.beside(dense_attention, layout, lambda: 0, 1)(q, k, k, HEADS)
    first = reference_shares(q, k, HEADS, layout.frame_tokens)
    one.places = (5, 1, 2, 3)
    one.beside(dense_attention, layout, lambda: 0, 1)(q, 3 * k, k, HEADS)
    second = reference_shares(q, 3 * k, HEADS, layout.frame_tokens)
    mean = one.mean()
    torch.testing.assert_close(mean[:, 0], first[:, 0])
    torch.testing.assert_close(mean[:, 1], second[:, 1])
    torch.testing.assert_close(mean[:, 5], (first[:, 3] + second[:, 0]) / 2)
    assert not mean[:, 4].any()


def test_deep_blocks_are_the_last_two_fifths():
    assert deep_blocks(5) == {3, 4} and deep_blocks(30) == set(range(18, 30)) and deep_blocks(1) == {0}
