"""An adapter in a transformer's attention layer: more keys and values for the query that is there anyway.

The functions work on any module with the submodules of Wan's attention: ``q, k, v, o, norm_q, norm_k, num_heads``
(and ``k_img, v_img, norm_k_img`` in Wan2.1 I2V).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..attention import DenseAttention, dense_attention
from ..wan.module import WanAttention

Rotation = Callable[[torch.Tensor], torch.Tensor]
"""Rotary position embedding of [batch, tokens, width]; the same shape comes back."""


@dataclass(frozen=True)
class KeysValues:
    """Keys and values [rows, tokens, width] of one adapter in one block: constants of a sampling run."""

    keys: torch.Tensor
    values: torch.Tensor

    def of_rows(self, rows: torch.Tensor) -> KeysValues:
        """For a batch whose row b belongs to person ``rows[b]``: [batch, tokens, width]."""
        return KeysValues(self.keys[rows], self.values[rows])

    def to(self, target: torch.Tensor | torch.device | str | None) -> KeysValues:
        """On a device, or on that of a tensor and in its dtype; None leaves them where they are."""
        return self if target is None else KeysValues(self.keys.to(target), self.values.to(target))


@dataclass(frozen=True)
class Addition:
    """What one adapter adds in one attention layer.

    Attributes:
        folded: rows for each row of the batch, or one row for all of them.
        scale: how strongly; at 0 the adapter is off.
        mask: [batch or 1, queries, 1] in [0, 1], where in the video the adapter acts; None for everywhere. Untrained.
    """

    folded: KeysValues
    scale: float
    mask: torch.Tensor | None = None


def add_attention(
    attended: torch.Tensor, q: torch.Tensor, additions: Sequence[Addition], heads: int, tokens_at_once: int = 0
) -> torch.Tensor:
    """attended + sum of scale * mask * softmax(q K^T / sqrt(head channels)) V (spec sections 1.2 to 1.4).

    PyTorch's own attention is used: keys are few, and 8-bit kernels were seen to spoil the likeness.

    Args:
        attended: what the layer attends to without adapters, [batch, queries, width]; written to where there are no
            gradients.
        q: the layer's normalised query, same shape, without rotary embedding.
        tokens_at_once: how many queries at a time, to save memory; 0 for all of them.

    Returns:
        The same shape, before the layer's output projection.
    """
    additions = [addition for addition in additions if addition.scale != 0]
    if not additions:
        return attended
    result = torch.empty_like(attended) if torch.is_grad_enabled() else attended
    step = tokens_at_once or q.shape[1]
    for start in range(0, q.shape[1], step):
        span = slice(start, start + step)
        total = attended[:, span]
        for addition in additions:
            share = _attend(q[:, span], addition.folded, heads)
            if addition.mask is None:
                total = torch.add(total, share, alpha=addition.scale)
            else:
                total = torch.addcmul(total, share, addition.mask[:, span].to(q), value=addition.scale)
        result[:, span] = total
    return result


def _attend(q: torch.Tensor, folded: KeysValues, heads: int) -> torch.Tensor:
    keys, values = (x.to(q).expand(len(q), -1, -1) for x in (folded.keys, folded.values))
    return dense_attention(q, keys, values, heads)


def self_attention(
    layer: WanAttention,
    x: torch.Tensor,
    rotate: Rotation,
    dense: DenseAttention,
    additions: Sequence[Addition] = (),
    tokens_at_once: int = 0,
) -> torch.Tensor:
    """Self-attention with reference adapters (spec section 1.4): their query has no positions, as their keys have none.

    Args:
        layer: a block's ``self_attn``.
        x: [batch, tokens, width], normalised and modulated.
        rotate: the positions of the tokens.
        dense: the attention backend for what the layer does anyway.
        additions: the reference adapter of each person.

    Returns:
        The same shape, after the output projection.
    """
    q = layer.norm_q(layer.q(x))
    attended = dense(rotate(q), rotate(layer.norm_k(layer.k(x))), layer.v(x), layer.num_heads)
    return layer.o(add_attention(attended, q, additions, layer.num_heads, tokens_at_once))


def cross_attention(
    layer: WanAttention,
    x: torch.Tensor,
    context: torch.Tensor,
    dense: DenseAttention,
    additions: Sequence[Addition] = (),
    image_tokens: int = 0,
    tokens_at_once: int = 0,
) -> torch.Tensor:
    """Text cross-attention with ID adapters (spec sections 1.2 and 1.3); an image branch keeps its part.

    Args:
        layer: a block's ``cross_attn``.
        x: [batch, tokens, width], normalised.
        context: embedded text [batch, text tokens, width], behind ``image_tokens`` embedded image tokens.
        dense: the attention backend for what the layer does anyway.
        additions: the ID adapter of each person.

    Returns:
        The shape of x, after the output projection.
    """
    q, text = layer.norm_q(layer.q(x)), context[:, image_tokens:]
    attended = dense(q, layer.norm_k(layer.k(text)), layer.v(text), layer.num_heads)
    if image_tokens:
        image = context[:, :image_tokens]
        # pyrefly: ignore[missing-attribute] Layers that get image tokens have them.
        attended = attended + dense(q, layer.norm_k_img(layer.k_img(image)), layer.v_img(image), layer.num_heads)
    return layer.o(add_attention(attended, q, additions, layer.num_heads, tokens_at_once))


def add_behind(
    layer: WanAttention, output: torch.Tensor, x: torch.Tensor, additions: Sequence[Addition], tokens_at_once: int = 0
) -> torch.Tensor:
    """The adapters' share added to what a layer gave, for layers whose forward another node has replaced.

    The same as inside the layer, since its output projection is affine; it costs one more query and one more output
    projection.

    Args:
        layer: a block's ``self_attn`` or ``cross_attn``.
        output: what its forward made of x, [batch, tokens, width].
        x: same shape.
        additions: of reference adapters or of ID adapters, as the layer is.

    Returns:
        The same shape.
    """
    additions = [addition for addition in additions if addition.scale != 0]
    if not additions:
        return output
    q = layer.norm_q(layer.q(x))
    share = add_attention(torch.zeros_like(q), q, additions, layer.num_heads, tokens_at_once)
    return output + layer.o(share) - layer.o(torch.zeros_like(q[:1, :1]))
