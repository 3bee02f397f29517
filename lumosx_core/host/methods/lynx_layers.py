"""Lynx's adapters in the attention layers of a running Wan transformer, by hooks that last for one forward.

A layer's query is seen where its norm gives it, before any rotary embedding, and the adapters' share is added to what
goes into its output projection. Whatever lies in between stays the host's or another node's: every attention backend,
quantised layer, LoRA and variant of Wan works, and no order of nodes matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ...errors import LumosXError
from ...models.lynx.attention import Addition, KeysValues, add_attention
from ...models.wan.module import WanModule

QUERIES_AT_ONCE = 8192
"""Enough to keep any card busy; what is computed for them at once stays small beside the transformer's own work."""

Additions = Mapping[int, Sequence[Addition]]
"""Block to what the adapters add in it."""


@contextmanager
def added(model: WanModule, id_additions: Additions, ref_additions: Additions) -> Iterator[None]:
    """While this is open, a transformer's forward has the adapters' shares in it.

    Args:
        model: ComfyUI's WanModel or one derived from it.
        id_additions: for the text cross-attention.
        ref_additions: for the self-attention.

    Raises:
        LumosXError: in the forward, where another node has replaced an attention layer beyond recognition.
    """
    handles: list[Any] = []
    try:
        for index, block in enumerate(model.blocks):
            # Blocks that another node compiled hold the plain one inside.
            block = getattr(block, "_orig_mod", block)
            for layer, additions in (
                (block.self_attn, ref_additions.get(index)), (block.cross_attn, id_additions.get(index))
            ):
                if additions:
                    share = _Share(index, additions, layer.num_heads)
                    handles.append(layer.norm_q.register_forward_hook(share.note))
                    handles.append(layer.o.register_forward_pre_hook(share.add))
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class _Share:
    """What the adapters add in one layer, from its query to its output projection.

    Other nodes may ask for the query in pieces of the batch, one by one, as NAG does for positive and negative.
    """

    block: int
    additions: Sequence[Addition]
    heads: int
    shares: list[torch.Tensor] = field(default_factory=list)

    def note(self, norm: nn.Module, given: tuple[torch.Tensor, ...], q: torch.Tensor) -> None:
        """q is [rows, tokens, width]; fewer rows than the batch has are those that follow on the ones before."""
        for addition in self.additions:
            if addition.mask is not None and addition.mask.shape[1] != q.shape[1]:
                raise LumosXError(
                    f"mask: the model has {q.shape[1]} tokens where the video has {addition.mask.shape[1]}, so it is "
                    "not known which belong to the region; unlink mask, or remove what adds frames or references."
                )
        first = sum(map(len, self.shares))
        # At once, since a host may rotate q in place.
        here = [_of_rows(addition, first, q) for addition in self.additions]
        self.shares.append(add_attention(torch.zeros_like(q), q, here, self.heads, QUERIES_AT_ONCE))

    def add(self, projection: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """given[0] is [batch, tokens, width]."""
        attended, *others = given
        share, self.shares = _last_rows(self.shares, len(attended)), []
        if share is None or share.shape != attended.shape:
            raise LumosXError(
                f"model: another node replaced the attention of block {self.block} in a way that LumosX Lynx does not "
                "know; remove that node, or leave LumosX Lynx out."
            )
        # Not in place: a backend may still hold what it gave.
        return attended + share, *others


def _of_rows(addition: Addition, first: int, q: torch.Tensor) -> Addition:
    """An addition for the rows of q, beside it; ``first`` counts on through the batch again and again."""
    def part(rows: torch.Tensor) -> torch.Tensor:
        start = first % len(rows)
        return rows if len(rows) == 1 else rows[start:start + len(q)]

    folded = KeysValues(part(addition.folded.keys), part(addition.folded.values)).to(q)
    return replace(addition, folded=folded, mask=None if addition.mask is None else part(addition.mask))


def _last_rows(shares: Sequence[torch.Tensor], rows: int) -> torch.Tensor | None:
    """The last pieces that are so many rows together: some nodes ask for the whole batch before they ask for parts."""
    pieces: list[torch.Tensor] = []
    for share in reversed(shares):
        pieces.insert(0, share)
        found = sum(map(len, pieces))
        if found >= rows:
            # One piece is not copied.
            return None if found > rows else torch.cat(pieces) if pieces[1:] else share
    return None
