"""One double block of the base model with the adapter around it (section 4.1 of the specification)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ..attention import DenseAttention
from .adapter import DoubleBlockAdapter

BaseBlock = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""``base(z, z_t)``: the unchanged block over video and text tokens, which may write to both."""


@dataclass(frozen=True)
class LayerInputs:
    """What all layers of one forward share.

    Attributes:
        image_rotary, text_rotary: rotations for the interaction, [tokens, head_dim / 2] complex64; None for none.
        inject_rotary: rotations of video and subject tokens for the injection; None for none.
        vec_shift: [batch, hidden], added to vec for subject tokens; None for nothing.
        strength: factor of the injection.
        chunk_tokens: video tokens that go through the injection at a time; 0 is all of them.
        attend: the attention backend.
        interaction: whether module A is run.
    """

    image_rotary: torch.Tensor | None
    text_rotary: torch.Tensor | None
    inject_rotary: tuple[torch.Tensor, torch.Tensor] | None
    vec_shift: torch.Tensor | None
    strength: float
    chunk_tokens: int
    attend: DenseAttention
    interaction: bool = True


def adapted_layer(
    layer: DoubleBlockAdapter,
    block: nn.Module,
    shared: LayerInputs,
    z_i: torch.Tensor,
    z: torch.Tensor,
    z_t: torch.Tensor,
    vec: torch.Tensor,
    base: BaseBlock,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Subject, video and text tokens after the layer.

    Args:
        layer: the adapter's modules for this block.
        block: the double block, ours or ComfyUI's; its live layers are called.
        z_i: [batch, subject tokens, hidden], from the layer before; not written to.
        z: [batch, video tokens, hidden]; not written to, except by ``base`` where the strength is 0.
        z_t: [batch, text tokens, hidden]; not written to.
        vec: [batch, hidden], of timestep, pooled text and guidance.
        base: the block itself, or what another method put in its place.

    Returns:
        z_i, z and z_t, as they came in.
    """
    image_vec = vec if shared.vec_shift is None else vec + shared.vec_shift
    if shared.interaction:
        z_i, z_t = layer.interact(
            block, z_i, z_t, image_vec, vec, shared.image_rotary, shared.text_rotary, shared.attend
        )
    if shared.strength:
        delta = layer.inject(
            block, z, z_i, vec, image_vec, shared.attend, shared.inject_rotary, shared.chunk_tokens
        )
        z = z + layer.inject.added(delta, shared.strength)
    z, z_t = base(z, z_t)
    return z_i, z, z_t
