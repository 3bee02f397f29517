"""The rectified-flow loss over the relational forward (Lipman et al., "Flow Matching", 2023; Liu et al., 2023)."""

from __future__ import annotations

import torch

from ..models import attention
from ..models.lumosx import RelationalOptions, relational_forward
from ..models.lumosx.options import RELEASE_OPTIONS
from ..models.lumosx.sequence import Binding
from ..models.wan.forward import BlockRunner, run_plainly
from ..models.wan.module import WanModule
from ..sampling.solvers import TRAINING_TIMESTEPS


def draw_sigmas(count: int, shift: float, generator: torch.Generator) -> torch.Tensor:
    """Noise levels [count] in (0, 1): logistic-normal, moved towards noise as the sampler's schedule is.

    (Esser et al., "Scaling Rectified Flow Transformers", 2024, sections 3.1 and 5.3.2.)
    """
    even = torch.randn(count, generator=generator).sigmoid()
    return shift * even / (1 + (shift - 1) * even)


def velocity_loss(
    network: WanModule,
    latent: torch.Tensor,
    references: list[torch.Tensor],
    context: torch.Tensor,
    binding: Binding,
    sigmas: torch.Tensor,
    noise: torch.Tensor,
    dtype: torch.dtype,
    options: RelationalOptions = RELEASE_OPTIONS,
    run_block: BlockRunner = run_plainly,
) -> torch.Tensor:
    """Mean squared error of the velocity, noise - latent, at x = (1 - sigma) * latent + sigma * noise.

    Args:
        network: a Wan2.1-T2V-shaped module.
        latent: [batch, 16, frames, height, width].
        references: in token order; they are never noised.
        context: text encoder output [batch, tokens, text_dim].
        binding: which words each reference is bound to.
        sigmas: [batch].
        noise: standard normal, shape of ``latent``.
        dtype: to compute in.
        options: scientific constants.
        run_block: as for ``relational_forward``.
    """
    sigma = sigmas.view(-1, 1, 1, 1, 1)
    noisy = (1 - sigma) * latent + sigma * noise
    velocity = relational_forward(
        network, noisy.to(dtype), sigmas * TRAINING_TIMESTEPS, context.to(dtype),
        [reference.to(dtype) for reference in references], binding, training_attention, options, run_block,
    )
    return (velocity.float() - (noise - latent)).square().mean()


def training_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int) -> torch.Tensor:
    """Plain attention of [batch, tokens, heads * head_dim].

    Written out, since PyTorch's fused kernels take a third longer on a CPU to go back through so few tokens.
    """
    if q.device.type != "cpu":
        return attention.dense_attention(q, k, v, heads)
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)
