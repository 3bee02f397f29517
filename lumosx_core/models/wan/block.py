"""One transformer block of Wan2.1 around the attention of a method, a span of tokens at a time.

Around its self-attention a block is two functions of some rows of the stream: ``_project`` and ``_finish``. They look
at no other rows, so they may be chunked, and hold no state, so they compile as they are.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

import torch

from .module import WanAttention, WanBlock
from .rotary import rotate_heads

Rotate = Callable[[torch.Tensor, int, torch.Tensor], torch.Tensor]
"""``rotate(x, heads, table)``: the rotary embedding of [batch, n, heads * head_dim] by the n rows of a table."""


class TextAttention(Protocol):
    """Cross-attention of some rows of the sequence, before the output projection: a function of their queries.

    Attributes:
        compiles: whether torch.compile may trace it.
        of_units: tensors that it uses with a first dimension for each unit of its rows; see ``Segment``.
    """

    compiles: ClassVar[bool]

    @property
    def of_units(self) -> tuple[torch.Tensor, ...]: ...

    def __call__(self, q: torch.Tensor, heads: int) -> torch.Tensor:
        """q [batch, rows, heads * head_dim], normalised, to the same shape."""


class BlockAttention(Protocol):
    """What a method changes in a block of Wan. Modulation, projections, norms and feed-forward are Wan's own."""

    def self_attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int
    ) -> Sequence[torch.Tensor]:
        """What the rows of q attend to, before the output projection.

        Args:
            q: [batch, queries, heads * head_dim], normalised and rotated: all tokens, or those of the first part only.
            k, v: [batch, tokens, heads * head_dim]; k normalised and rotated.

        Returns:
            [batch, tokens of the part, heads * head_dim] for each part that q has rows of.
        """

    def cross_attention(self, part: int, start: int, end: int) -> TextAttention:
        """How rows ``start`` to ``end`` of a part, counted within it, attend to the text."""


@dataclass(frozen=True)
class Segment:
    """Tokens that follow each other and attend to the text in one way.

    Attributes:
        tokens: how many.
        unit: tokens that no chunk may separate; ``tokens`` is a multiple.
    """

    tokens: int
    unit: int = 1


@dataclass(frozen=True)
class BlockInputs:
    """What every block of one forward reads besides the residual stream.

    Attributes:
        parts: of the sequence, in order. The first is the video: all that is wanted of the last block.
        rotary: [tokens, ...], what ``rotate`` needs for each token.
        modulation: [batch, 6, dim], of the timestep.
        dtype: of everything but the residual stream.
        chunk_tokens: tokens at a time through everything but self-attention; 0 is all of them.
        rotate: the rotary embedding.
    """

    parts: tuple[Segment, ...]
    rotary: torch.Tensor
    modulation: torch.Tensor
    dtype: torch.dtype
    chunk_tokens: int = 0
    rotate: Rotate = rotate_heads

    @property
    def tokens(self) -> int:
        """Of the whole sequence."""
        return sum(part.tokens for part in self.parts)


def wan_block(
    block: WanBlock, attention: BlockAttention, inputs: BlockInputs, last: bool, x: torch.Tensor
) -> torch.Tensor:
    """The residual stream after a block; without gradients x itself is written to.

    Args:
        block: of any Wan2.1-shaped module.
        attention: the method's, of this block.
        inputs: of this forward.
        last: whether it is the last block; then only the rows of the first part are returned.
        x: [batch, tokens, dim].

    Returns:
        [batch, tokens, dim].
    """
    compiled, block = _compiler_of(block), getattr(block, "_orig_mod", block)
    modulation = block.modulation.to(device=x.device, dtype=x.dtype) + inputs.modulation.to(x.dtype)
    mixed = _self_attention(compiled, block, attention, x, modulation, inputs, last)
    result = torch.empty_like(x) if torch.is_grad_enabled() else x
    gate, first_row = modulation[:, 5:6], 0
    for place, part in enumerate(inputs.parts[:1] if last else inputs.parts):
        for start, end in _spans_of(part, inputs.chunk_tokens):
            attend = attention.cross_attention(place, start, end)
            finish = compiled(_finish_for(type(attend))) if attend.compiles else _finish
            rows, to = (whole[:, first_row + start:first_row + end] for whole in (x, result))
            # Nothing of one span may be held while the next is computed.
            _put(to, gate, *finish(block, rows, mixed[place][:, start:end], modulation, attend, inputs.dtype))
        first_row += part.tokens
    return result[:, :inputs.parts[0].tokens] if last else result


def _put(result: torch.Tensor, gate: torch.Tensor, rows: torch.Tensor, fed: torch.Tensor) -> None:
    """Write what the block makes of some rows of the stream to where it belongs, without a copy in between.

    result, rows and fed are [batch, n, dim], gate is [batch, 1, dim].
    """
    if torch.is_grad_enabled():
        result.copy_(torch.addcmul(rows, fed, gate))
    else:
        torch.addcmul(rows, fed, gate, out=result)


def _self_attention(
    compiled: Callable, block: WanBlock, attention: BlockAttention, x: torch.Tensor, modulation: torch.Tensor,
    inputs: BlockInputs, last: bool,
) -> Sequence[torch.Tensor]:
    """Of each part's rows [batch, tokens of the part, dim], or of the first part's alone where this is the last block.

    x is [batch, tokens, dim], modulation [batch, 6, dim].
    """
    tokens = inputs.tokens
    queries = inputs.parts[0].tokens if last else tokens
    wholes: Sequence[torch.Tensor] = ()
    for start, end in _spans(tokens, queries, inputs.chunk_tokens):
        project = compiled(_project if start < queries else _project_keys)
        projected = project(block, x[:, start:end], inputs.rotary[start:end], modulation, inputs.dtype, inputs.rotate)
        if end - start == tokens:
            wholes = projected
            break
        if not wholes:
            # The first span has queries, so it gives all three.
            wholes = tuple(
                projected[0].new_empty(x.shape[0], rows, one.shape[2])
                for rows, one in zip((tokens, tokens, queries), projected)
            )
        for whole, one in zip(wholes, projected):
            whole[:, start:end] = one
        # Attention comes next, and needs the room.
        del projected, one
    k, v, q = wholes
    return attention.self_attention(q, k, v, block.self_attn.num_heads)


def _project_keys(
    block: WanBlock, rows: torch.Tensor, rotary: torch.Tensor, modulation: torch.Tensor, dtype: torch.dtype,
    rotate: Rotate,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values of some rows [batch, n, dim], for self-attention: both [batch, n, dim]."""
    shift, scale = modulation[:, 0:1], modulation[:, 1:2]
    return _keys_of(block.self_attn, _modulate(block.norm1(rows), shift, scale, dtype), rotary, rotate)


def _project(
    block: WanBlock, rows: torch.Tensor, rotary: torch.Tensor, modulation: torch.Tensor, dtype: torch.dtype,
    rotate: Rotate,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys, values and queries of some rows [batch, n, dim], for self-attention: all [batch, n, dim]."""
    shift, scale = modulation[:, 0:1], modulation[:, 1:2]
    x, layer = _modulate(block.norm1(rows), shift, scale, dtype), block.self_attn
    return *_keys_of(layer, x, rotary, rotate), rotate(layer.norm_q(layer.q(x)), layer.num_heads, rotary)


def _keys_of(
    layer: WanAttention, x: torch.Tensor, rotary: torch.Tensor, rotate: Rotate
) -> tuple[torch.Tensor, torch.Tensor]:
    return rotate(layer.norm_k(layer.k(x)), layer.num_heads, rotary), layer.v(x)


def _finish(
    block: WanBlock, rows: torch.Tensor, mixed: torch.Tensor, modulation: torch.Tensor, attend: TextAttention,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Some rows of the stream after the attentions, and what the feed-forward makes of them: see ``_put``.

    ``addcmul`` takes what the layers give in their own dtype, and computes in that of the stream.

    Args:
        rows: [batch, n, dim], before the block.
        mixed: what their self-attention gave, same shape.
        modulation: [batch, 6, dim].
        attend: their cross-attention.
    """
    _, _, gate, shift, scale, _ = modulation.chunk(6, dim=1)
    rows = torch.addcmul(rows, block.self_attn.o(mixed), gate)
    cross = block.cross_attn
    q = cross.norm_q(cross.q(block.norm3(rows.to(dtype))))
    rows = rows + cross.o(attend(q, cross.num_heads))
    return rows, block.ffn(_modulate(block.norm2(rows), shift, scale, dtype))


@functools.cache
def _finish_for(kind: type) -> Callable:
    """``_finish`` with a code object of its own for a kind of attention: compilers keep few versions of each."""
    name = f"{_finish.__name__}_{kind.__name__}"
    return types.FunctionType(_finish.__code__.replace(co_name=name), _finish.__globals__, name)


def _modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """x [batch, n, dim] scaled and shifted by [batch, 1, dim]."""
    return torch.addcmul(shift, x, 1 + scale).to(dtype)


def _spans(tokens: int, queries: int, chunk_tokens: int) -> Iterator[tuple[int, int]]:
    """Row ranges for the projections; none holds both rows with and rows without a query."""
    edges = (0, tokens) if queries == tokens else (0, queries, tokens)
    for low, high in zip(edges, edges[1:]):
        step = chunk_tokens or high - low
        yield from ((start, min(start + step, high)) for start in range(low, high, step))


def _spans_of(part: Segment, chunk_tokens: int) -> Iterator[tuple[int, int]]:
    """Row ranges of a part, in whole units."""
    step = max(part.unit, (chunk_tokens or part.tokens) // part.unit * part.unit)
    return ((start, min(start + step, part.tokens)) for start in range(0, part.tokens, step))


def _compiler_of(block: WanBlock) -> Callable[[Callable], Callable]:
    """What torch.compile does to a block that another node compiled, to be done to our functions instead."""
    context = getattr(block, "dynamo_ctx", None)
    return _as_it_is if context is None else partial(_compiled, context)


def _as_it_is(function: Callable) -> Callable:
    return function


def _compiled(context: Callable, function: Callable) -> Callable:
    """A function of rows and something for each row, compiled once for any number of them."""
    run = context(function)

    def call(block: WanBlock, rows: torch.Tensor, of_rows: torch.Tensor, *others: Any) -> tuple[torch.Tensor, ...]:
        # A slice remembers the length of what it was cut from, which would be a reason to compile again.
        rows, of_rows = (x.flatten(0, -2).unflatten(0, x.shape[:-1]) for x in (rows, of_rows))
        of_units = [tensor for other in others for tensor in getattr(other, "of_units", ())]
        for tensor in (rows, of_rows, *of_units):
            torch._dynamo.maybe_mark_dynamic(tensor, tensor.dim() - 2)
        return run(block, rows, of_rows, *others)

    return call
