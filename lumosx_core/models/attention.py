"""The attention that a network of any family calls: a backend over whole sequences, without a mask."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

DenseAttention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""``dense(q, k, v, heads)`` on [batch, tokens, heads * head_dim], without a mask; returns the shape of q."""


def dense_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """PyTorch's own attention, as a ``DenseAttention``."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
