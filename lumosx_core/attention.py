"""Relational self- and cross-attention as a few small dense calls: no mask over the sequence is ever built."""

from __future__ import annotations

from collections.abc import Callable

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


def relational_cross_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    heads: int,
    layout: SequenceLayout,
    text_weights: torch.Tensor,
    dense: DenseAttention,
    ratio: float = 0.5,
    pool: int = 8,
) -> torch.Tensor:
    """MCAM (paper section 3): references are drawn to their own words and away from other people's.

    Args:
        q: [batch, layout.tokens, heads * head_dim], after norm_q.
        k, v: [batch, text tokens, heads * head_dim], k after norm_k.
        text_weights: [references, text tokens], see ``Binding.text_weights``.
        ratio: strength of the bias; 0 switches it off.
        pool: side of the query cells that share a bias, in tokens.

    Returns:
        [batch, layout.tokens, heads * head_dim].
    """
    cells = layout.pooled_cells(pool, q.device)
    references = []
    # References come before the video, since some backends shift k in place and the bias needs the true one.
    for reference in range(layout.binding.references):
        start, end = layout.reference_range(reference)
        rows = _split_heads(q[:, start:end], heads)
        keys, values = _split_heads(k, heads), _split_heads(v, heads)
        bias = _word_bias(rows, keys, text_weights[reference], layout, cells, ratio, pool)
        references.append(_join_heads(F.scaled_dot_product_attention(rows, keys, values, attn_mask=bias)))
    video = dense(q[:, :layout.video_tokens], k, v, heads)
    return torch.cat([video, *references], dim=1)


def _word_bias(
    rows: torch.Tensor,
    keys: torch.Tensor,
    weights: torch.Tensor,
    layout: SequenceLayout,
    cells: torch.Tensor,
    ratio: float,
    pool: int,
) -> torch.Tensor | None:
    """ratio * |pooled q . k / sqrt(d)| * w of one reference, [batch, heads, tokens, text tokens]; None if w is 0."""
    columns = weights.nonzero().flatten()
    if not len(columns) or ratio == 0:
        return None
    batch, heads, _, head_dim = rows.shape
    grid = rows.float().reshape(batch * heads, layout.height, layout.width, head_dim).movedim(-1, 1)
    padded = F.pad(grid, (0, -layout.width % pool, 0, -layout.height % pool))
    pooled = F.avg_pool2d(padded, pool).flatten(2).transpose(1, 2).unflatten(0, (batch, heads))
    logits = pooled @ keys[:, :, columns].float().transpose(-1, -2) * head_dim**-0.5
    strength = (ratio * logits.abs() * weights[columns]).to(rows.dtype)
    bias = rows.new_zeros(batch, heads, layout.frame_tokens, keys.shape[2])
    bias[..., columns] = strength[:, :, cells]
    return bias


def _split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _join_heads(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(1, 2).flatten(2)
