"""A Wan2.1-T2V transformer in plain PyTorch, to be trained: the names and shapes of its checkpoints, nothing else.

It has no forward of its own. Training runs ``relational_forward`` over it, as sampling does over ComfyUI's module.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ..containers import ModuleList
from .config import WanConfig
from .rotary import THETA, rotary_axes

FIRST_GATE = 0.5
_SHARPNESS, _WORD_SHARPNESS = 1.5, 2.0
"""First scale of normalised queries and keys. MCAM pulls by what queries and words have in common already, so among
words it decides how soon anything binds."""
_PLACED_BLOCKS = 2
_TIME_PAIR, _AHEAD, _TIME_PULL = 4, 6.0, 1.5
_PLACE_PAIRS, _PLACE_CONTENT, _PLACE_SHARPNESS = 4, 0.3, 1.7
"""Rotary pairs of an axis, what is left of content beside place, and the scale of normalised queries and keys; before
them the pair of the time axis, the frames it looks ahead, and its strength beside one of place."""
_EPSILON = 1e-6


class Network(nn.Module):
    """The module whose state dict is a Wan checkpoint."""

    def __init__(self, config: WanConfig):
        super().__init__()
        dim = config.dim
        self.num_heads, self.freq_dim, self.patch_size = config.num_heads, config.freq_dim, config.patch_size
        self.patch_embedding = nn.Conv3d(config.in_dim, dim, self.patch_size, self.patch_size)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text_dim, dim), nn.GELU(approximate="tanh"), nn.Linear(dim, dim)
        )
        self.time_embedding = nn.Sequential(nn.Linear(config.freq_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))
        self.blocks = ModuleList(_Block(dim, config.ffn_dim, config.num_heads) for _ in range(config.num_layers))
        self.head = _Head(dim, config.out_dim * math.prod(self.patch_size))


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.num_heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = (nn.RMSNorm(dim, eps=_EPSILON) for _ in range(2))


class _Block(nn.Module):
    def __init__(self, dim: int, ffn_dim: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(dim, eps=_EPSILON, elementwise_affine=False) for _ in range(2))
        self.norm3 = nn.LayerNorm(dim, eps=_EPSILON)
        self.self_attn, self.cross_attn = _Attention(dim, heads), _Attention(dim, heads)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.GELU(approximate="tanh"), nn.Linear(ffn_dim, dim))
        self.modulation = nn.Parameter(torch.zeros(1, 6, dim))


class _Head(nn.Module):
    def __init__(self, dim: int, patch_numbers: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=_EPSILON, elementwise_affine=False)
        self.head = nn.Linear(dim, patch_numbers)
        self.modulation = nn.Parameter(torch.zeros(1, 2, dim))


def initialise(network: Network, seed: int) -> None:
    """Draw the weights to train from (Peebles and Xie, "DiT", 2023, section 3.2, adaLN-Zero).

    The timestep modulates nothing, and head and text say nothing at first: words that mean nothing yet would only
    disturb, and the quickest way to be rid of them is to look at the pads behind the text for good. Two things save a
    small network most of its training: gates start half open instead of shut, and one head of the first blocks'
    self-attention starts by looking at its own place, in all frames and references. Rotary positions are relative;
    without it every token must first find out where it is.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1 and "modulation" not in name:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5, generator=generator)
        elif not name.endswith("weight"):
            parameter.data.zero_()
    for block in network.blocks:
        block.modulation.data[:, [2, 5]] = FIRST_GATE
        for norm in (block.self_attn.norm_q, block.self_attn.norm_k):
            norm.weight.data.fill_(_SHARPNESS)
        for norm in (block.cross_attn.norm_q, block.cross_attn.norm_k):
            norm.weight.data.fill_(_WORD_SHARPNESS)
        block.cross_attn.o.weight.data.zero_()
    for block in network.blocks[:_PLACED_BLOCKS]:
        _look_at_own_place(block.self_attn)
    for name in ("time_projection.1.weight", "head.head.weight"):
        network.get_parameter(name).data.zero_()


def _look_at_own_place(attention: _Attention) -> None:
    """Let the first head's constant query and key agree most at equal y and x, some frames ahead."""
    head_dim = attention.q.out_features // attention.num_heads
    time, rows, _ = rotary_axes(head_dim)
    pattern = torch.zeros(head_dim)
    for start in (time, time + rows):
        # The real parts of the fastest rotary pairs of an axis; together they single out one place.
        pattern[start:start + 2 * _PLACE_PAIRS:2] = 1.0
    query, key = pattern.clone(), pattern
    # One slow pair of the time axis, turned: it agrees most with what lies some frames ahead, as references do.
    phase = _AHEAD * THETA ** (-2 * _TIME_PAIR / time)
    query[2 * _TIME_PAIR:2 * _TIME_PAIR + 2] = _TIME_PULL * torch.tensor([math.cos(phase), math.sin(phase)])
    key[2 * _TIME_PAIR] = _TIME_PULL
    for layer, norm, constant in ((attention.q, attention.norm_q, query), (attention.k, attention.norm_k, key)):
        layer.weight.data[:head_dim] *= _PLACE_CONTENT
        layer.bias.data[:head_dim] = constant / constant.square().mean().sqrt()
        norm.weight.data[:head_dim] = _PLACE_SHARPNESS
