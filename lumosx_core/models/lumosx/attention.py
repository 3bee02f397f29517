"""Relational self- and cross-attention as a few small dense calls: no mask over the sequence is ever built."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F

from ..attention import DenseAttention
from .sequence import SequenceLayout
from .strength import KeyStrengths


def relational_self_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, layout: SequenceLayout, dense: DenseAttention,
    strengths: KeyStrengths | None = None,
) -> tuple[torch.Tensor, ...]:
    """CSAM (paper section 3): the video sees everything, a group of references only itself.

    Args:
        q: [batch, layout.tokens, heads * head_dim] or only its video tokens, rotary embedding applied.
        k, v: [batch, layout.tokens, heads * head_dim].
        dense: the attention backend.
        strengths: those of the layout's references, where any is not 1.

    Returns:
        What the video attends to, [batch, layout.video_tokens, heads * head_dim], and the same for the references
        where q has rows of theirs.
    """
    video_tokens = layout.video_tokens
    # The video comes first: some backends shift k in place by a constant, which only later, smaller calls survive.
    video = of_video(q[:, :video_tokens], k, v, heads, dense, strengths)
    if q.shape[1] == video_tokens:
        return (video,)
    parts = []
    for start, groups, tokens in layout.group_calls:
        of_groups = partial(_of_groups, start, groups, tokens)
        mixed = dense(of_groups(q), of_groups(k), of_groups(v), heads)
        parts.append(mixed.unflatten(0, (-1, groups)).flatten(1, 2))
    return video, torch.cat(parts, dim=1)


def of_video(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, dense: DenseAttention,
    strengths: KeyStrengths | None,
) -> torch.Tensor:
    """What the video's rows q [batch, video tokens, heads * head_dim] attend to, in their shape."""
    return dense(q, k, v, heads) if strengths is None else strengths.attend(q, k, v, heads, dense)


def _of_groups(start: int, groups: int, tokens: int, x: torch.Tensor) -> torch.Tensor:
    """Rows of x [batch, all tokens, width] from ``start`` on, as [batch * groups, tokens, width]."""
    return x[:, start:start + groups * tokens].unflatten(1, (groups, tokens)).flatten(0, 1)


@dataclass(frozen=True)
class TextKeys:
    """Keys and values of one block's cross-attention, where equal ones may stand for several.

    Attributes:
        keys, values: [batch, keys, heads * head_dim]; keys after norm_k.
        log_counts: [keys] float32, the logarithm of how many text tokens each key stands for, up to a constant that
            all keys share; None: one each.
    """

    keys: torch.Tensor
    values: torch.Tensor
    log_counts: torch.Tensor | None = None


@dataclass(frozen=True)
class WordBias:
    """The additive bias on the logits of references and words (MCAM), but for what depends on queries and keys.

    Attributes:
        weights: [references, keys] float32, ratio times the text weight of each key.
        cells: [tokens of a frame] int64, the pooled cell of each token.
        grid: token rows and columns of a frame.
        pool: side of a cell, in tokens.
    """

    weights: torch.Tensor
    cells: torch.Tensor
    grid: tuple[int, int]
    pool: int

    def of(self, first: int, count: int) -> WordBias:
        """That of some neighbouring references."""
        return WordBias(self.weights[first:first + count], self.cells, self.grid, self.pool)


def text_attention(q: torch.Tensor, text: TextKeys, heads: int) -> torch.Tensor:
    """Plain cross-attention of [batch, tokens, heads * head_dim]; exact, since softmax adds equal keys up."""
    keys, values = _split_heads(text.keys, heads), _split_heads(text.values, heads)
    counts = None if text.log_counts is None else text.log_counts.to(q.dtype).reshape(1, 1, 1, -1)
    return _join_heads(F.scaled_dot_product_attention(_split_heads(q, heads), keys, values, attn_mask=counts))


def relational_text_attention(q: torch.Tensor, text: TextKeys, heads: int, word_bias: WordBias) -> torch.Tensor:
    """MCAM (paper section 3): references are drawn to their own words and away from other people's.

    The bias of a logit is ratio * |pooled q . k / sqrt(head_dim)| * w.

    Args:
        q: [batch, references * tokens of a frame, heads * head_dim], after norm_q.
        text: keys and values.
        word_bias: of the same references.

    Returns:
        The shape of q.
    """
    height, width = word_bias.grid
    references = word_bias.weights.shape[0]
    keys, values = _split_heads(text.keys, heads), _split_heads(text.values, heads)
    rows = _split_heads(q.unflatten(1, (references, height * width)), heads)
    pooled = _pooled(rows, height, width, word_bias.pool)
    logits = pooled @ keys[:, None].float().transpose(-1, -2) * rows.shape[-1] ** -0.5
    bias = logits.abs() * word_bias.weights[:, None, None]
    if text.log_counts is not None:
        bias = bias + text.log_counts
    bias = bias.to(q.dtype)[:, :, :, word_bias.cells]
    # Four dimensions, since some kernels take no more.
    keys, values = (x[:, None].expand(-1, references, -1, -1, -1).flatten(0, 1) for x in (keys, values))
    mixed = F.scaled_dot_product_attention(rows.flatten(0, 1), keys, values, attn_mask=bias.flatten(0, 1))
    return _join_heads(mixed).unflatten(0, (-1, references)).flatten(1, 2)


@dataclass(frozen=True)
class PlainTextAttention:
    """``text_attention`` of any rows; see ``wan.block.TextAttention``."""

    text: TextKeys
    compiles: ClassVar[bool] = True

    @property
    def of_units(self) -> tuple[torch.Tensor, ...]:
        """Nothing."""
        return ()

    def __call__(self, q: torch.Tensor, heads: int) -> torch.Tensor:
        """[batch, rows, heads * head_dim] to the same shape."""
        return text_attention(q, self.text, heads)


@dataclass(frozen=True)
class DenseTextAttention:
    """Plain cross-attention by a backend, over all text keys one by one; see ``wan.block.TextAttention``."""

    text: TextKeys
    dense: DenseAttention
    compiles: ClassVar[bool] = False

    @property
    def of_units(self) -> tuple[torch.Tensor, ...]:
        """Nothing."""
        return ()

    def __call__(self, q: torch.Tensor, heads: int) -> torch.Tensor:
        """[batch, rows, heads * head_dim] to the same shape."""
        # A copy, since some backends shift k in place and the references still need the true one.
        return self.dense(q, self.text.keys.clone(), self.text.values, heads)


@dataclass(frozen=True)
class RelationalTextAttention:
    """``relational_text_attention`` of the rows of whole references; see ``wan.block.TextAttention``."""

    text: TextKeys
    word_bias: WordBias
    compiles: ClassVar[bool] = True

    @property
    def of_units(self) -> tuple[torch.Tensor, ...]:
        """The word weights have a row for each reference."""
        return (self.word_bias.weights,)

    def __call__(self, q: torch.Tensor, heads: int) -> torch.Tensor:
        """[batch, references * tokens of a frame, heads * head_dim] to the same shape."""
        return relational_text_attention(q, self.text, heads, self.word_bias)


def _pooled(rows: torch.Tensor, height: int, width: int, pool: int) -> torch.Tensor:
    """[batch, references, heads, height * width, d] to float32 [batch, references, heads, cells, d]; padding counts."""
    outer, head_dim = rows.shape[:3], rows.shape[-1]
    grid = rows.float().flatten(0, 2).unflatten(1, (height, width)).movedim(-1, 1)
    pooled = F.avg_pool2d(F.pad(grid, (0, -width % pool, 0, -height % pool)), pool)
    return pooled.flatten(2).transpose(1, 2).reshape(*outer, -1, head_dim)


def _split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[..., tokens, heads * head_dim] to [..., heads, tokens, head_dim]."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def _join_heads(x: torch.Tensor) -> torch.Tensor:
    """[..., heads, tokens, head_dim] to [..., tokens, heads * head_dim]."""
    return x.transpose(-3, -2).flatten(-2)
