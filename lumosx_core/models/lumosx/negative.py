"""Normalised attention guidance (NAG, arXiv 2505.21179): a negative text in the video's cross-attention.

The model was not trained with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ..wan.block import TextAttention
from .attention import TextKeys

_LEAST = 1e-6
"""Below this an L1 norm counts as this, so that nothing is divided by zero."""


@dataclass(frozen=True)
class NegativeGuidance:
    """The constants of the formula, in its notation.

    Attributes:
        scale: how far to go from the negative; 1 is off. The paper's phi plus one.
        tau: most that the L1 norm of a token may grow, relative to the positive's; at least 1.
        alpha: share of the guided features in the result; 0 is off, 1 is all.
    """

    scale: float = 11.0
    tau: float = 2.5
    alpha: float = 0.25

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return self.scale != 1.0 and self.alpha != 0.0


@dataclass(frozen=True)
class NegativeText:
    """A text to keep away from.

    Attributes:
        context: what the text encoder gave for it, [1, tokens, text_dim].
        guidance: how.
    """

    context: torch.Tensor
    guidance: NegativeGuidance


@dataclass(frozen=True)
class NegativeKeys:
    """What a run computed once of a ``NegativeText``.

    Attributes:
        texts: keys and values of each block.
        guidance: how.
    """

    texts: Sequence[TextKeys]
    guidance: NegativeGuidance


def guided(positive: torch.Tensor, negative: torch.Tensor, guidance: NegativeGuidance) -> torch.Tensor:
    """What attention to a positive text gave, moved away from what attention to a negative text gave.

    scale * positive - (scale - 1) * negative, with its L1 norm capped at tau times the positive's, token by token; then
    blended with the positive. It is written as steps away from the positive, so equal texts change no bit.

    Args:
        positive, negative: [batch, tokens, heads * head_dim].
        guidance: the constants.

    Returns:
        The same shape and dtype.
    """
    away = torch.add(positive, positive - negative, alpha=guidance.scale - 1)
    length, most = (_l1_norm(x) for x in (away, positive))
    most = most * guidance.tau
    away = away * torch.where(length > most, most / length, 1.0).to(away.dtype)
    return torch.add(positive, away - positive, alpha=guidance.alpha)


def _l1_norm(x: torch.Tensor) -> torch.Tensor:
    """[..., 1] float32, of the last dimension."""
    return torch.linalg.vector_norm(x, 1, dim=-1, keepdim=True, dtype=torch.float32).clamp_min(_LEAST)


@dataclass(frozen=True)
class GuidedTextAttention:
    """Cross-attention to a text and away from another; see ``wan.block.TextAttention``.

    Attributes:
        positive, negative: attention to each of them, of any rows.
        guidance: the constants.
    """

    positive: TextAttention
    negative: TextAttention
    guidance: NegativeGuidance
    compiles: ClassVar[bool] = True

    @property
    def of_units(self) -> tuple[torch.Tensor, ...]:
        """Nothing."""
        return ()

    def __call__(self, q: torch.Tensor, heads: int) -> torch.Tensor:
        """[batch, rows, heads * head_dim] to the same shape."""
        return guided(self.positive(q, heads), self.negative(q, heads), self.guidance)


@dataclass(frozen=True)
class DenseGuidedTextAttention(GuidedTextAttention):
    """The same where a backend computes both attentions, which no compiler traces."""

    compiles: ClassVar[bool] = False
