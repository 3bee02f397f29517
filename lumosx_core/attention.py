"""Relational self- and cross-attention as a few small dense calls: no mask over the sequence is ever built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .layout import SequenceLayout

DenseAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""``dense(q, k, v, heads)`` on [batch, tokens, heads * head_dim], without a mask; returns the shape of q."""


def relational_self_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, layout: SequenceLayout, dense: DenseAttention
) -> torch.Tensor:
    """CSAM (paper section 3): the video sees everything, a group of references only itself.

    Args:
        q, k, v: [batch, layout.tokens, heads * head_dim], rotary embedding applied.
        dense: the attention backend.

    Returns:
        [batch, layout.tokens, heads * head_dim].
    """
    video = layout.video_tokens
    # The video comes first: some backends shift k in place by a constant, which only later, smaller calls survive.
    parts = [dense(q[:, :video], k, v, heads)]
    for start, end in layout.groups:
        parts.append(dense(q[:, start:end], k[:, start:end], v[:, start:end], heads))
    return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class WordPull:
    """What draws one reference to its words (MCAM). Made once a forward: finding the words would stall every block.

    Attributes:
        columns: [words] int64, the text tokens with a weight other than 0.
        weights: [words] float32, ratio times their weights.
        cells: [tokens of a frame] int64, the pooled cell of each token.
        pool: side of a cell, in tokens.
    """

    columns: torch.Tensor
    weights: torch.Tensor
    cells: torch.Tensor
    pool: int


def word_pulls(
    layout: SequenceLayout, text_length: int, device: torch.device | str, ratio: float = 0.5, pool: int = 8
) -> tuple[WordPull, ...]:
    """The pull of each reference, in token order.

    Args:
        text_length: text tokens that the model sees.
        ratio: strength of the bias; 0 switches it off.
        pool: side of the query cells that share a bias, in tokens.
    """
    cells = layout.pooled_cells(pool).to(device)
    pulls = []
    for weights in layout.binding.text_weights(text_length) * ratio:
        columns = weights.nonzero().flatten()
        pulls.append(WordPull(columns.to(device), weights[columns].to(device), cells, pool))
    return tuple(pulls)


def relational_cross_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    heads: int,
    layout: SequenceLayout,
    pulls: Sequence[WordPull],
    dense: DenseAttention,
) -> torch.Tensor:
    """MCAM (paper section 3): references are drawn to their own words and away from other people's.

    Args:
        q: [batch, layout.tokens, heads * head_dim], after norm_q.
        k, v: [batch, text tokens, heads * head_dim], k after norm_k.
        pulls: one for each reference, see ``word_pulls``.
        dense: the attention backend, for the video.

    Returns:
        [batch, layout.tokens, heads * head_dim].
    """
    keys, values = _split_heads(k, heads), _split_heads(v, heads)
    references = []
    # References come before the video, since some backends shift k in place and the bias needs the true one.
    for reference, pull in enumerate(pulls):
        start, end = layout.reference_range(reference)
        rows = _split_heads(q[:, start:end], heads)
        bias = _word_bias(rows, keys, layout, pull) if len(pull.columns) else None
        references.append(_join_heads(F.scaled_dot_product_attention(rows, keys, values, attn_mask=bias)))
    video = dense(q[:, :layout.video_tokens], k, v, heads)
    return torch.cat([video, *references], dim=1)


def _word_bias(rows: torch.Tensor, keys: torch.Tensor, layout: SequenceLayout, pull: WordPull) -> torch.Tensor:
    """ratio * |pooled q . k / sqrt(d)| * w of one reference: [batch, heads, tokens of a frame, text tokens]."""
    batch, heads, _, head_dim = rows.shape
    grid = rows.float().reshape(batch * heads, layout.height, layout.width, head_dim).movedim(-1, 1)
    padded = F.pad(grid, (0, -layout.width % pull.pool, 0, -layout.height % pull.pool))
    pooled = F.avg_pool2d(padded, pull.pool).flatten(2).transpose(1, 2).unflatten(0, (batch, heads))
    logits = pooled @ keys[:, :, pull.columns].float().transpose(-1, -2) * head_dim**-0.5
    strength = (logits.abs() * pull.weights).to(rows.dtype)
    bias = rows.new_zeros(batch, heads, layout.frame_tokens, keys.shape[2])
    bias[..., pull.columns] = strength[:, :, pull.cells]
    return bias


def _split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _join_heads(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(1, 2).flatten(2)
