"""The relational forward (paper section 3): Wan's forward under the relational method."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from ...errors import LumosXError
from ..attention import DenseAttention
from ..latents import token_grid
from ..wan.config import WAN21_LATENT
from ..wan.forward import BlockRunner, run_plainly, wan_forward
from ..wan.module import WanModule
from .method import RelationalMethod
from .negative import NegativeKeys, NegativeText
from .options import RELEASE_OPTIONS, RelationalOptions
from .sequence import Binding, SequenceLayout
from .tables import TableCache


def relational_forward(
    model: WanModule,
    latent: torch.Tensor,
    timestep: torch.Tensor,
    context: torch.Tensor,
    references: list[torch.Tensor],
    binding: Binding,
    dense: DenseAttention,
    options: RelationalOptions = RELEASE_OPTIONS,
    run_block: BlockRunner = run_plainly,
    cache: TableCache | None = None,
    dense_text: bool = False,
    chunk_tokens: int = 0,
    negative: NegativeText | None = None,
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
        negative: a text that the video's cross-attention is guided away from; untrained.

    Returns:
        Velocity, same shape and dtype as ``latent``.

    Raises:
        LumosXError: an empty latent, or references of another size than the video or not as many as are bound.
    """
    _check_sizes(latent, references, binding)
    layout = sequence_layout(model, latent.shape, binding)
    find = partial((cache or TableCache()).find, model, layout=layout, options=options, merge_pads=not dense_text)
    tables, away = find(context.to(latent.dtype)), None
    if negative is not None and negative.guidance.acts:
        text = negative.context.to(latent).expand(context.shape[0], -1, -1)
        away = NegativeKeys(find(text).texts, negative.guidance)
    method = RelationalMethod(tables, references, dense, options.csam, dense_text, away)
    return wan_forward(model, latent, timestep, method, run_block, options.float32_residual, chunk_tokens)


def sequence_layout(model: WanModule, latent_shape: Sequence[int], binding: Binding) -> SequenceLayout:
    """The sequence that a latent of shape [batch, 16, frames, height, width] becomes."""
    return SequenceLayout(*token_grid(latent_shape, model.patch_size), binding)


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
    width, height = WAN21_LATENT.pixels(latent.shape)
    for reference in references:
        other_width, other_height = WAN21_LATENT.pixels(reference.shape)
        if (height, width) != (other_height, other_width):
            raise LumosXError(
                f"latent: the video is {width}x{height} pixels but the references were encoded for "
                f"{other_width}x{other_height}; link the latent output of LumosX Relational Encode, or encode for that."
            )
