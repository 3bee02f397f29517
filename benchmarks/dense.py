"""Baseline (b): ComfyUI's own Wan forward over the same tokens, everything attending to everything.

The references join the video as WanPhantomSubjectToVideo adds its own: as further frames. It cannot relate anything;
it says what the same tokens cost without relations.
"""

from __future__ import annotations

import torch


def dense_forward(
    model: torch.nn.Module,
    latent: torch.Tensor,
    timestep: torch.Tensor,
    context: torch.Tensor,
    references: list[torch.Tensor],
) -> torch.Tensor:
    """The velocity of ComfyUI's WanModel, all attention through PyTorch's; arguments as of ``release_forward``."""
    frames = torch.cat(references, dim=2) if references else None
    options = {"optimized_attention_override": _override}
    return model(latent, timestep, context=context, time_dim_concat=frames, transformer_options=options)


def pytorch_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """The attention of ours and of baseline (b): ComfyUI's call of PyTorch's, on [batch, tokens, heads * head_dim]."""
    from comfy.ldm.modules.attention import attention_pytorch

    return attention_pytorch(q, k, v, heads)


def _override(chosen, *arguments, **options):
    from comfy.ldm.modules.attention import attention_pytorch

    return attention_pytorch(*arguments, **options)
