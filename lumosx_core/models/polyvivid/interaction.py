"""Module A, text-image interaction: subject pictures and text attend to each other (paper 4.2, equation 2).

It is the layer's own double block with LoRAs beside its linear layers, run over subject tokens in place of the video's.
So norms, modulation, gates and residuals are the block's; equation 2 leaves them out. Attention is full, without a mask
between subjects, and all tokens are rotated by the ids of ``positions.interaction_ids``.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ..attention import DenseAttention
from ..containers import ModuleDict
from ..hunyuan.double_block import Layer, Projected, Stream, double_block
from .config import AdapterConfig
from .lora import Lora, MakeLinear, beside

STREAMS = ("img", "txt")


class Interaction(nn.Module):
    """The LoRAs of one layer's module A.

    Args:
        ranks: the rank of each LoRA, under its name in section 10's format (``img_attn.q``, ``txt_mlp.2`` …); LoRAs of
            the output projections (``img_attn.proj``) may be there or not.
    """

    def __init__(self, config: AdapterConfig, ranks: dict[str, int], linear: MakeLinear = nn.Linear) -> None:
        super().__init__()
        hidden, mlp = config.hidden_size, config.mlp_size
        sizes = {"q": (hidden, hidden), "k": (hidden, hidden), "v": (hidden, hidden), "proj": (hidden, hidden)}
        mlp_sizes = {"0": (hidden, mlp), "2": (mlp, hidden)}
        for stream in STREAMS:
            for group, parts in ((f"{stream}_attn", sizes), (f"{stream}_mlp", mlp_sizes)):
                self.add_module(group, ModuleDict({
                    part: Lora(*parts[part], ranks[f"{group}.{part}"], config.alpha, linear)
                    for part in parts if f"{group}.{part}" in ranks
                }))

    def forward(
        self,
        block: nn.Module,
        z_i: torch.Tensor,
        z_t: torch.Tensor,
        image_vec: torch.Tensor,
        text_vec: torch.Tensor,
        image_rotary: torch.Tensor | None,
        text_rotary: torch.Tensor | None,
        attend: DenseAttention,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Subject and text tokens after they have seen each other.

        Args:
            block: the layer's double block.
            z_i: [batch, subject tokens, hidden], which use the image stream's weights.
            z_t: [batch, text tokens, hidden].
            image_vec, text_vec: [batch, hidden], what modulates them.
            image_rotary, text_rotary: [tokens, head_dim / 2] complex64; None leaves the tokens unrotated.

        Returns:
            z_i and z_t, as they came in.
        """
        img, txt = (self.stream(block, name) for name in STREAMS)
        return double_block(img, txt, z_i, z_t, image_vec, text_vec, image_rotary, text_rotary, attend)

    def stream(self, block: nn.Module, name: str) -> Stream:
        """The block's stream ``img`` or ``txt`` with the LoRAs beside its layers."""
        base, attention, mlp = Stream.of(block, name), getattr(self, f"{name}_attn"), getattr(self, f"{name}_mlp")

        def qkv(x: torch.Tensor) -> Projected:
            q, k, v = base.qkv(x)
            return q + attention["q"](x), k + attention["k"](x), v + attention["v"](x)

        proj = beside(base.proj, getattr(attention, "proj", None))
        return replace(base, qkv=qkv, proj=proj, mlp=mlp_beside(base.mlp, mlp))


def mlp_beside(base: Layer, loras: ModuleDict[Lora]) -> Layer:
    """A feed-forward (linear, activation, linear) with LoRAs beside its linear layers."""
    if not isinstance(base, nn.Sequential):
        raise TypeError(f"{type(base).__name__} is not the feed-forward of a HunyuanVideo block")
    first, activation, second = base
    first, second = beside(first, loras["0"]), beside(second, loras["2"])
    return lambda x: second(activation(first(x)))
