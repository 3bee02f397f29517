"""The token refiner: the text encoder's output on its way into the transformer, without a mask."""

from __future__ import annotations

import torch
from torch import nn

from ..attention import DenseAttention
from ..containers import ModuleList
from .layers import EPSILON, SINUSOIDS, MLPEmbedder, feed_forward, timestep_embedding

REFINER_BLOCKS = 2


class _Attention(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)


class RefinerBlock(nn.Module):
    """One block of the refiner."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))
        self.norm1 = nn.LayerNorm(hidden, EPSILON)
        self.self_attn = _Attention(hidden)
        self.norm2 = nn.LayerNorm(hidden, EPSILON)
        self.mlp = feed_forward(hidden, 4 * hidden, nn.SiLU())

    def forward(self, x: torch.Tensor, condition: torch.Tensor, attend: DenseAttention) -> torch.Tensor:
        """x [batch, tokens, hidden], condition [batch, hidden]."""
        gate1, gate2 = self.adaLN_modulation(condition)[:, None].chunk(2, dim=-1)
        q, k, v = self.self_attn.qkv(self.norm1(x)).chunk(3, dim=-1)
        x = torch.addcmul(x, self.self_attn.proj(attend(q, k, v, self.heads)), gate1)
        return torch.addcmul(x, self.mlp(self.norm2(x)), gate2)


class _Blocks(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.blocks = ModuleList(RefinerBlock(hidden, heads) for _ in range(REFINER_BLOCKS))


class TokenRefiner(nn.Module):
    """[batch, tokens, context_dim] -> [batch, tokens, hidden]."""

    def __init__(self, context_dim: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.input_embedder = nn.Linear(context_dim, hidden)
        self.t_embedder = MLPEmbedder(SINUSOIDS, hidden)
        self.c_embedder = MLPEmbedder(context_dim, hidden)
        self.individual_token_refiner = _Blocks(hidden, heads)

    def forward(self, context: torch.Tensor, timesteps: torch.Tensor, attend: DenseAttention) -> torch.Tensor:
        """Refine all tokens together; the mean of all of them and the timestep modulate every block."""
        condition = self.t_embedder(timestep_embedding(timesteps).to(context.dtype))
        condition = condition + self.c_embedder(context.float().mean(dim=1).to(context.dtype))
        x = self.input_embedder(context)
        for block in self.individual_token_refiner.blocks:
            x = block(x, condition, attend)
        return x
