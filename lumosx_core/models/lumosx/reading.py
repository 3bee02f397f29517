"""Where in the video each reference is read: the share of the video's self-attention that goes to its tokens.

No [tokens, tokens] matrix is ever held, and what a forward returns is not changed: the shares are computed from the
same queries and keys, a few rows at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ..attention import DenseAttention
from .sequence import SequenceLayout

_MOST_LOGITS = 1 << 24
"""Logits that are held at once, in float32."""


@torch.no_grad()
def reference_shares(q: torch.Tensor, k: torch.Tensor, heads: int, frame_tokens: int) -> torch.Tensor:
    """How much of each video token's attention goes to each reference, averaged over heads.

    Args:
        q: [batch, video tokens, heads * d], rotary embedding applied.
        k: [batch, video tokens + references * frame_tokens, heads * d].
        heads: of both.
        frame_tokens: tokens of a reference.

    Returns:
        [batch, references, video tokens] float32; 0 to 1, where the rest goes to the video itself.
    """
    queries, keys = (x.unflatten(-1, (heads, -1)).transpose(1, 2).float() for x in (q, k))
    scaled = queries * queries.shape[-1] ** -0.5
    rows = max(1, _MOST_LOGITS // (len(q) * heads * k.shape[1]))
    shares = [
        (part @ keys.transpose(-1, -2)).softmax(-1)[..., q.shape[1]:]
        .unflatten(-1, (-1, frame_tokens)).sum(-1).mean(1)
        for part in scaled.split(rows, dim=2)
    ]
    return torch.cat(shares, dim=1).transpose(1, 2)


@dataclass
class Reading:
    """Collects ``reference_shares`` of chosen blocks, over one or more forwards.

    Attributes:
        references: how many pictures the whole scene has.
        blocks: the numbers of the blocks to look at; None looks at those of ``deep_blocks``.
        places: which pictures of the scene are in the sequence of the forward to come, in token order.
    """

    references: int
    blocks: frozenset[int] | None = None
    places: Sequence[int] = ()
    _sum: torch.Tensor | None = field(default=None, repr=False)
    _counts: list[int] = field(default_factory=list, repr=False)

    def beside(
        self, dense: DenseAttention, layout: SequenceLayout, block: Callable[[], int], blocks: int
    ) -> DenseAttention:
        """``dense``, which also collects where the video reads its references.

        Args:
            dense: the attention of a forward.
            layout: of its sequence.
            block: returns the number of the block that computes.
            blocks: how many there are.
        """
        chosen = deep_blocks(blocks) if self.blocks is None else self.blocks
        strengths = layout.binding.strengths or (1.0,) * layout.binding.references
        # The video does not see the others at all.
        places = [place for place, strength in zip(self.places, strengths) if strength]
        expected = layout.video_tokens, layout.video_tokens + len(places) * layout.frame_tokens

        def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
            # First, since some backends shift k in place.
            if places and block() in chosen and (q.shape[1], k.shape[1]) == expected:
                self._add(reference_shares(q, k, heads, layout.frame_tokens), places)
            return dense(q, k, v, heads)

        return attend

    def _add(self, shares: torch.Tensor, places: Sequence[int]) -> None:
        shares = shares.cpu()
        if self._sum is None:
            self._sum = torch.zeros(len(shares), self.references, shares.shape[-1])
            self._counts = [0] * self.references
        for row, place in enumerate(places):
            self._sum[:, place] += shares[:, row]
            self._counts[place] += 1

    def mean(self) -> torch.Tensor | None:
        """[batch, references, video tokens]; zeros for a reference that was never there. None: nothing was seen."""
        if self._sum is None:
            return None
        return self._sum / torch.tensor(self._counts).clamp(min=1)[:, None]


def deep_blocks(blocks: int) -> frozenset[int]:
    """The last two fifths of a model's blocks, in which what is worn is read where its owner is."""
    return frozenset(range(3 * blocks // 5, blocks))
