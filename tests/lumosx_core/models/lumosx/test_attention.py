"""Relational attention against a masked computation that is written out in full."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from lumosx_core.models.lumosx.attention import (
    TextKeys,
    WordBias,
    relational_self_attention,
    relational_text_attention,
    text_attention,
)
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout

HEADS, HEAD_DIM = 2, 8
LAYOUTS = {
    "objects": SequenceLayout(2, 4, 4, Binding((((1, 2),), ((3, 5),)), (), ())),
    "one person": SequenceLayout(3, 4, 6, Binding((), (((2, 3), (5, 7)),), (2,))),
    "everything": SequenceLayout(3, 10, 13, Binding((((9, 10),),), (((1, 3),), ((2, 5),), ((7, 8),)), (2, 1, 3))),
    "a group as long as the video": SequenceLayout(2, 4, 4, Binding((), (((1, 2),), ((3, 4),)), (2, 2))),
    "one frame": SequenceLayout(1, 5, 9, Binding((((0, 1),),), (((1, 2),),), (1,))),
}


def split(x):
    return x.unflatten(-1, (HEADS, HEAD_DIM)).transpose(1, 2)


def dense(q, k, v, heads):
    assert heads == HEADS
    return F.scaled_dot_product_attention(split(q), split(k), split(v)).transpose(1, 2).flatten(2)


def random_tokens(*shape):
    return torch.randn(*shape, HEADS * HEAD_DIM, generator=torch.Generator().manual_seed(math.prod(shape)))


def bias_of(layout, text_length, ratio=0.5, pool=8):
    weights = layout.binding.text_weights(text_length) * ratio
    return WordBias(weights, layout.pooled_cells(pool), (layout.height, layout.width), pool)


def self_attention(q, k, v, layout, backend=dense):
    return torch.cat(relational_self_attention(q, k, v, HEADS, layout, backend), dim=1)


def visible(layout):
    """[tokens, tokens] booleans of CSAM, from the rule."""
    mask = torch.zeros(layout.tokens, layout.tokens, dtype=torch.bool)
    mask[:layout.video_tokens] = True
    for start, end in layout.groups:
        mask[start:end, start:end] = True
    return mask


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_self_attention_is_the_masked_one(layout):
    q, k, v = random_tokens(2, layout.tokens, 3).unbind(2)
    measured = self_attention(q, k, v, layout)
    masked = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=visible(layout))
    torch.testing.assert_close(measured, masked.transpose(1, 2).flatten(2), rtol=1e-5, atol=1e-6)
    (video,) = relational_self_attention(q[:, :layout.video_tokens], k, v, HEADS, layout, dense)
    assert torch.equal(video, measured[:, :layout.video_tokens])


def test_groups_of_one_size_share_a_call():
    calls = []

    def counted(q, k, v, heads):
        calls.append((len(q), q.shape[1], k.shape[1]))
        return dense(q, k, v, heads)

    layout = LAYOUTS["everything"]
    q, k, v = random_tokens(2, layout.tokens, 3).unbind(2)
    self_attention(q, k, v, layout, counted)
    frame = layout.frame_tokens
    # The object, three people of 2, 1 and 3 pictures.
    groups = [(2, frame, frame), (2, 2 * frame, 2 * frame), (2, frame, frame), (2, 3 * frame, 3 * frame)]
    assert calls == [(2, layout.video_tokens, layout.tokens), *groups]
    calls.clear()
    layout = LAYOUTS["a group as long as the video"]
    self_attention(*random_tokens(3, layout.tokens, 3).unbind(2), layout, counted)
    assert calls == [(3, 32, 96), (6, 32, 32)]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@pytest.mark.parametrize("pool", [8, 3])
def test_cross_attention_is_the_biased_one(layout, pool):
    q, context = random_tokens(2, layout.tokens), random_tokens(2, 12, 2)
    k, v = context.unbind(2)
    weights = layout.binding.text_weights(12)
    references = q[:, layout.video_tokens:]
    measured = relational_text_attention(references, TextKeys(k, v), HEADS, bias_of(layout, 12, pool=pool))
    bias = torch.zeros(2, HEADS, layout.tokens, 12)
    for reference in range(layout.binding.references):
        start, end = layout.reference_range(reference)
        bias[:, :, start:end] = spelled_out_bias(split(q)[:, :, start:end], split(k), layout, pool) * weights[reference]
    biased = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=bias).transpose(1, 2).flatten(2)
    torch.testing.assert_close(measured, biased[:, layout.video_tokens:], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        text_attention(q[:, :layout.video_tokens], TextKeys(k, v), HEADS), biased[:, :layout.video_tokens]
    )
    if pool == 8:
        assert (measured - dense(references, k, v, HEADS)).abs().max() > 1e-4


def test_one_key_may_stand_for_several():
    layout = LAYOUTS["everything"]
    q, (k, v) = random_tokens(2, layout.tokens), random_tokens(2, 10, 2).unbind(2)
    times = torch.tensor([1] * 9 + [4])
    repeated = TextKeys(k.repeat_interleave(times, 1), v.repeat_interleave(times, 1))
    merged = TextKeys(k, v, times.log())
    torch.testing.assert_close(text_attention(q, merged, HEADS), text_attention(q, repeated, HEADS))
    references = q[:, layout.video_tokens:]
    bias = bias_of(layout, 13)
    # No word lies on the repeated key.
    fewer = WordBias(bias.weights[:, :10] * (times == 1), bias.cells, bias.grid, bias.pool)
    more = WordBias(bias.weights * (torch.arange(13) < 9), bias.cells, bias.grid, bias.pool)
    torch.testing.assert_close(
        relational_text_attention(references, merged, HEADS, fewer),
        relational_text_attention(references, repeated, HEADS, more),
    )


def spelled_out_bias(q, k, layout, pool):
    """0.5 |pooled q . k| / sqrt(d) on the padded grid, flattened and cut: steps 1 to 4 of the specification."""
    batch, heads = q.shape[:2]
    rows, columns = (-(-side // pool) * pool for side in (layout.height, layout.width))
    grid = torch.zeros(batch, heads, rows, columns, HEAD_DIM)
    grid[:, :, :layout.height, :layout.width] = q.unflatten(2, (layout.height, layout.width))
    logits = torch.zeros(batch, heads, rows, columns, k.shape[2])
    for y in range(0, rows, pool):
        for x in range(0, columns, pool):
            mean = grid[:, :, y:y + pool, x:x + pool].flatten(2, 3).sum(2) / pool**2
            cell = torch.einsum("bhd,bhkd->bhk", mean, k) / math.sqrt(HEAD_DIM)
            logits[:, :, y:y + pool, x:x + pool] = cell[:, :, None, None]
    return 0.5 * logits.flatten(2, 3)[:, :, :layout.frame_tokens].abs()


def test_no_ratio_and_no_words_are_plain_attention():
    layout = LAYOUTS["everything"]
    q, (k, v) = random_tokens(1, layout.tokens), random_tokens(1, 12, 2).unbind(2)
    q = q[:, layout.video_tokens:]
    plain = dense(q, k, v, HEADS)
    nowhere = dataclasses.replace(layout, binding=Binding(((),), ((), (), ()), (2, 1, 3)))
    for bias in (bias_of(layout, 12, ratio=0.0), bias_of(nowhere, 12)):
        measured = relational_text_attention(q, TextKeys(k, v), HEADS, bias)
        torch.testing.assert_close(measured, plain, rtol=1e-5, atol=1e-6)


def test_some_references_alone_are_as_among_all():
    layout = LAYOUTS["everything"]
    q, (k, v) = random_tokens(2, layout.tokens)[:, layout.video_tokens:], random_tokens(2, 12, 2).unbind(2)
    bias, frame = bias_of(layout, 12), layout.frame_tokens
    together = relational_text_attention(q, TextKeys(k, v), HEADS, bias)
    some = relational_text_attention(q[:, 2 * frame:5 * frame], TextKeys(k, v), HEADS, bias.of(2, 3))
    torch.testing.assert_close(some, together[:, 2 * frame:5 * frame])


def test_a_backend_that_shifts_keys_in_place_changes_nothing():
    """SageAttention 1 subtracts the mean key in place."""
    def shifting(q, k, v, heads):
        k -= k.mean(1, keepdim=True)
        return dense(q, k, v, heads)

    layout = LAYOUTS["everything"]
    q, k, v = random_tokens(1, layout.tokens, 3).unbind(2)
    expected = self_attention(q, k, v, layout)
    torch.testing.assert_close(self_attention(q, k.clone(), v, layout, shifting), expected, rtol=1e-4, atol=1e-5)


def test_no_tensor_grows_with_the_square_of_the_sequence():
    """The largest tensor that attention makes, watched through every operator."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            nonlocal largest
            result = function(*arguments, **(options or {}))
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                if torch.is_tensor(tensor):
                    largest = max(largest, tensor.untyped_storage().nbytes() // tensor.element_size())
            return result

    layout = SequenceLayout(6, 16, 16, Binding((((0, 1),),), (((1, 2),), ((2, 3),)), (3, 2)))
    q, k, v = random_tokens(1, layout.tokens, 3).unbind(2)
    k_text, v_text = random_tokens(1, 512, 2).unbind(2)

    def streaming(q, k, v, heads):
        return torch.zeros_like(q)

    with Watch():
        relational_self_attention(q, k, v, HEADS, layout, streaming)
        relational_text_attention(
            q[:, layout.video_tokens:], TextKeys(k_text, v_text), HEADS, bias_of(layout, 512)
        )
    assert largest < layout.tokens * layout.tokens
    assert largest < layout.tokens * HEADS * 512
