"""What PolyVivid is compared with: subjects' tokens next to the video's in every block, as in HunyuanCustom."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..attention import DenseAttention, dense_attention
from ..hunyuan.network import HunyuanNetwork
from .forward import subject_tokens
from .positions import injection_ids


def concatenated_forward(
    network: HunyuanNetwork, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor,
    guidance: torch.Tensor | None, latents: Sequence[torch.Tensor], attend: DenseAttention = dense_attention,
) -> torch.Tensor:
    """The velocity of a latent video; the k-th subject is to its right at time -k.

    Args:
        latents: a picture for each subject, see ``subject_tokens``.

    The other arguments and the result are those of ``HunyuanNetwork.forward``.
    """
    spec = network.params.latent
    grids = tuple(spec.token_grid(latent.shape)[1:] for latent in latents)
    _, ids = injection_ids(spec.token_grid(x.shape), grids, "full")
    beside = subject_tokens(network, latents, x.shape[0]), ids
    return network(x, timesteps, context, pooled, guidance, attend, beside=beside)
