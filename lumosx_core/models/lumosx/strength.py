"""Strengths of references in the video's self-attention: e^(q . k) of a reference's keys is multiplied by its strength.

So log(strength) is added to their logits, as a product with constants in a few more channels of each head: no mask, and
no other attention than the backend's. Keys of strength 0 are left out. The model was not trained with it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ...scene.phrases import Span
from ..attention import DenseAttention
from .sequence import SequenceLayout

CHANNELS = 8
"""More channels of a head: kernels want a multiple of 8."""


@dataclass(frozen=True)
class KeyStrengths:
    """What the video reads of the sequence.

    Attributes:
        kept: the token ranges of all keys whose strength is not 0.
        channels: [kept tokens, CHANNELS] float32, what each kept key has in the further channels; None where every
            strength is 0 or 1.
    """

    kept: tuple[Span, ...]
    channels: torch.Tensor | None

    @classmethod
    def of(cls, layout: SequenceLayout, head_dim: int, device: torch.device | str = "cpu") -> KeyStrengths | None:
        """Those of a layout; None where every strength is 1."""
        strengths = layout.binding.strengths
        if not strengths:
            return None
        every = [1.0] * layout.frames + list(strengths)
        if set(strengths) <= {0.0, 1.0}:
            return cls(_kept(layout, every), None)
        # Of each frame, what a logit must gain before it is divided by the root of the channels.
        gains = torch.tensor([math.log(each) for each in every if each]) * math.sqrt(head_dim + CHANNELS)
        return cls(_kept(layout, every), _spread(gains).repeat_interleave(layout.frame_tokens, 0).to(device))

    def attend(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, dense: DenseAttention
    ) -> torch.Tensor:
        """What the video attends to.

        Args:
            q: [batch, video tokens, heads * head_dim].
            k, v: [batch, all tokens, heads * head_dim].
            dense: the attention backend.

        Returns:
            The shape of q.
        """
        tokens = k.shape[1]
        k, v = (_picked(x, self.kept, tokens) for x in (k, v))
        if self.channels is None:
            return dense(q, k, v, heads)
        head_dim = q.shape[-1] // heads
        # The backend divides by the root of more channels than before.
        wide_q = q.unflatten(-1, (heads, -1)) * math.sqrt((head_dim + CHANNELS) / head_dim)
        of_keys = self.channels.to(k.dtype)[None, :, None].expand(k.shape[0], -1, heads, -1)
        wide_k = torch.cat([k.unflatten(-1, (heads, -1)), of_keys], dim=-1).flatten(2)
        wide_v = F.pad(v.unflatten(-1, (heads, -1)), (0, CHANNELS)).flatten(2)
        mixed = dense(F.pad(wide_q, (0, CHANNELS), value=1.0).flatten(2), wide_k, wide_v, heads)
        return mixed.unflatten(-1, (heads, -1))[..., :head_dim].flatten(2)


def kept_frames(layout: SequenceLayout) -> int:
    """Frames and references whose keys the video reads."""
    return layout.frames + layout.binding.references - layout.binding.strengths.count(0.0)


def further_channels(layout: SequenceLayout) -> int:
    """How many more channels a head has in the video's self-attention."""
    return 0 if set(layout.binding.strengths) <= {0.0, 1.0} else CHANNELS


def _kept(layout: SequenceLayout, every: list[float]) -> tuple[Span, ...]:
    """The token ranges of frames and references that count, neighbours together."""
    ranges, start = [], 0
    for counts, group in itertools.groupby(every, key=bool):
        end = start + len(list(group)) * layout.frame_tokens
        if counts:
            ranges.append((start, end))
        start = end
    return tuple(ranges)


def _spread(gains: torch.Tensor) -> torch.Tensor:
    """[n] to [n, CHANNELS] with these sums: small numbers of short mantissas, since half and 8-bit types round."""
    each = (gains / CHANNELS).bfloat16().float()
    return torch.stack([*[each] * (CHANNELS - 1), gains - each * (CHANNELS - 1)], dim=1)


def _picked(x: torch.Tensor, kept: tuple[Span, ...], tokens: int) -> torch.Tensor:
    """The rows of x [batch, tokens, width] in these ranges."""
    return x if kept == ((0, tokens),) else torch.cat([x[:, start:end] for start, end in kept], dim=1)
