"""Adapters in attention layers: where they act, how strongly, and that they change nothing else."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lumosx_core.models.lynx.attention import (
    Addition,
    KeysValues,
    add_attention,
    add_behind,
    cross_attention,
    self_attention,
)
from support.lynx_files import random

BATCH, QUERIES, WIDTH, HEADS = 2, 12, 32, 4


def pair(tokens, rows=BATCH, seed=0):
    return KeysValues(random(rows, tokens, WIDTH, seed=seed) * 4, random(rows, tokens, WIDTH, seed=seed + 1) * 4)


def by_hand(q, folded, row):
    """One row, head by head."""
    out = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        q_head, k, v = q[row][:, part], folded.keys[row][:, part], folded.values[row][:, part]
        out.append(torch.softmax(q_head @ k.T / (WIDTH // HEADS) ** 0.5, dim=-1) @ v)
    return torch.cat(out, dim=-1)


@pytest.fixture
def q():
    return random(BATCH, QUERIES, WIDTH, seed=7) * 4


@pytest.fixture
def attended():
    return random(BATCH, QUERIES, WIDTH, seed=8)


@pytest.mark.parametrize("tokens_at_once", [0, 1, 5, 12, 100])
def test_it_is_softmax_attention_row_by_row(q, attended, tokens_at_once):
    first, second = pair(3), pair(9, seed=4)
    with torch.no_grad():
        result = add_attention(
            attended.clone(), q, [Addition(first, 0.7), Addition(second, -0.3)], HEADS, tokens_at_once)
    for row in range(BATCH):
        expected = attended[row] + 0.7 * by_hand(q, first, row) - 0.3 * by_hand(q, second, row)
        assert torch.allclose(result[row], expected, atol=1e-5)


def test_one_row_serves_a_whole_batch(q, attended):
    one = pair(3, rows=1)
    both = one.of_rows(torch.tensor([0, 0]))
    for_one, for_both = (add_attention(attended, q, [Addition(folded, 1.0)], HEADS) for folded in (one, both))
    assert torch.equal(for_one, for_both)


def test_a_scale_of_0_is_off(q, attended):
    poisoned = KeysValues(*(torch.full((BATCH, 3, WIDTH), float("nan")) for _ in range(2)))
    assert add_attention(attended, q, [Addition(poisoned, 0.0)], HEADS) is attended
    assert add_attention(attended, q, [], HEADS) is attended


@pytest.mark.parametrize("tokens_at_once", [0, 5])
def test_masks_keep_two_people_apart(q, attended, tokens_at_once):
    """Each acts in its own region, with the strength of its mask, and nowhere else."""
    left = torch.zeros(1, QUERIES, 1)
    left[:, :4], left[:, 4:6] = 1, 0.5
    people = pair(3), pair(5, seed=4)
    with torch.no_grad():
        both = add_attention(
            attended.clone(), q, [Addition(people[0], 0.7, left), Addition(people[1], 0.7, 1 - left)], HEADS,
            tokens_at_once,
        )
        each = [add_attention(attended.clone(), q, [Addition(person, 0.7)], HEADS) for person in people]
    assert torch.allclose(both[:, :4], each[0][:, :4], atol=1e-6)
    assert torch.allclose(both[:, 6:], each[1][:, 6:], atol=1e-6)
    assert torch.allclose(both[:, 4:6], (each[0] + each[1])[:, 4:6] / 2, atol=1e-6)


@pytest.mark.parametrize("tokens_at_once", [0, 5])
def test_gradients_reach_the_adapter_and_the_query(q, attended, tokens_at_once):
    """The adapters are trained through these functions."""
    folded = KeysValues(*(tensor.requires_grad_() for tensor in vars(pair(3)).values()))
    kept = attended.clone()
    result = add_attention(attended, q.requires_grad_(), [Addition(folded, 0.5)], HEADS, tokens_at_once)
    result.square().sum().backward()
    for tensor in (folded.keys, folded.values, q):
        assert tensor.grad.abs().sum() > 0
    assert torch.equal(attended, kept)


class Layer(nn.Module):
    """The submodules of Wan's attention."""

    def __init__(self, image=False):
        super().__init__()
        names = ("q", "k", "v", "o", "k_img", "v_img") if image else ("q", "k", "v", "o")
        for place, name in enumerate(names):
            linear = nn.Linear(WIDTH, WIDTH)
            linear.weight = nn.Parameter(random(WIDTH, WIDTH, seed=20 + place))
            self.add_module(name, linear)
        for name in ("norm_q", "norm_k", "norm_k_img")[:3 if image else 2]:
            self.add_module(name, nn.RMSNorm(WIDTH))
        self.num_heads = HEADS


def dense(q, k, v, heads):
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


@torch.no_grad()
def test_the_output_projection_comes_after_the_sum():
    """What is added equals the adapter's own share through the projection without its bias: o is affine."""
    layer, x, folded = Layer(), random(BATCH, QUERIES, WIDTH, seed=3), pair(3)
    plain = self_attention(layer, x, torch.sin, dense)
    with_it = self_attention(layer, x, torch.sin, dense, [Addition(folded, 1)])
    q = layer.norm_q(layer.q(x))
    share = add_attention(torch.zeros_like(x), q, [Addition(folded, 1)], HEADS)
    assert torch.allclose(with_it - plain, F.linear(share, layer.o.weight), atol=1e-5)


@torch.no_grad()
def test_an_image_branch_keeps_its_part():
    """Wan2.1 I2V: the release would drop it without a word."""
    layer, x, context = Layer(image=True), random(1, QUERIES, WIDTH, seed=3), random(1, 9, WIDTH, seed=4)
    folded, q = pair(3, rows=1), layer.norm_q(layer.q(x))
    image, text = context[:, :4], context[:, 4:]
    expected = dense(q, layer.norm_k(layer.k(text)), layer.v(text), HEADS) + dense(
        q, layer.norm_k_img(layer.k_img(image)), layer.v_img(image), HEADS
    ) + dense(q, folded.keys, folded.values, HEADS)
    measured = cross_attention(layer, x, context, dense, [Addition(folded, 1)], image_tokens=4)
    assert torch.allclose(measured, layer.o(expected), atol=1e-5)


@torch.no_grad()
def test_keys_may_wait_in_another_dtype(q, attended):
    half = KeysValues(*(tensor.bfloat16() for tensor in vars(pair(3)).values()))
    result, exact = (
        add_attention(attended.clone(), q, [Addition(folded, 1.0)], HEADS) for folded in (half, pair(3))
    )
    assert result.dtype == torch.float32 and half.keys.dtype == torch.bfloat16
    assert 0 < (result - exact).norm() / exact.norm() < 0.01


@pytest.mark.parametrize("tokens_at_once", [0, 5])
@torch.no_grad()
def test_behind_a_layer_is_the_same_as_inside(tokens_at_once):
    """Where another node owns the layer's forward."""
    layer, x, context = Layer(), random(BATCH, QUERIES, WIDTH, seed=3), random(BATCH, 9, WIDTH, seed=4)
    half = torch.arange(QUERIES).reshape(1, -1, 1) < 6
    additions = [Addition(pair(3), 0.7), Addition(pair(5, seed=4), -0.4, half.float())]
    plain, inside = (self_attention(layer, x, torch.sin, dense, each) for each in ((), additions))
    assert torch.allclose(add_behind(layer, plain, x, additions, tokens_at_once), inside, atol=1e-5)
    plain, inside = (cross_attention(layer, x, context, dense, each) for each in ((), additions))
    assert torch.allclose(add_behind(layer, plain, x, additions, tokens_at_once), inside, atol=1e-5)
    assert add_behind(layer, plain, x, [Addition(pair(3), 0.0)]) is plain
