"""The relational forward (paper section 3).

It touches only what every Wan2.1-shaped module has under the names of its checkpoint: patch, text and time embeddings,
``blocks[i].{norm1, self_attn, norm3, cross_attn, norm2, ffn, modulation}`` and ``head``. What the linear layers are
made of is theirs to know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ..attention import (
    DenseAttention,
    WordPull,
    relational_cross_attention,
    relational_self_attention,
    word_pulls,
)
from ..errors import LumosXError
from ..layout import LATENT_STRIDE, TEXT_LENGTH, Binding, SequenceLayout
from .rotary import apply_rotary, rotary_table


@dataclass(frozen=True)
class RelationalOptions:
    """The scientific constants, at the values that the release samples with.

    Attributes:
        ratio: MCAM's strength.
        pool: side of the query cells that share one MCAM bias, in tokens.
        r2pe: relational positions; off, references are placed like further frames.
        csam: relational self-attention; off, everything attends to everything.
        float32_residual: keep the residual stream in float32 whatever the weights are.
    """

    ratio: float = 0.5
    pool: int = 8
    r2pe: bool = True
    csam: bool = True
    float32_residual: bool = True


@dataclass(frozen=True)
class _Run:
    """What all blocks of one forward share."""

    layout: SequenceLayout
    options: RelationalOptions
    dense: DenseAttention
    table: torch.Tensor
    pulls: tuple[WordPull, ...]
    context: torch.Tensor
    modulation: torch.Tensor
    dtype: torch.dtype


BlockRunner = Callable[[int, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor]
"""``run_block(index, x, original)``: the residual stream after a block, or after what was put in its place."""


def _run_plainly(index: int, x: torch.Tensor, original: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    return original(x)


def relational_forward(
    model: nn.Module,
    latent: torch.Tensor,
    timestep: torch.Tensor,
    context: torch.Tensor,
    references: list[torch.Tensor],
    binding: Binding,
    dense: DenseAttention,
    options: RelationalOptions = RelationalOptions(),
    run_block: BlockRunner = _run_plainly,
) -> torch.Tensor:
    """The velocity of a video under its references.

    Args:
        model: a Wan2.1-T2V-shaped module.
        latent: noisy video [batch, 16, frames, height, width], in the dtype to compute in.
        timestep: [batch], in [0, 1000].
        context: text encoder output [batch, tokens, text_dim]; padded with zeros to 512 tokens.
        references: normalised latents in token order, each [batch, 16, 1, height, width].
        binding: which words each reference is bound to.
        dense: mask-free attention backend.
        options: scientific constants.
        run_block: runs each block, or what replaces it.

    Returns:
        Velocity, same shape and dtype as ``latent``.

    Raises:
        LumosXError: references of another size than the video.
    """
    _check_size(latent, references)
    frames, height, width = latent.shape[2:]
    tokens, grid = _patchify(model, latent, references)
    layout = SequenceLayout(grid[0] - len(references), grid[1], grid[2], binding)
    embedded_time = _embed_time(model, timestep, latent.dtype)
    context = F.pad(context, (0, 0, 0, max(0, TEXT_LENGTH - context.shape[1])))
    heads = model.num_heads
    run = _Run(
        layout=layout,
        options=options,
        dense=dense,
        table=rotary_table(layout.positions(options.r2pe), tokens.shape[-1] // heads, latent.device),
        pulls=word_pulls(layout, context.shape[1], latent.device, options.ratio, options.pool),
        context=model.text_embedding(context.to(latent.dtype)),
        modulation=model.time_projection(embedded_time).unflatten(1, (6, -1)),
        dtype=latent.dtype,
    )
    x = tokens.float() if options.float32_residual else tokens
    for index, block in enumerate(model.blocks):
        x = run_block(index, x, partial(_block, block, run))
    video = _head(model.head, x[:, :layout.video_tokens], embedded_time, run.dtype)
    return _unpatchify(video, layout, model.patch_size)[:, :, :frames, :height, :width]


def _check_size(latent: torch.Tensor, references: list[torch.Tensor]) -> None:
    height, width = (side * LATENT_STRIDE for side in latent.shape[3:])
    other_height, other_width = (side * LATENT_STRIDE for side in references[0].shape[3:])
    if (height, width) != (other_height, other_width):
        raise LumosXError(
            f"latent: the video is {width}x{height} pixels but the references were encoded for "
            f"{other_width}x{other_height}; link the latent output of LumosX Relational Encode, or encode for that."
        )


def _patchify(
    model: nn.Module, latent: torch.Tensor, references: list[torch.Tensor]
) -> tuple[torch.Tensor, tuple[int, int, int]]:
    """Video and references as [batch, tokens, dim] and their common grid (frames + references, height, width)."""
    sequence = torch.cat([latent, *(reference.to(latent) for reference in references)], dim=2)
    _, rows, columns = model.patch_size
    padded = F.pad(sequence, (0, -sequence.shape[4] % columns, 0, -sequence.shape[3] % rows))
    patches = model.patch_embedding(padded.float()).to(latent.dtype)
    return patches.flatten(2).transpose(1, 2), tuple(patches.shape[2:])


def _unpatchify(patches: torch.Tensor, layout: SequenceLayout, patch_size: tuple[int, int, int]) -> torch.Tensor:
    grid = (layout.frames, layout.height, layout.width)
    x = patches.unflatten(2, (*patch_size, -1)).unflatten(1, grid)
    # [batch, T, H, W, pt, ph, pw, channel] to [batch, channel, T, pt, H, ph, W, pw]
    x = x.permute(0, 7, 1, 4, 2, 5, 3, 6)
    return x.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _embed_time(model: nn.Module, timestep: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[batch, dim]."""
    half = model.freq_dim // 2
    # Angles reach 1000, where float32 has lost four digits of their sine; not every device has float64.
    angles = timestep.flatten().cpu().double()[:, None] * 10000.0 ** -(torch.arange(half, dtype=torch.float64) / half)
    return model.time_embedding(torch.cat([angles.cos(), angles.sin()], dim=1).to(timestep.device, dtype))


def _block(block: nn.Module, run: _Run, x: torch.Tensor) -> torch.Tensor:
    """One transformer block on the residual stream x [batch, tokens, dim]."""
    parts = (block.modulation.to(device=x.device, dtype=x.dtype) + run.modulation.to(x.dtype)).chunk(6, dim=1)
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = parts
    mixed = _self_attention(block.self_attn, _modulate(block.norm1(x), shift, scale, run.dtype), run)
    x = torch.addcmul(x, mixed.to(x.dtype), gate)
    x = x + _cross_attention(block.cross_attn, block.norm3(x.to(run.dtype)), run)
    fed = block.ffn(_modulate(block.norm2(x), ffn_shift, ffn_scale, run.dtype))
    return torch.addcmul(x, fed.to(x.dtype), ffn_gate)


def _modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.addcmul(shift, x, 1 + scale).to(dtype)


def _self_attention(attention: nn.Module, x: torch.Tensor, run: _Run) -> torch.Tensor:
    heads = attention.num_heads
    q = apply_rotary(attention.norm_q(attention.q(x)), heads, run.table)
    k = apply_rotary(attention.norm_k(attention.k(x)), heads, run.table)
    v = attention.v(x)
    if run.options.csam:
        mixed = relational_self_attention(q, k, v, heads, run.layout, run.dense)
    else:
        mixed = run.dense(q, k, v, heads)
    return attention.o(mixed)


def _cross_attention(attention: nn.Module, x: torch.Tensor, run: _Run) -> torch.Tensor:
    q = attention.norm_q(attention.q(x))
    k = attention.norm_k(attention.k(run.context))
    v = attention.v(run.context)
    mixed = relational_cross_attention(q, k, v, attention.num_heads, run.layout, run.pulls, run.dense)
    return attention.o(mixed)


def _head(head: nn.Module, x: torch.Tensor, embedded_time: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    modulation = head.modulation.to(device=x.device, dtype=x.dtype) + embedded_time.to(x.dtype).unsqueeze(1)
    shift, scale = modulation.chunk(2, dim=1)
    return head.head(_modulate(head.norm(x), shift, scale, dtype))
