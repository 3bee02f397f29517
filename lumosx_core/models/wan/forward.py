"""Wan2.1's forward under a method.

It touches only what every Wan2.1-shaped module has under the names of its checkpoint: patch, text and time embeddings,
``blocks[i].{norm1, self_attn, norm3, cross_attn, norm2, ffn, modulation}`` and ``head``. What the linear layers are
made of is theirs to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F

from ..latents import token_grid
from .block import BlockAttention, BlockInputs, Segment, wan_block
from .module import WanHead, WanModule

BlockRunner = Callable[[int, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]], torch.Tensor]
"""``run_block(index, x, original)``: the residual stream after a block, or after what was put in its place."""


class Method(Protocol):
    """How a method changes Wan: what follows the video in the sequence, its positions, and each block's attention.

    Attributes:
        extra_latents: latents behind the video's, each [batch, channels, frames, height, width] with the video's sides.
        parts: of the sequence; the first is the video.
        rotary: [tokens, head_dim / 2] complex64, see ``rotary_table``.
    """

    @property
    def extra_latents(self) -> Sequence[torch.Tensor]: ...

    @property
    def parts(self) -> tuple[Segment, ...]: ...

    @property
    def rotary(self) -> torch.Tensor: ...

    def attention(self, index: int) -> BlockAttention:
        """Of the block with this index."""


def run_plainly(index: int, x: torch.Tensor, original: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """The ``BlockRunner`` that runs every block unchanged."""
    return original(x)


def wan_forward(
    model: WanModule,
    latent: torch.Tensor,
    timestep: torch.Tensor,
    method: Method,
    run_block: BlockRunner = run_plainly,
    float32_residual: bool = True,
    chunk_tokens: int = 0,
) -> torch.Tensor:
    """The velocity of a video.

    Args:
        model: a Wan2.1-T2V-shaped module.
        latent: noisy video [batch, channels, frames, height, width], in the dtype to compute in.
        timestep: [batch], in [0, 1000].
        method: what is done to it.
        run_block: runs each block, or what replaces it; without gradients a block writes to the stream it is given.
        float32_residual: keep the residual stream in float32 whatever the weights are.
        chunk_tokens: tokens at a time through everything but self-attention; 0 is all of them. Saves memory.

    Returns:
        Velocity, same shape and dtype as ``latent``.
    """
    frames, height, width = latent.shape[2:]
    embedded_time = _embed_time(model, timestep, latent.dtype)
    modulation = model.time_projection(embedded_time).unflatten(1, (6, -1))
    inputs = BlockInputs(method.parts, method.rotary, modulation, latent.dtype, chunk_tokens)
    x = _patchify(model, latent, method.extra_latents)
    # Convolution leaves it channel by channel, while blocks go through it row by row.
    x = (x.float() if float32_residual else x).contiguous()
    last = len(model.blocks) - 1
    for index, block in enumerate(model.blocks):
        x = run_block(index, x, partial(wan_block, block, method.attention(index), inputs, index == last))
    # What was put in the last block's place may have kept all rows.
    video = _head(model.head, x[:, :method.parts[0].tokens], embedded_time, latent.dtype)
    grid = token_grid(latent.shape, model.patch_size)
    return _unpatchify(video, grid, model.patch_size)[:, :, :frames, :height, :width]


def _patchify(model: WanModule, latent: torch.Tensor, extra_latents: Sequence[torch.Tensor]) -> torch.Tensor:
    """The video and what follows it as [batch, tokens, dim]."""
    sequence = torch.cat([latent, *(one.to(latent) for one in extra_latents)], dim=2)
    _, rows, columns = model.patch_size
    padded = F.pad(sequence, (0, -sequence.shape[4] % columns, 0, -sequence.shape[3] % rows))
    return model.patch_embedding(padded.float()).to(latent.dtype).flatten(2).transpose(1, 2)


def _unpatchify(
    patches: torch.Tensor, grid: tuple[int, int, int], patch_size: tuple[int, int, int]
) -> torch.Tensor:
    """[batch, tokens, channels of a patch] to [batch, channels, frames, height, width]."""
    x = patches.unflatten(2, (*patch_size, -1)).unflatten(1, grid)
    # [batch, T, H, W, pt, ph, pw, channel] to [batch, channel, T, pt, H, ph, W, pw]
    x = x.permute(0, 7, 1, 4, 2, 5, 3, 6)
    return x.flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _embed_time(model: WanModule, timestep: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[batch, dim]."""
    half = model.freq_dim // 2
    # Angles reach 1000, where float32 has lost four digits of their sine; not every device has float64.
    angles = timestep.flatten().cpu().double()[:, None] * 10000.0 ** -(torch.arange(half, dtype=torch.float64) / half)
    return model.time_embedding(torch.cat([angles.cos(), angles.sin()], dim=1).to(timestep.device, dtype))


def _head(head: WanHead, x: torch.Tensor, embedded_time: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """x [batch, tokens, dim] to [batch, tokens, channels of a patch]; embedded_time is [batch, dim]."""
    modulation = head.modulation.to(device=x.device, dtype=x.dtype) + embedded_time.to(x.dtype).unsqueeze(1)
    shift, scale = modulation.chunk(2, dim=1)
    return head.head(torch.addcmul(shift, head.norm(x), 1 + scale).to(dtype))
