"""The small layers of HunyuanVideo, under the names of its checkpoints in ComfyUI."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 1e-6
SINUSOIDS = 256
"""Numbers that a timestep or a guidance strength is turned into."""


def timestep_embedding(t: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
    """Sinusoids of a number a row, [rows] -> [rows, 256].

    They are float32 as in HunyuanVideo: at guidance 6 (factor 1000) float64 would differ by 5e-5.
    """
    half = SINUSOIDS // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = factor * t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class MLPEmbedder(nn.Module):
    """[rows, in_dim] -> [rows, hidden]."""

    def __init__(self, in_dim: int, hidden: int) -> None:
        super().__init__()
        self.in_layer = nn.Linear(in_dim, hidden)
        self.out_layer = nn.Linear(hidden, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out_layer(F.silu(self.in_layer(x)))


class RMSNorm(nn.Module):
    """Root mean square norm over the last dimension."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, x.shape[-1:], self.scale, EPSILON)


class QKNorm(nn.Module):
    """The norms of queries and keys, each over the channels of a head."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query_norm = RMSNorm(dim)
        self.key_norm = RMSNorm(dim)


class SelfAttention(nn.Module):
    """The layers around one stream's attention; the attention itself is the block's."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.norm = QKNorm(hidden // heads)
        self.proj = nn.Linear(hidden, hidden)


class ModulationOut(NamedTuple):
    """One set of modulations, each [batch, 1, hidden]."""

    shift: torch.Tensor
    scale: torch.Tensor
    gate: torch.Tensor


class Modulation(nn.Module):
    """Shift, scale and gate of attention and, in a double block, of the feed-forward, from vec [batch, hidden]."""

    def __init__(self, hidden: int, double: bool) -> None:
        super().__init__()
        self.sets = 2 if double else 1
        self.lin = nn.Linear(hidden, 3 * self.sets * hidden)

    def forward(self, vec: torch.Tensor) -> tuple[ModulationOut, ModulationOut | None]:
        parts = self.lin(F.silu(vec))[:, None].chunk(3 * self.sets, dim=-1)
        return ModulationOut(*parts[:3]), ModulationOut(*parts[3:]) if self.sets == 2 else None


class LastLayer(nn.Module):
    """[batch, tokens, hidden] -> the velocity of each token's patch, [batch, tokens, numbers of a patch]."""

    def __init__(self, hidden: int, patch_numbers: int) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(hidden, EPSILON, elementwise_affine=False)
        self.linear = nn.Linear(hidden, patch_numbers)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden, 2 * hidden))

    def forward(self, x: torch.Tensor, vec: torch.Tensor) -> torch.Tensor:
        shift, scale = self.adaLN_modulation(vec)[:, None].chunk(2, dim=-1)
        return self.linear(torch.addcmul(shift, self.norm_final(x), 1 + scale))


def feed_forward(hidden: int, inner: int, activation: nn.Module) -> nn.Sequential:
    """Two linear layers around an activation."""
    return nn.Sequential(nn.Linear(hidden, inner), activation, nn.Linear(inner, hidden))
