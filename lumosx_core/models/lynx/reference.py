"""The reference pass: one forward of the transformer over a still face gives every block's features (spec section 1.5).

It is the transformer as it is: timestep 0, no noise, no adapter of any kind. It touches only what every Wan transformer
has under the names of its checkpoint, so VACE and other variants pass too; their own inputs have no part in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from einops import rearrange

from ..attention import DenseAttention
from ..wan.module import WanBlock, WanModule
from .attention import Rotation, cross_attention, self_attention

PROMPT = "image of a face"
"""What the text of the reference pass says."""


def reference_features(
    model: WanModule, latent: torch.Tensor, text: torch.Tensor, rotate: Rotation, dense: DenseAttention
) -> Iterator[torch.Tensor]:
    """What each block's self-attention is given, block by block; what follows the last one is not computed.

    Args:
        model: a Wan transformer, on one device.
        latent: normalised latents of the reference crops, [pictures, 16, 1, height, width], in the dtype to compute
            in. Transformers that take more channels (I2V) get zeros for them.
        text: the encoder's output for ``PROMPT``, [1 or pictures, tokens, text width], with the zero rows that pad it.
        rotate: positions of this grid, from 0 on.
        dense: the attention backend.

    Yields:
        [pictures, tokens, width] for each block.
    """
    dtype = latent.dtype
    x = _embed_patches(model, latent)
    context = model.text_embedding(text.to(latent)).expand(len(latent), -1, -1)
    modulation = model.time_projection(model.time_embedding(_embedded_zero(model, latent))).unflatten(1, (6, -1))
    last = len(model.blocks) - 1
    for index, block in enumerate(model.blocks):
        # Blocks that another node compiled hold the plain one inside.
        block = getattr(block, "_orig_mod", block)
        shift, scale, gate, *of_ffn = (block.modulation.to(x) + modulation).chunk(6, dim=1)
        features = torch.addcmul(shift, block.norm1(x), 1 + scale).to(dtype)
        yield features
        if index < last:
            x = torch.addcmul(x, self_attention(block.self_attn, features, rotate, dense), gate)
            x = _finish(block, x, context, of_ffn, dense)


def _finish(
    block: WanBlock, x: torch.Tensor, context: torch.Tensor, of_ffn: list[torch.Tensor], dense: DenseAttention
) -> torch.Tensor:
    """The residual stream after a block's cross-attention and feed-forward."""
    shift, scale, gate = of_ffn
    x = x + cross_attention(block.cross_attn, block.norm3(x), context, dense)
    return torch.addcmul(x, block.ffn(torch.addcmul(shift, block.norm2(x), 1 + scale)), gate)


def _embed_patches(model: WanModule, latent: torch.Tensor) -> torch.Tensor:
    """[pictures, tokens, width]."""
    _, rows, columns = model.patch_size
    embedding = model.patch_embedding
    # Circular, as the host pads sides that are odd.
    sides = (0, -latent.shape[4] % columns, 0, -latent.shape[3] % rows, 0, 0)
    padded = F.pad(F.pad(latent.float(), sides, mode="circular"), (0,) * 7 + (embedding.in_channels - latent.shape[1],))
    tokens = embedding(padded).to(latent.dtype)
    return rearrange(tokens, "pictures width t h w -> pictures (t h w) width")


def _embedded_zero(model: WanModule, latent: torch.Tensor) -> torch.Tensor:
    """The sinusoids of timestep 0, [1, freq_dim]: cosines first."""
    half = model.freq_dim // 2
    return torch.cat([latent.new_ones(1, half), latent.new_zeros(1, half)], dim=1)
