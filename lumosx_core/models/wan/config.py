"""The sizes of Wan's transformers, and the latents and texts that they take."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..latents import LatentSpec
from ..text import TextSpec

WAN21_LATENT = LatentSpec(channels=16, frame_stride=4, pixel_stride=8, patch=(1, 2, 2))
WAN22_LATENT = LatentSpec(channels=48, frame_stride=4, pixel_stride=16, patch=(1, 2, 2))
"""Of Wan2.2-TI2V-5B alone; the other models of Wan2.2 take Wan2.1's."""
UMT5 = TextSpec(key="umt5xxl", end=1, pad=0, length=512, width=4096)
HEAD_DIM = 128
"""Channels of an attention head in every Wan transformer; its weights do not show it."""
MODULATION = "head.modulation"
"""Every Wan transformer has this tensor, under whatever prefix, and no other model does."""

_BLOCK = re.compile(r"blocks\.(\d{1,3})\.")


@dataclass(frozen=True)
class WanConfig:
    """The sizes of a Wan text-to-video transformer, named as in Wan's own configuration.

    Attributes:
        dim: width of a token, a multiple of ``head_dim``.
        ffn_dim: width inside a feed-forward.
        num_layers: blocks.
        in_dim, out_dim: channels of the latent that goes in and of the velocity that comes out.
        text_dim: width of the text encoder's output.
        freq_dim: sines and cosines of a timestep.
        head_dim: channels of an attention head.
        patch_size: latent frames, rows and columns of one token.
    """

    dim: int
    ffn_dim: int
    num_layers: int
    in_dim: int = WAN21_LATENT.channels
    out_dim: int = WAN21_LATENT.channels
    text_dim: int = UMT5.width
    freq_dim: int = 256
    head_dim: int = HEAD_DIM
    patch_size: tuple[int, int, int] = WAN21_LATENT.patch

    @property
    def num_heads(self) -> int:
        """Heads of every attention."""
        return self.dim // self.head_dim

    @classmethod
    def of_module(cls, model: Any) -> WanConfig:
        """The sizes of a live transformer with Wan's submodules: ComfyUI's WanModel, or ``network.Network``.

        Its weights may be packed, so only what its layers say of themselves is read.
        """
        block, patch = model.blocks[0], tuple(model.patch_size)
        dim = block.self_attn.q.out_features
        return cls(
            dim=dim, ffn_dim=block.ffn[0].out_features, num_layers=len(model.blocks),
            in_dim=model.patch_embedding.in_channels, out_dim=model.head.head.out_features // math.prod(patch),
            text_dim=model.text_embedding[0].in_features, freq_dim=model.freq_dim,
            head_dim=dim // block.self_attn.num_heads, patch_size=patch,
        )

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> WanConfig:
        """The sizes of a whole checkpoint, from the shapes of its tensors under Wan's own names.

        Raises:
            KeyError: a tensor that every Wan transformer has is missing.
        """
        dim, in_dim, *patch = shapes["patch_embedding.weight"]
        frames, rows, columns = patch
        return cls(
            dim=dim, ffn_dim=shapes["blocks.0.ffn.0.weight"][0], num_layers=count_blocks(shapes), in_dim=in_dim,
            out_dim=shapes["head.head.weight"][0] // math.prod(patch), text_dim=shapes["text_embedding.0.weight"][1],
            freq_dim=shapes["time_embedding.0.weight"][1], patch_size=(frames, rows, columns),
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor of the checkpoint."""
        dim = self.dim
        shapes = {
            "patch_embedding.weight": (dim, self.in_dim, *self.patch_size),
            "patch_embedding.bias": (dim,),
            **_linear("text_embedding.0", dim, self.text_dim),
            **_linear("text_embedding.2", dim, dim),
            **_linear("time_embedding.0", dim, self.freq_dim),
            **_linear("time_embedding.2", dim, dim),
            **_linear("time_projection.1", 6 * dim, dim),
            **_linear("head.head", self.out_dim * math.prod(self.patch_size), dim),
            MODULATION: (1, 2, dim),
        }
        of_block = self._block_shapes()
        for index in range(self.num_layers):
            shapes.update({f"blocks.{index}.{name}": shape for name, shape in of_block.items()})
        return shapes

    def _block_shapes(self) -> dict[str, tuple[int, ...]]:
        dim = self.dim
        shapes: dict[str, tuple[int, ...]] = {"modulation": (1, 6, dim), "norm3.weight": (dim,), "norm3.bias": (dim,)}
        for attention in ("self_attn", "cross_attn"):
            for part in ("q", "k", "v", "o"):
                shapes.update(_linear(f"{attention}.{part}", dim, dim))
            shapes.update({f"{attention}.norm_{part}.weight": (dim,) for part in ("q", "k")})
        return {**shapes, **_linear("ffn.0", self.ffn_dim, dim), **_linear("ffn.2", dim, self.ffn_dim)}


def count_blocks(names: Mapping[str, Any]) -> int:
    """Blocks of a transformer, by the highest number among its tensors' names; 0 without any."""
    return 1 + max((int(found[1]) for found in map(_BLOCK.match, names) if found), default=-1)


def _linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


WAN21_1_3B = WanConfig(dim=1536, ffn_dim=8960, num_layers=30)
"""Wan2.1-T2V-1.3B, on which LumosX was trained."""
WAN21_14B = WanConfig(dim=5120, ffn_dim=13824, num_layers=40)
"""Wan2.1-T2V-14B, on which Lynx was trained; Wan2.2's 14B models have the same sizes."""
WAN22_5B = WanConfig(
    dim=3072, ffn_dim=14336, num_layers=30, in_dim=WAN22_LATENT.channels, out_dim=WAN22_LATENT.channels
)
"""Wan2.2-TI2V-5B."""
