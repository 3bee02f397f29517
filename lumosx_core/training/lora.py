"""Low-rank additions to a frozen network (Hu et al., "LoRA", 2021), in the format of ComfyUI's LoRA loader."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..models.wan.network import Network

ATTENTION = tuple(f"{attention}.{part}" for attention in ("self_attn", "cross_attn") for part in "qkvo")
LAYERS = {"attention": ATTENTION, "all": (*ATTENTION, "ffn.0", "ffn.2")}
"""Which layers of every block get a pair, by the name of the choice."""
_PREFIX = "diffusion_model."


class LoraLinear(nn.Module):
    """A linear layer and what is learned beside it: base(x) + alpha / rank * B(A(x)).

    B is zero at first, so nothing changes until it is trained.

    Args:
        base: stays as it is.
        rank: numbers between A and B.
        alpha: strength; as large as the rank, the pair counts once.
        generator: draws A, on the CPU.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator):
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.lora_A = _matrix(base, base.in_features, rank)
        self.lora_B = _matrix(base, rank, base.out_features)
        bound = base.in_features ** -0.5
        drawn = torch.rand(rank, base.in_features, generator=generator) * 2 - 1
        with torch.no_grad():
            self.lora_A.weight.copy_(bound * drawn)
            self.lora_B.weight.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.scale * self.lora_B(self.lora_A(x))


def _matrix(like: nn.Linear, inputs: int, outputs: int) -> nn.Linear:
    # Without torch's own first draw, which would use up everybody's random numbers.
    layer = nn.Linear(inputs, outputs, bias=False, device="meta", dtype=like.weight.dtype)
    return layer.to_empty(device=like.weight.device)


def add_lora(network: Network, rank: int, alpha: float, layers: str, seed: int) -> None:
    """Freeze a network and put a pair beside its layers, in place.

    Args:
        network: a Wan2.1-T2V-shaped module of plain linear layers.
        rank, alpha: of every pair.
        layers: a key of ``LAYERS``.
        seed: of the first weights.
    """
    network.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for block in network.blocks:
        for name in LAYERS[layers]:
            parent, _, child = name.rpartition(".")
            holder = block.get_submodule(parent)
            setattr(holder, child, LoraLinear(getattr(holder, child), rank, alpha, generator))


def lora_file(weights: Mapping[str, torch.Tensor], rank: int, alpha: float) -> dict[str, torch.Tensor]:
    """What a LoRA file holds.

    Args:
        weights: the pairs under their names in the network, such as ``blocks.0.self_attn.q.lora_A.weight``.
        rank, alpha: of every pair; without an alpha in the file, loaders take the rank for it.
    """
    held = {f"{_PREFIX}{name}": weight.cpu().contiguous() for name, weight in weights.items()}
    if alpha != rank:
        layers = {name.rpartition(".lora_")[0] for name in held}
        held.update({f"{layer}.alpha": torch.tensor(float(alpha)) for layer in sorted(layers)})
    return held
