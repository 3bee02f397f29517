"""LoRA as a side branch: the base model's layer stays as it is, whatever it is made of.

The live layer is called, so user LoRAs, quantised weights and offloading act inside it as they do without an adapter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

MakeLinear = Callable[..., nn.Linear]
"""``torch.nn.Linear``, or a host's class with the same arguments."""


class Lora(nn.Module):
    """The product of two thin matrices, [batch, tokens, inputs] -> [batch, tokens, outputs]; it starts as zero.

    Args:
        alpha: the product is scaled by alpha / rank; None scales by 1.
        linear: what makes its two layers.
    """

    def __init__(
        self, inputs: int, outputs: int, rank: int, alpha: float | None, linear: MakeLinear = nn.Linear
    ) -> None:
        super().__init__()
        self.lora_down = linear(inputs, rank, bias=False)
        self.lora_up = linear(rank, outputs, bias=False)
        self.scale = 1.0 if alpha is None else alpha / rank
        nn.init.zeros_(self.lora_up.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lora_up(self.lora_down(x)) * self.scale


def beside(layer: Callable[[torch.Tensor], torch.Tensor], lora: Lora | None) -> Callable[[torch.Tensor], torch.Tensor]:
    """A layer with a LoRA beside it; the layer alone where there is none."""
    if lora is None:
        return layer
    return lambda x: layer(x) + lora(x)


def queries_of(qkv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The queries [batch, tokens, hidden] of a fused query-key-value layer.

    A plain layer of PyTorch computes only them; any other is called whole, since only its own forward knows how its
    weight is stored and what was added to it.
    """
    if type(qkv) is nn.Linear and not qkv._forward_hooks and not qkv._forward_pre_hooks:
        hidden = qkv.out_features // 3
        return F.linear(x, qkv.weight[:hidden], None if qkv.bias is None else qkv.bias[:hidden])
    return qkv(x).chunk(3, dim=-1)[0]
