"""The relational forward (paper section 3).

It touches only what every Wan2.1-shaped module has under the names of its checkpoint: patch, text and time embeddings,
``blocks[i].{norm1, self_attn, norm3, cross_attn, norm2, ffn, modulation}`` and ``head``. What the linear layers are
made of is theirs to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ...errors import LumosXError
from ..attention import DenseAttention
from .block import Shared, relational_block
from .options import RELEASE, RelationalOptions
from .sequence import LATENT_STRIDE, Binding, SequenceLayout
from .tables import TableCache

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
    options: RelationalOptions = RELEASE,
    run_block: BlockRunner = _run_plainly,
    cache: TableCache | None = None,
    dense_text: bool = False,
    chunk_tokens: int = 0,
) -> torch.Tensor:
    """The velocity of a video under its references.

    Args:
        model: a Wan2.1-T2V-shaped module.
        latent: noisy video [batch, 16, frames, height, width], in the dtype to compute in.
        timestep: [batch], in [0, 1000].
        context: text encoder output [batch, tokens, text_dim]; padded with zeros to 512 tokens.
        references: normalised latents in token order, each [batch, 16, 1, height, width]; without any it is Wan2.1's
            own forward.
        binding: which words each reference is bound to.
        dense: mask-free attention backend.
        options: scientific constants.
        run_block: runs each block, or what replaces it; without gradients a block writes to the stream it is given.
        cache: the tables of this sampling run; without one they are made for this forward alone.
        dense_text: let ``dense`` do the video's cross-attention too, over all text keys one by one.
        chunk_tokens: tokens at a time through everything but self-attention; 0 is all of them. Saves memory.

    Returns:
        Velocity, same shape and dtype as ``latent``.

    Raises:
        LumosXError: an empty latent, or references of another size than the video or not as many as are bound.
    """
    _check_sizes(latent, references, binding)
    frames, height, width = latent.shape[2:]
    layout = layout_of(model, latent.shape, binding)
    embedded_time = _embed_time(model, timestep, latent.dtype)
    shared = Shared(
        tables=(cache or TableCache()).find(model, context.to(latent.dtype), layout, options, not dense_text),
        options=options,
        dense=dense,
        dense_text=dense_text,
        modulation=model.time_projection(embedded_time).unflatten(1, (6, -1)),
        dtype=latent.dtype,
        chunk_tokens=chunk_tokens,
    )
    x = _patchify(model, latent, references)
    # Convolution leaves it channel by channel, while blocks go through it row by row.
    x = (x.float() if options.float32_residual else x).contiguous()
    last = len(model.blocks) - 1
    for index, block in enumerate(model.blocks):
        x = run_block(index, x, partial(relational_block, block, index, shared, index == last))
    # What was put in the last block's place may have kept all rows.
    video = _head(model.head, x[:, :layout.video_tokens], embedded_time, shared.dtype)
    return _unpatchify(video, layout, model.patch_size)[:, :, :frames, :height, :width]


def layout_of(model: nn.Module, latent_shape: Sequence[int], binding: Binding) -> SequenceLayout:
    """The sequence that a latent of shape [batch, 16, frames, height, width] becomes."""
    return SequenceLayout(*(-(-side // patch) for side, patch in zip(latent_shape[2:], model.patch_size)), binding)


def _check_sizes(latent: torch.Tensor, references: Sequence[torch.Tensor], binding: Binding) -> None:
    if not latent.numel():
        raise LumosXError(
            f"latent: it is empty, its shape is {tuple(latent.shape)}; link the latent output of LumosX Relational "
            "Encode."
        )
    if len(references) != binding.references:
        raise LumosXError(
            f"positive: it holds {len(references)} reference pictures but binds {binding.references}; link the outputs "
            "of one LumosX Relational Encode."
        )
    height, width = (side * LATENT_STRIDE for side in latent.shape[3:])
    for reference in references:
        other_height, other_width = (side * LATENT_STRIDE for side in reference.shape[3:])
        if (height, width) != (other_height, other_width):
            raise LumosXError(
                f"latent: the video is {width}x{height} pixels but the references were encoded for "
                f"{other_width}x{other_height}; link the latent output of LumosX Relational Encode, or encode for that."
            )


def _patchify(model: nn.Module, latent: torch.Tensor, references: list[torch.Tensor]) -> torch.Tensor:
    """Video and references as [batch, tokens, dim]."""
    sequence = torch.cat([latent, *(reference.to(latent) for reference in references)], dim=2)
    _, rows, columns = model.patch_size
    padded = F.pad(sequence, (0, -sequence.shape[4] % columns, 0, -sequence.shape[3] % rows))
    return model.patch_embedding(padded.float()).to(latent.dtype).flatten(2).transpose(1, 2)


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


def _head(head: nn.Module, x: torch.Tensor, embedded_time: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    modulation = head.modulation.to(device=x.device, dtype=x.dtype) + embedded_time.to(x.dtype).unsqueeze(1)
    shift, scale = modulation.chunk(2, dim=1)
    return head.head(torch.addcmul(shift, head.norm(x), 1 + scale).to(dtype))
