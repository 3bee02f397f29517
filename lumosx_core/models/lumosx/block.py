"""One transformer block on the relational sequence, a span of tokens at a time.

Around its self-attention a block is two functions of some rows of the stream: ``_project`` and ``_finish``. They look
at no other rows, so they may be chunked, and hold no state, so they compile as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ..attention import DenseAttention
from ..wan.rotary import apply_rotary
from .attention import (
    TextKeys,
    WordPulls,
    relational_self_attention,
    relational_text_attention,
    text_attention,
)
from .options import RelationalOptions
from .sequence import SequenceLayout
from .tables import Tables


@dataclass(frozen=True)
class Shared:
    """What all blocks of one forward share.

    Attributes:
        tables: what the run computed once.
        options: scientific constants.
        dense: the attention backend.
        dense_text: whether the video's cross-attention goes to the backend too; its keys are not merged then.
        modulation: [batch, 6, dim], of the timestep.
        dtype: of everything but the residual stream.
        chunk_tokens: tokens at a time through everything but self-attention; 0 is all of them.
    """

    tables: Tables
    options: RelationalOptions
    dense: DenseAttention
    dense_text: bool
    modulation: torch.Tensor
    dtype: torch.dtype
    chunk_tokens: int = 0


def relational_block(block: nn.Module, index: int, shared: Shared, last: bool, x: torch.Tensor) -> torch.Tensor:
    """The residual stream x [batch, tokens, dim] after a block; without gradients x itself is written to.

    After the last block only the video's rows are returned: the references' are of no use to anyone.
    """
    layout, text = shared.tables.layout, shared.tables.texts[index]
    video_tokens = layout.video_tokens
    compiled, block = _compiler_of(block), getattr(block, "_orig_mod", block)
    modulation = block.modulation.to(device=x.device, dtype=x.dtype) + shared.modulation.to(x.dtype)
    video, references = _self_attention(compiled, block, x, modulation, shared, last)
    result = torch.empty_like(x) if torch.is_grad_enabled() else x
    gate, finish = modulation[:, 5:6], compiled(_finish_video)
    if shared.dense_text:
        finish = partial(_finish, attend=partial(_backend_text_attention, shared.dense))
    for start, end in _video_spans(layout, shared.chunk_tokens):
        rows, mixed = x[:, start:end], video[:, start:end]
        # Nothing of one span may be held while the next is computed.
        _put(result[:, start:end], gate, *finish(block, rows, mixed, modulation, text, shared.dtype))
    if last:
        return result[:, :video_tokens]
    finish = compiled(_finish_references)
    for first, count in _reference_spans(layout, shared.chunk_tokens):
        start, end = layout.reference_range(first)[0], layout.reference_range(first + count - 1)[1]
        rows, mixed = x[:, start:end], references[:, start - video_tokens:end - video_tokens]
        pulls = shared.tables.pulls.of(first, count)
        _put(result[:, start:end], gate, *finish(block, rows, mixed, modulation, text, shared.dtype, pulls))
    return result


def _put(result: torch.Tensor, gate: torch.Tensor, rows: torch.Tensor, fed: torch.Tensor) -> None:
    """Write what the block makes of some rows of the stream to where it belongs, without a copy in between."""
    if torch.is_grad_enabled():
        result.copy_(torch.addcmul(rows, fed, gate))
    else:
        torch.addcmul(rows, fed, gate, out=result)


def _self_attention(
    compiled: Callable, block: nn.Module, x: torch.Tensor, modulation: torch.Tensor, shared: Shared, last: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Of the video's rows, and of the references' unless this is the last block."""
    layout, heads = shared.tables.layout, block.self_attn.num_heads
    queries = layout.video_tokens if last else layout.tokens
    q = k = v = None
    for start, end in _spans(layout, shared.chunk_tokens, split=last):
        project = compiled(_project if start < queries else _project_keys)
        parts = project(block, x[:, start:end], shared.tables.rotary[start:end], modulation, shared.dtype)
        if end - start == layout.tokens:
            k, v, q = parts
            break
        if k is None:
            k, v = (parts[0].new_empty(x.shape[0], layout.tokens, part.shape[2]) for part in parts[:2])
            q = parts[0].new_empty(x.shape[0], queries, parts[0].shape[2])
        for whole, part in zip((k, v, q), parts):
            whole[:, start:end] = part
        # Attention comes next, and needs the room.
        del parts, part
    if shared.options.csam:
        return relational_self_attention(q, k, v, heads, layout, shared.dense)
    mixed = shared.dense(q, k, v, heads)
    return mixed[:, :layout.video_tokens], mixed[:, layout.video_tokens:]


def _project_keys(block, rows, rotary, modulation, dtype):
    """Keys and values of some rows, for self-attention."""
    shift, scale = modulation[:, 0:1], modulation[:, 1:2]
    return _keys_of(block.self_attn, _modulate(block.norm1(rows), shift, scale, dtype), rotary)


def _project(block, rows, rotary, modulation, dtype):
    """Keys, values and queries of some rows, for self-attention."""
    shift, scale = modulation[:, 0:1], modulation[:, 1:2]
    x, attention = _modulate(block.norm1(rows), shift, scale, dtype), block.self_attn
    return *_keys_of(attention, x, rotary), apply_rotary(attention.norm_q(attention.q(x)), attention.num_heads, rotary)


def _keys_of(attention: nn.Module, x: torch.Tensor, rotary: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return apply_rotary(attention.norm_k(attention.k(x)), attention.num_heads, rotary), attention.v(x)


def _finish_video(block, rows, mixed, modulation, text, dtype):
    """See ``_finish``, for rows of the video."""
    return _finish(block, rows, mixed, modulation, text, dtype, text_attention)


def _finish_references(block, rows, mixed, modulation, text, dtype, pulls):
    """See ``_finish``, for rows of whole references."""
    return _finish(block, rows, mixed, modulation, text, dtype, partial(relational_text_attention, pulls=pulls))


def _finish(block, rows, mixed, modulation, text, dtype, attend):
    """Some rows of the stream after the attentions, and what the feed-forward makes of them: see ``_put``.

    ``addcmul`` takes what the layers give in their own dtype, and computes in that of the stream.

    Args:
        rows: [batch, n, dim], before the block.
        mixed: what their self-attention gave, same shape.
        attend: ``attend(q, text, heads)``, their cross-attention.
    """
    _, _, gate, shift, scale, _ = modulation.chunk(6, dim=1)
    rows = torch.addcmul(rows, block.self_attn.o(mixed), gate)
    cross = block.cross_attn
    q = cross.norm_q(cross.q(block.norm3(rows.to(dtype))))
    rows = rows + cross.o(attend(q, text, cross.num_heads))
    return rows, block.ffn(_modulate(block.norm2(rows), shift, scale, dtype))


def _backend_text_attention(dense: DenseAttention, q: torch.Tensor, text: TextKeys, heads: int) -> torch.Tensor:
    # A copy, since some backends shift k in place and the references still need the true one.
    return dense(q, text.keys.clone(), text.values, heads)


def _modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.addcmul(shift, x, 1 + scale).to(dtype)


def _spans(layout: SequenceLayout, chunk_tokens: int, split: bool) -> Iterator[tuple[int, int]]:
    """Row ranges for the projections; with ``split`` none holds both video and references."""
    if not chunk_tokens and not split:
        yield 0, layout.tokens
        return
    edges = (0, layout.video_tokens, layout.tokens) if split else (0, layout.tokens)
    for low, high in zip(edges, edges[1:]):
        step = chunk_tokens or high - low
        yield from ((start, min(start + step, high)) for start in range(low, high, step))


def _video_spans(layout: SequenceLayout, chunk_tokens: int) -> Iterator[tuple[int, int]]:
    step = chunk_tokens or layout.video_tokens
    return ((start, min(start + step, layout.video_tokens)) for start in range(0, layout.video_tokens, step))


def _reference_spans(layout: SequenceLayout, chunk_tokens: int) -> Iterator[tuple[int, int]]:
    """(first reference, how many): a reference is never cut, since its queries are pooled."""
    references = layout.binding.references
    step = max(1, chunk_tokens // layout.frame_tokens if chunk_tokens else references)
    return ((first, min(step, references - first)) for first in range(0, references, step))


def _compiler_of(block: nn.Module) -> Callable[[Callable], Callable]:
    """What torch.compile does to a block that another node compiled, to be done to our functions instead."""
    context = getattr(block, "dynamo_ctx", None)
    return _as_it_is if context is None else partial(_compiled, context)


def _as_it_is(function: Callable) -> Callable:
    return function


def _compiled(context: Callable, function: Callable) -> Callable:
    """A function of rows and something for each row, compiled once for any number of them."""
    run = context(function)

    def call(block, rows, of_rows, *others):
        # A slice remembers the length of what it was cut from, which would be a reason to compile again.
        rows, of_rows = (x.flatten(0, -2).unflatten(0, x.shape[:-1]) for x in (rows, of_rows))
        for tensor in (rows, of_rows, *(other.weights for other in others if isinstance(other, WordPulls))):
            torch._dynamo.maybe_mark_dynamic(tensor, tensor.dim() - 2)
        return run(block, rows, of_rows, *others)

    return call
