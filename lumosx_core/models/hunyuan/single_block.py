"""One single-stream block: image and text tokens share weights; attention and feed-forward run side by side."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from ..attention import DenseAttention, dense_attention
from ..rotary import apply_rotary
from .double_block import modulate
from .layers import EPSILON, Modulation, QKNorm


class SingleStreamBlock(nn.Module):
    """The weights of a single-stream block, and what it computes."""

    def __init__(self, hidden: int, heads: int, mlp_size: int) -> None:
        super().__init__()
        self.hidden, self.heads = hidden, heads
        self.linear1 = nn.Linear(hidden, 3 * hidden + mlp_size)
        self.linear2 = nn.Linear(hidden + mlp_size, hidden)
        self.norm = QKNorm(hidden // heads)
        self.pre_norm = nn.LayerNorm(hidden, EPSILON, elementwise_affine=False)
        self.modulation = Modulation(hidden, double=False)

    def forward(
        self, x: torch.Tensor, vec: torch.Tensor, rotary: torch.Tensor, attend: DenseAttention = dense_attention
    ) -> torch.Tensor:
        """x [batch, image tokens, then text tokens, hidden]; ``rotary`` is of the image tokens, text is at 0."""
        mod, _ = self.modulation(vec)
        q, k, v, mlp = self.linear1(modulate(self.pre_norm(x), mod)).tensor_split(
            [self.hidden, 2 * self.hidden, 3 * self.hidden], dim=-1
        )
        q, k = (self._turn(part, norm, rotary) for part, norm in ((q, self.norm.query_norm), (k, self.norm.key_norm)))
        attended = attend(q, k, v, self.heads)
        output = self.linear2(torch.cat([attended, F.gelu(mlp, approximate="tanh")], dim=-1))
        return torch.addcmul(x, output, mod.gate)

    def _turn(self, x: torch.Tensor, norm: nn.Module, rotary: torch.Tensor) -> torch.Tensor:
        heads = norm(x.unflatten(-1, (self.heads, -1)))
        images = rotary.shape[0]
        return torch.cat([apply_rotary(heads[:, :images], rotary), heads[:, images:]], dim=1).flatten(2)
