"""LumosX as a method of Wan: references behind the video, relational attention in every block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..attention import DenseAttention
from ..wan.block import Segment, TextAttention
from .attention import (
    DenseTextAttention,
    PlainTextAttention,
    RelationalTextAttention,
    TextKeys,
    of_video,
    relational_self_attention,
)
from .negative import DenseGuidedTextAttention, GuidedTextAttention, NegativeKeys
from .tables import Tables


@dataclass(frozen=True)
class RelationalMethod:
    """See ``wan.forward.Method``.

    Attributes:
        tables: what the run computed once.
        extra_latents: normalised latents of the references in token order, each [batch, 16, 1, height, width].
        dense: the attention backend.
        csam: relational self-attention; off, everything attends to everything.
        dense_text: whether the video's cross-attention goes to the backend too; its keys must not be merged then.
        negative: a text that the video's cross-attention is guided away from; None for none.
    """

    tables: Tables
    extra_latents: Sequence[torch.Tensor]
    dense: DenseAttention
    csam: bool = True
    dense_text: bool = False
    negative: NegativeKeys | None = None

    @property
    def parts(self) -> tuple[Segment, ...]:
        """The video and the references. A reference is never cut, since its queries are pooled."""
        layout = self.tables.layout
        return Segment(layout.video_tokens), Segment(layout.tokens - layout.video_tokens, layout.frame_tokens)

    @property
    def rotary(self) -> torch.Tensor:
        """[tokens, head_dim / 2] complex64."""
        return self.tables.rotary

    def attention(self, index: int) -> RelationalAttention:
        """Of the block with this index."""
        negative = None if self.negative is None else self.negative.texts[index]
        return RelationalAttention(self, self.tables.texts[index], negative)


@dataclass(frozen=True)
class RelationalAttention:
    """See ``wan.block.BlockAttention``.

    Attributes:
        method: that it belongs to.
        text: keys and values of the block's cross-attention.
        negative: the same for the method's negative text.
    """

    method: RelationalMethod
    text: TextKeys
    negative: TextKeys | None = None

    def self_attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int
    ) -> tuple[torch.Tensor, ...]:
        """The video's rows [batch, video tokens, heads * head_dim], and the references' where q has any.

        Args:
            q: [batch, tokens or video tokens, heads * head_dim].
            k, v: [batch, tokens, heads * head_dim].
        """
        tables, dense = self.method.tables, self.method.dense
        layout, strengths = tables.layout, tables.strengths
        if self.method.csam:
            return relational_self_attention(q, k, v, heads, layout, dense, strengths)
        if strengths is not None:
            video, others = q[:, :layout.video_tokens], q[:, layout.video_tokens:]
            mixed = of_video(video, k, v, heads, dense, strengths)
            return (mixed, dense(others, k, v, heads)) if others.shape[1] else (mixed,)
        mixed = dense(q, k, v, heads)
        return mixed[:, :layout.video_tokens], mixed[:, layout.video_tokens:]

    def cross_attention(self, part: int, start: int, end: int) -> TextAttention:
        """Plain for the video, away from a negative text if there is one; drawn to their own words for references."""
        if part == 0:
            return self._of_video()
        frame = self.method.tables.layout.frame_tokens
        bias = self.method.tables.word_bias.of(start // frame, (end - start) // frame)
        return RelationalTextAttention(self.text, bias)

    def _of_video(self) -> TextAttention:
        method, positive = self.method, self._plain(self.text)
        if method.negative is None or self.negative is None:
            return positive
        kind = DenseGuidedTextAttention if method.dense_text else GuidedTextAttention
        return kind(positive, self._plain(self.negative), method.negative.guidance)

    def _plain(self, text: TextKeys) -> TextAttention:
        return DenseTextAttention(text, self.method.dense) if self.method.dense_text else PlainTextAttention(text)
