"""What a run computes once: positions, word biases, and the text's keys and values in every block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..wan.config import UMT5
from ..wan.module import WanAttention, WanModule
from ..wan.rotary import wan_rotary_table
from .attention import TextKeys, WordBias
from .options import RelationalOptions
from .sequence import SequenceLayout
from .strength import KeyStrengths

KEYS_STEP = 64
"""Text keys come in multiples of this, so that prompts of like length share compiled code."""
MOST_TEXTS = 8
"""How many different texts one run keeps; regional prompts take one each."""


@dataclass(frozen=True)
class Tables:
    """Everything that stays the same from step to step.

    Attributes:
        layout: the sequence.
        rotary: [tokens, head_dim / 2] complex64.
        word_bias: MCAM's word weights and cells.
        texts: keys and values of each block.
        strengths: of the references, for the video's self-attention; None where all are 1.
    """

    layout: SequenceLayout
    rotary: torch.Tensor
    word_bias: WordBias
    texts: tuple[TextKeys, ...]
    strengths: KeyStrengths | None = None


def make_tables(
    model: WanModule, context: torch.Tensor, layout: SequenceLayout, options: RelationalOptions,
    merge_pads: bool = True, earlier: Tables | None = None,
) -> Tables:
    """Compute the tables of one text under one layout.

    Args:
        model: a Wan2.1-T2V-shaped module.
        context: text encoder output [batch, tokens, text_dim] in the dtype to compute in; padded to 512 tokens.
        layout: the sequence.
        options: scientific constants.
        merge_pads: let one key stand for several of the equal ones behind the text. Exact, but the attention over
            them then needs a bias, which not every backend takes.
        earlier: tables of the same model and text under another layout, whose text keys serve again where they can.
    """
    length = max(UMT5.length, context.shape[1])
    weights = layout.binding.text_weights(length) * options.ratio
    # A pad at the end is enough to tell which tokens are pads.
    context = F.pad(context, (0, 0, 0, min(1, length - context.shape[1])))
    kept, log_counts = length, None
    if merge_pads:
        kept, log_counts = _merge_pads(context, weights)
    context, weights = context[:, :kept], weights[:, :kept]
    context = F.pad(context, (0, 0, 0, kept - context.shape[1]))
    if earlier is not None and _merged_alike(earlier.texts[0], kept, log_counts):
        texts = earlier.texts
    else:
        embedded = model.text_embedding(context)
        texts = tuple(_text_keys(block.cross_attn, embedded, log_counts) for block in model.blocks)
    device, head_dim = context.device, texts[0].keys.shape[-1] // model.num_heads
    return Tables(
        layout=layout,
        rotary=wan_rotary_table(layout.positions(options.r2pe), head_dim, device),
        word_bias=WordBias(
            weights.to(device), layout.pooled_cells(options.pool).to(device), (layout.height, layout.width),
            options.pool,
        ),
        texts=texts,
        strengths=KeyStrengths.of(layout, head_dim, device),
    )


def _merged_alike(text: TextKeys, kept: int, log_counts: torch.Tensor | None) -> bool:
    """Whether a text's keys stand for the same tokens."""
    if text.keys.shape[1] != kept or (text.log_counts is None) != (log_counts is None):
        return False
    return text.log_counts is None or log_counts is None or torch.equal(text.log_counts, log_counts)


def _merge_pads(context: torch.Tensor, weights: torch.Tensor) -> tuple[int, torch.Tensor | None]:
    """How many keys to keep, and the logarithm of how many tokens each stands for, all moved by one constant.

    A column that biases a reference stays by itself, even where the negative prompt is shorter and has a pad there.
    """
    length = weights.shape[1]
    equal = (context == context[:, -1:]).all(-1).all(0)
    equal = F.pad(equal, (0, length - len(equal)), value=True)
    biased = (weights != 0).any(0).to(equal.device)
    own = (~equal | biased).nonzero()
    first_pad = int(own[-1]) + 1 if len(own) else 0
    pads = length - first_pad
    kept = min(length, -(-(first_pad + 1) // KEYS_STEP) * KEYS_STEP)
    if kept == length:
        return length, None
    log_count = math.log(pads / (kept - first_pad))
    rounded = torch.tensor(log_count).bfloat16().item()
    # Only differences matter to softmax: what bf16 rounds off, up to 1.6 % of a count, is put onto the other keys.
    counts = torch.full((kept,), rounded - log_count)
    counts[first_pad:] = rounded
    return kept, counts.to(context.device)


def _text_keys(attention: WanAttention, embedded: torch.Tensor, log_counts: torch.Tensor | None) -> TextKeys:
    return TextKeys(attention.norm_k(attention.k(embedded)), attention.v(embedded), log_counts)


class TableCache:
    """The tables of one sampling run. Texts are found again by content, since the host copies them for every step.

    Some guiders run two models under the same options, so each model has tables of its own.
    """

    def __init__(self):
        self._kept: list[tuple[tuple, torch.Tensor, Tables]] = []

    # Not traced: what compiled code met first would be a constant to it.
    @torch.compiler.disable
    def find(
        self, model: WanModule, context: torch.Tensor, layout: SequenceLayout, options: RelationalOptions,
        merge_pads: bool = True,
    ) -> Tables:
        """As ``make_tables``, or what it gave before for the same arguments."""
        shared = (model, merge_pads, context.shape, context.dtype, context.device)
        key = (*shared, layout, options)
        alike = [(known, tables) for known, text, tables in self._kept
                 if known[:len(shared)] == shared and torch.equal(text, context)]
        for known, tables in alike:
            if known == key:
                return tables
        # References that come or go in the middle of a run leave its texts as they are.
        earlier = alike[-1][1] if alike else None
        tables = make_tables(model, context, layout, options, merge_pads, earlier)
        self._kept = [*self._kept[1 - MOST_TEXTS:], (key, context, tables)]
        return tables
