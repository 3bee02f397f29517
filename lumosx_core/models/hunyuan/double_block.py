"""One double-stream block: image and text tokens, each with weights of its own, attend to each other.

``double_block`` computes it from two ``Stream``s, which name what a stream's layers do. A method that changes layers of
a block (a LoRA beside them, for example) replaces them in a Stream and leaves the computation as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ..attention import DenseAttention, dense_attention
from ..rotary import apply_rotary
from .layers import EPSILON, Modulation, ModulationOut, SelfAttention, feed_forward

Layer = Callable[[torch.Tensor], torch.Tensor]
"""[batch, tokens, width] -> [batch, tokens, another width]."""
Projected = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries, keys and values, [batch, tokens, hidden] each."""


@dataclass(frozen=True)
class Stream:
    """What one stream's layers do in a block.

    Attributes:
        heads: heads of the attention.
        modulation: vec [batch, hidden] -> the modulations of attention and feed-forward.
        norm1, norm2: LayerNorm before attention and before feed-forward.
        qkv: [batch, tokens, hidden] -> queries, keys and values.
        query_norm, key_norm: norms over the channels of a head.
        proj: the attention's output projection.
        mlp: the feed-forward.
    """

    heads: int
    modulation: Callable[[torch.Tensor], tuple[ModulationOut, ModulationOut]]
    norm1: Layer
    qkv: Callable[[torch.Tensor], Projected]
    query_norm: Layer
    key_norm: Layer
    proj: Layer
    norm2: Layer
    mlp: Layer

    @classmethod
    def of(cls, block: nn.Module, name: str) -> Stream:
        """The stream ``img`` or ``txt`` of a double block: ours, or ComfyUI's ``DoubleStreamBlock``."""
        attention = getattr(block, f"{name}_attn")
        return cls(
            heads=attention.num_heads, modulation=getattr(block, f"{name}_mod"), norm1=getattr(block, f"{name}_norm1"),
            qkv=partial(_three, attention.qkv), query_norm=attention.norm.query_norm,
            key_norm=attention.norm.key_norm, proj=attention.proj, norm2=getattr(block, f"{name}_norm2"),
            mlp=getattr(block, f"{name}_mlp"),
        )

    def project(self, x: torch.Tensor, mod: ModulationOut, rotary: torch.Tensor | None) -> Projected:
        """Normalised and rotated queries, keys, and values of x, [batch, tokens, hidden] each.

        Args:
            rotary: [tokens, head_dim / 2] complex64; None leaves the tokens unrotated.
        """
        q, k, v = self.qkv(modulate(self.norm1(x), mod))
        return self.turn(q, self.query_norm, rotary), self.turn(k, self.key_norm, rotary), v

    def turn(self, x: torch.Tensor, norm: Layer, rotary: torch.Tensor | None) -> torch.Tensor:
        """Queries or keys [batch, tokens, hidden] after their norm and rotation."""
        heads = norm(x.unflatten(-1, (self.heads, -1))).to(x.dtype)
        return (heads if rotary is None else apply_rotary(heads, rotary)).flatten(2)

    def finish(
        self, x: torch.Tensor, attended: torch.Tensor, mod1: ModulationOut, mod2: ModulationOut
    ) -> torch.Tensor:
        """The stream x [batch, tokens, hidden] after the block, from what its tokens attended to."""
        x = torch.addcmul(x, self.proj(attended), mod1.gate)
        return torch.addcmul(x, self.mlp(modulate(self.norm2(x), mod2)), mod2.gate)


def modulate(x: torch.Tensor, mod: ModulationOut) -> torch.Tensor:
    """Shift and scale x [batch, tokens, hidden]."""
    return torch.addcmul(mod.shift, x, 1 + mod.scale)


def double_block(
    img_stream: Stream,
    txt_stream: Stream,
    img: torch.Tensor,
    txt: torch.Tensor,
    img_vec: torch.Tensor,
    txt_vec: torch.Tensor,
    img_rotary: torch.Tensor | None,
    txt_rotary: torch.Tensor | None,
    attend: DenseAttention,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both streams after a block; the inputs are not written to.

    Args:
        img: [batch, image tokens, hidden].
        txt: [batch, text tokens, hidden].
        img_vec, txt_vec: [batch, hidden], what modulates each stream.
        img_rotary, txt_rotary: rotations of their tokens, see ``rotary_table``; None for none.

    Returns:
        img and txt, as they came in.
    """
    img_mod1, img_mod2 = img_stream.modulation(img_vec)
    txt_mod1, txt_mod2 = txt_stream.modulation(txt_vec)
    parts = zip(img_stream.project(img, img_mod1, img_rotary), txt_stream.project(txt, txt_mod1, txt_rotary))
    q, k, v = (torch.cat(pair, dim=1) for pair in parts)
    attended = attend(q, k, v, img_stream.heads)
    img_attended, txt_attended = attended[:, :img.shape[1]], attended[:, img.shape[1]:]
    img = img_stream.finish(img, img_attended, img_mod1, img_mod2)
    txt = txt_stream.finish(txt, txt_attended, txt_mod1, txt_mod2)
    if txt.dtype == torch.float16:
        # Text tokens outgrow float16; ComfyUI clamps them too.
        txt = torch.nan_to_num(txt, nan=0.0, posinf=65504, neginf=-65504)
    return img, txt


class DoubleStreamBlock(nn.Module):
    """The weights of a double-stream block."""

    img_mod: Modulation
    txt_mod: Modulation
    img_attn: SelfAttention
    txt_attn: SelfAttention

    def __init__(self, hidden: int, heads: int, mlp_size: int) -> None:
        super().__init__()
        for name in ("img", "txt"):
            self.add_module(f"{name}_mod", Modulation(hidden, double=True))
            self.add_module(f"{name}_norm1", nn.LayerNorm(hidden, EPSILON, elementwise_affine=False))
            self.add_module(f"{name}_attn", SelfAttention(hidden, heads))
            self.add_module(f"{name}_norm2", nn.LayerNorm(hidden, EPSILON, elementwise_affine=False))
            self.add_module(f"{name}_mlp", feed_forward(hidden, mlp_size, nn.GELU(approximate="tanh")))

    def forward(
        self, img: torch.Tensor, txt: torch.Tensor, vec: torch.Tensor, rotary: torch.Tensor,
        attend: DenseAttention = dense_attention,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """img and txt [batch, tokens, hidden] after the block; ``rotary`` turns image tokens, text is at 0."""
        streams = Stream.of(self, "img"), Stream.of(self, "txt")
        return double_block(*streams, img, txt, vec, vec, rotary, None, attend)


def _three(linear: nn.Module, x: torch.Tensor) -> Projected:
    return linear(x).chunk(3, dim=-1)
