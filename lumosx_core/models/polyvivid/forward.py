"""A HunyuanVideo forward with the adapter: what is computed once a forward, and the whole over our own network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...errors import LumosXError
from ..attention import DenseAttention, dense_attention
from ..hunyuan.config import HUNYUAN_LATENT, HunyuanConfig
from ..hunyuan.layers import timestep_embedding
from ..hunyuan.module import HunyuanModule
from ..hunyuan.network import HunyuanNetwork, recomputed
from ..rotary import rotary_table
from .adapter import PolyVividAdapter
from .config import AdapterConfig, RunOptions
from .layer import LayerInputs, adapted_layer
from .positions import TextLayout, injection_ids, interaction_ids

DEFAULTS = RunOptions()


def subject_tokens(model: HunyuanModule, latents: Sequence[torch.Tensor], batch: int) -> torch.Tensor:
    """All subjects' tokens through the model's patch embedder, one subject behind the other.

    Args:
        model: ``HunyuanNetwork``, or ComfyUI's HunyuanVideo.
        latents: each [1 or batch, channels, 1, rows, columns], scaled as the video's latents are; one row serves all.

    Returns:
        [batch, tokens, hidden].

    Raises:
        LumosXError: a latent does not divide into patches, or has more than one frame, or other rows than the batch.
    """
    _, *patch = model.params.patch_size
    for number, latent in enumerate(latents, start=1):
        if latent.ndim != 5 or latent.shape[0] not in (1, batch) or latent.shape[2] != 1:
            raise LumosXError(f"subject {number}: its latent is {list(latent.shape)}; it must be one picture.")
        if any(size % edge for size, edge in zip(latent.shape[3:], patch)):
            raise LumosXError(
                f"subject {number}: its picture's width and height must be multiples of {HUNYUAN_LATENT.token_pixels} "
                "pixels."
            )
    return torch.cat([model.img_in(latent).expand(batch, -1, -1) for latent in latents], dim=1)


def shared_of(
    config: AdapterConfig,
    base: HunyuanConfig,
    layout: TextLayout,
    latents: Sequence[torch.Tensor],
    x: torch.Tensor,
    vec_shift: torch.Tensor | None,
    options: RunOptions,
    attend: DenseAttention,
) -> LayerInputs:
    """What all layers of a forward share.

    Args:
        layout: of the text stream.
        latents: of the subjects.
        x: the video's latent [batch, channels, frames, rows, columns].
        vec_shift: see ``vec_shift_of``.
    """
    grids = tuple(base.latent.token_grid(latent.shape)[1:] for latent in latents)

    def tables(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        one, other = (rotary_table(ids, base.axes_dim, base.theta, x.device) for ids in (first, second))
        return one, other

    text_rotary, image_rotary = None, None
    if options.rotary:
        text_rotary, image_rotary = tables(*interaction_ids(layout, grids, options.fractional))
    inject_rotary = None
    if config.inject_rope != "none":
        inject_rotary = tables(*injection_ids(base.latent.token_grid(x.shape), grids, config.inject_rope))
    return LayerInputs(
        image_rotary, text_rotary, inject_rotary, vec_shift, options.strength, options.chunk_tokens, attend,
        options.interaction,
    )


def check_text(layout: TextLayout, text_tokens: int) -> None:
    """Refuse a text stream that is not what the layout describes.

    Raises:
        LumosXError: the numbers of tokens differ.
    """
    if layout.tokens != text_tokens:
        raise LumosXError(
            f"positive: the model gets {text_tokens} text tokens, but the PolyVivid encoder made {layout.tokens}; "
            "connect the encoder's output without nodes that add or cut conditioning in between."
        )


def working_layers(config: AdapterConfig, options: RunOptions) -> frozenset[int]:
    """The layers in which the adapter works.

    Raises:
        LumosXError: layers were chosen for which it has no weights.
    """
    layers = frozenset(config.layers)
    if options.layers is None:
        return layers
    if unknown := options.layers - layers:
        raise LumosXError(
            f"layers: the PolyVivid adapter has no weights for {sorted(unknown)}; choose from {list(config.layers)}."
        )
    return options.layers


def vec_shift_of(
    model: HunyuanModule, config: AdapterConfig, timesteps: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor | None:
    """What turns the video's modulation vector into that at timestep 0, [batch, hidden]; None where it stays.

    A difference, so that pooled text and guidance are what the model itself made of them.
    """
    if config.vec_mode == "video":
        return None
    zero, now = (model.time_in(timestep_embedding(t).to(dtype)) for t in (torch.zeros_like(timesteps), timesteps))
    return zero - now


def polyvivid_forward(
    network: HunyuanNetwork,
    adapter: PolyVividAdapter,
    x: torch.Tensor,
    timesteps: torch.Tensor,
    context: torch.Tensor,
    pooled: torch.Tensor,
    guidance: torch.Tensor | None,
    latents: Sequence[torch.Tensor],
    layout: TextLayout,
    options: RunOptions = DEFAULTS,
    attend: DenseAttention = dense_attention,
    recompute: bool = False,
) -> torch.Tensor:
    """The velocity of a latent video with subjects; without subjects that of the network itself.

    Args:
        x: [batch, channels, frames, rows, columns].
        timesteps, guidance: [batch] or [1].
        context: [batch, layout.tokens, context_in_dim].
        pooled: [batch, vec_in_dim].
        latents: a picture for each subject, see ``subject_tokens``.
        recompute: compute blocks again on the way back instead of keeping what is inside of them.

    Returns:
        [batch, channels, frames, rows, columns].

    Raises:
        LumosXError: adapter, layout and inputs do not fit together.
    """
    if not latents:
        return network(x, timesteps, context, pooled, guidance, attend)
    config = adapter.config
    config.check_fits(network.params)
    check_text(layout, context.shape[1])
    layers = working_layers(config, options)
    vec_shift = vec_shift_of(network, config, timesteps, x.dtype)
    shared = shared_of(config, network.params, layout, latents, x, vec_shift, options, attend)
    z_i = subject_tokens(network, latents, x.shape[0])

    def run_block(index, block, z, z_t, vec, rotary):
        nonlocal z_i
        if index not in layers:
            return block(z, z_t, vec, rotary, attend)
        z_i, z, z_t = recomputed(
            recompute, adapted_layer, adapter.layer(index), block, shared, z_i, z, z_t, vec,
            lambda z, z_t: block(z, z_t, vec, rotary, attend),
        )
        return z, z_t

    return network(x, timesteps, context, pooled, guidance, attend, run_block, recompute)
