"""The cost of a forward, from its layout alone: operations, bytes, and how to keep within a number of bytes.

It follows ``wan/block.py``: whoever changes what is computed or kept alive there changes it here, and the tests count
both against the real forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..wan.config import UMT5, WAN21_1_3B, WanConfig
from .sequence import SequenceLayout
from .strength import further_channels, kept_frames

GIGABYTE = 10**9
CHUNK_TOKENS = 8192
"""Large enough to keep any card busy, small enough that the feed-forward is not the peak."""
SMALLER_CHUNKS = (4096, 2048, 1024)
"""Taken only where memory is short: each chunk moves or unpacks the weights that are not on the card once more."""
GUIDANCE_PASSES = 2

_FLOAT32 = 4
_COMPLEX64 = 8
_SAMPLER_LATENTS, _SAMPLER_TEXTS = 10, 5
"""float32 copies of the latent, and of the text encoder's output, that ComfyUI holds around a forward."""
_LAYERS_UNDERWAY = 4
"""Copies of the largest layer while weights are streamed: in use, unpacked, and underway on ComfyUI's two streams."""


@dataclass(frozen=True)
class Work:
    """Floating point operations, a multiplication and an addition counted as two.

    Attributes:
        linear: the blocks' linear layers.
        self_attention: queries with keys and weights with values, group by group.
        cross_attention: the same with the text, and the pooled queries of MCAM.
        ends: patch and time embedding, and the head.
    """

    linear: int
    self_attention: int
    cross_attention: int
    ends: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.linear + self.self_attention + self.cross_attention + self.ends


def forward_work(
    layout: SequenceLayout,
    config: WanConfig = WAN21_1_3B,
    batch: int = 1,
    text_keys: int = UMT5.length,
    pool: int = 8,
    prune: bool = True,
) -> Work:
    """The work of one exact forward, without what is done once a prompt (see ``prompt_flops``).

    Args:
        layout: the sequence.
        config: the model's sizes.
        batch: videos, times the passes that run together.
        text_keys: keys of the cross-attention; fewer than 512 where equal ones are merged.
        pool: side of the query cells that share an MCAM bias.
        prune: leave out what the last block would compute for the references, which nobody reads.
    """
    tokens, video, dim = layout.tokens, layout.video_tokens, config.dim
    # Blocks over all rows, and rows of those that drop the references' own after their keys.
    full = config.num_layers - 1 if prune else config.num_layers
    rows = full * tokens + (config.num_layers - full) * video
    groups = sum((end - start) ** 2 for start, end in layout.groups)
    cells = -(-layout.height // pool) * -(-layout.width // pool)
    # In multiplications with a matrix of dim columns: q, o and cross-attention's q, o; k, v; the feed-forward.
    linear = rows * (4 * dim**2 + 2 * dim * config.ffn_dim) + config.num_layers * tokens * 2 * dim**2
    # In channels of all heads, of which strengths need more.
    wide = dim + config.num_heads * further_channels(layout)
    attention = config.num_layers * video * kept_frames(layout) * layout.frame_tokens * wide + full * groups * dim
    text = (rows * 2 + full * layout.binding.references * cells) * text_keys
    patch = math.prod(config.patch_size) * config.in_dim
    time = config.freq_dim * dim + 7 * dim**2
    return Work(
        linear=2 * batch * linear,
        self_attention=2 * batch * 2 * attention,
        cross_attention=2 * batch * text * dim,
        ends=2 * batch * ((tokens + video) * patch * dim + time),
    )


def prompt_flops(config: WanConfig = WAN21_1_3B, text_keys: int = UMT5.length) -> int:
    """Operations of one prompt's text embedding and of its keys and values in every block: once a run."""
    embedding = config.text_dim * config.dim + config.dim**2
    return 2 * text_keys * (embedding + config.num_layers * 2 * config.dim**2)


@dataclass(frozen=True)
class Chunks:
    """How a forward is cut up.

    Attributes:
        tokens: at a time through everything but self-attention; 0 is all of them.
    """

    tokens: int = 0


def peak_bytes(
    layout: SequenceLayout,
    config: WanConfig = WAN21_1_3B,
    element_bytes: int = 2,
    batch: int = 1,
    chunks: Chunks | None = None,
    float32_residual: bool = True,
    together: int = 1,
    text_keys: int = UMT5.length,
) -> int:
    """The most bytes that the tensors of a guided run take at once beside the weights, kernels' own room left out.

    Args:
        layout: the sequence.
        config: the model's sizes.
        element_bytes: of the dtype that is computed in, 2 for bf16.
        batch: videos at once.
        chunks: how the forward is cut up; whole unless given.
        float32_residual: whether the residual stream is kept in float32.
        together: passes of guidance that run in one forward.
        text_keys: keys of the cross-attention; fewer than 512 where equal ones are merged.
    """
    forward = forward_bytes(layout, config, element_bytes, batch * together, chunks, float32_residual)
    return forward + _kept_bytes(layout, config, element_bytes, batch, text_keys)


def forward_bytes(
    layout: SequenceLayout,
    config: WanConfig = WAN21_1_3B,
    element_bytes: int = 2,
    batch: int = 1,
    chunks: Chunks | None = None,
    float32_residual: bool = True,
) -> int:
    """The part of ``peak_bytes`` that one forward of ``batch`` rows makes and lets go of again."""
    tokens = (chunks.tokens if chunks else 0) or layout.tokens
    stream = _FLOAT32 if float32_residual else element_bytes
    phases = (
        _while_projecting(layout, config, element_bytes, tokens),
        _while_attending(layout, config, element_bytes, batch),
        _while_weighting(layout, config, element_bytes),
        _while_feeding(layout, config, element_bytes, stream, tokens),
        _while_reading_out(layout, config, element_bytes, stream),
    )
    return batch * (layout.tokens * config.dim * stream + max(phases))


def _while_projecting(layout: SequenceLayout, config: WanConfig, element: int, tokens: int) -> int:
    """Queries, keys and values, whole and of one chunk, of which one is being turned in float32 copies."""
    turning = 5 * element if element == _FLOAT32 else 5 * element + 2 * _FLOAT32
    whole = 3 * element * layout.tokens if tokens < layout.tokens else 0
    return config.dim * (whole + min(tokens, layout.tokens) * turning)


def _while_attending(layout: SequenceLayout, config: WanConfig, element: int, batch: int) -> int:
    """Queries, keys, values, the outcome for the video, and that for the groups, being joined."""
    references = layout.tokens - layout.video_tokens
    # Several groups of several videos are not contiguous, and are copied for their call.
    largest = max((groups * tokens for _, groups, tokens in layout.group_calls if groups > 1), default=0)
    groups = max(2 * references, references + 3 * largest if batch > 1 else 0)
    return config.dim * element * (3 * layout.tokens + layout.video_tokens + groups)


def _while_weighting(layout: SequenceLayout, config: WanConfig, element: int) -> int:
    """While the video attends by strengths: copies of what counts beside queries, keys and values, and the outcome."""
    if not layout.binding.strengths:
        return 0
    channels = further_channels(layout)
    copied = 2 * kept_frames(layout) * layout.frame_tokens + (2 if channels else 1) * layout.video_tokens
    return element * (3 * layout.tokens * config.dim + copied * (config.dim + config.num_heads * channels))


def _while_feeding(layout: SequenceLayout, config: WanConfig, element: int, stream: int, tokens: int) -> int:
    """The outcome of self-attention, and of some rows the stream, the query, and all that the feed-forward makes.

    Newer hosts keep both sides of the activation until the result is there; older ones do with one width less.
    """
    references = layout.tokens - layout.video_tokens
    rows = min(tokens, max(layout.video_tokens, references))
    # References are never cut.
    rows = max(rows, layout.frame_tokens if references else 0)
    each = config.dim * (stream + 3 * element) + 2 * config.ffn_dim * element
    return config.dim * element * layout.tokens + rows * each


def _while_reading_out(layout: SequenceLayout, config: WanConfig, element: int, stream: int) -> int:
    """The video's rows once more, and as the head takes them."""
    return config.dim * layout.video_tokens * (stream + max(stream, element))


def _kept_bytes(layout: SequenceLayout, config: WanConfig, element: int, batch: int, text_keys: int) -> int:
    """What stays through a run: for both prompts rotary table, keys and values; and what the sampler holds."""
    rotary = GUIDANCE_PASSES * layout.tokens * config.dim // config.num_heads // 2 * _COMPLEX64
    texts = GUIDANCE_PASSES * config.num_layers * 2 * text_keys * config.dim * element
    latents = _SAMPLER_LATENTS * layout.tokens * math.prod(config.patch_size) * config.in_dim
    contexts = _SAMPLER_TEXTS * UMT5.length * config.text_dim
    return rotary + batch * (texts + _FLOAT32 * (latents + contexts))


@dataclass(frozen=True)
class ForwardPlan:
    """How to do a forward.

    Attributes:
        chunk_tokens: tokens at a time through everything but self-attention; 0 is all of them.
        sequential: run the passes of guidance one after the other.
        activation_bytes: what a run then takes at most, see ``peak_bytes``.
    """

    chunk_tokens: int
    sequential: bool
    activation_bytes: int


def plan_forward(
    layout: SequenceLayout,
    config: WanConfig = WAN21_1_3B,
    element_bytes: int = 2,
    batch: int = 1,
    budget_bytes: int = 0,
    free_bytes: int | None = None,
    passes: int = GUIDANCE_PASSES,
) -> ForwardPlan:
    """The fastest way that fits; the smallest if none does.

    A budget is shared with the weights: of them only a few layers must be there, and fewer chunks are worth more than
    more layers, since each chunk asks for all layers again.

    Args:
        layout: the sequence.
        config: the model's sizes.
        element_bytes: of the dtype that is computed in.
        batch: videos at once.
        budget_bytes: for weights and activations together; 0 for none.
        free_bytes: what is free for activations now; None if nobody knows.
        passes: of guidance, which could run together.
    """
    def peak(tokens: int, together: int) -> int:
        return peak_bytes(layout, config, element_bytes, batch, Chunks(tokens), together=together)

    room = math.inf if free_bytes is None else free_bytes
    if budget_bytes:
        room = min(room, budget_bytes - streaming_bytes(config, element_bytes))
    choices = _chunk_choices(layout)
    smallest = min(choices, key=lambda tokens: peak(tokens, 1))
    tokens = next((tokens for tokens in choices if peak(tokens, 1) <= room), smallest)
    sequential = budget_bytes > 0 or peak(tokens, passes) > room
    return ForwardPlan(tokens, sequential, peak(tokens, 1 if sequential else passes))


def least_budget(
    layout: SequenceLayout, config: WanConfig = WAN21_1_3B, element_bytes: int = 2, batch: int = 1
) -> int:
    """The smallest budget in bytes that ``plan_forward`` can keep to."""
    smallest = plan_forward(layout, config, element_bytes, batch, budget_bytes=1)
    return smallest.activation_bytes + streaming_bytes(config, element_bytes)


def streaming_bytes(config: WanConfig = WAN21_1_3B, element_bytes: int = 2) -> int:
    """Memory for weights if all of them stay off the card and are loaded as they are needed."""
    largest = max(config.dim * config.ffn_dim, config.text_dim * config.dim, 6 * config.dim**2)
    return _LAYERS_UNDERWAY * largest * element_bytes


def _chunk_choices(layout: SequenceLayout) -> tuple[int, ...]:
    """From the fastest to the smallest."""
    first = CHUNK_TOKENS if layout.tokens > 2 * CHUNK_TOKENS else 0
    return first, *(tokens for tokens in (CHUNK_TOKENS, *SMALLER_CHUNKS) if tokens < (first or layout.tokens))
