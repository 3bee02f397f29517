"""The sizes of HunyuanVideo's transformers, and the latents and texts that they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...errors import LumosXError
from ..latents import LatentSpec
from ..text import TextSpec

HUNYUAN_LATENT = LatentSpec(channels=16, frame_stride=4, pixel_stride=8, patch=(1, 2, 2))
LLAVA = TextSpec(key="llama", end=128009, pad=128258, length=256, width=4096)
"""It reads the prompt inside a template; ``end`` closes the user's turn."""

HUNYUAN_MARK = "txt_in.individual_token_refiner.blocks.0.norm1.weight"
"""Every HunyuanVideo transformer has this tensor, under whatever prefix, and no other family does."""


@dataclass(frozen=True)
class HunyuanConfig:
    """The sizes of a HunyuanVideo transformer; the defaults are those of HunyuanVideo-13B.

    Attributes:
        hidden_size: width of a token, a multiple of ``num_heads``.
        num_heads: heads of every attention.
        axes_dim: channels of a head that the rotary embedding gives to time, rows and columns; their sum is a head.
        theta: base of the rotary embedding.
        depth: double-stream blocks.
        depth_single_blocks: single-stream blocks.
        mlp_ratio: width inside a feed-forward over ``hidden_size``.
        in_channels, out_channels: of the latent.
        patch_size: latent frames, rows and columns of a token.
        context_in_dim: width of the text encoder's output.
        vec_in_dim: width of the pooled text.
        guidance_embed: whether the guidance strength is an input of the model.
    """

    hidden_size: int = 3072
    num_heads: int = 24
    axes_dim: tuple[int, int, int] = (16, 56, 56)
    theta: float = 256.0
    depth: int = 20
    depth_single_blocks: int = 40
    mlp_ratio: float = 4.0
    in_channels: int = HUNYUAN_LATENT.channels
    out_channels: int = HUNYUAN_LATENT.channels
    patch_size: tuple[int, int, int] = HUNYUAN_LATENT.patch
    context_in_dim: int = LLAVA.width
    vec_in_dim: int = 768
    guidance_embed: bool = True

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads or sum(self.axes_dim) != self.head_dim:
            raise LumosXError(
                f"HunyuanVideo: {self.hidden_size} channels, {self.num_heads} heads and rotary axes {self.axes_dim} do "
                "not fit together; the axes must add up to the channels of a head."
            )

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_heads

    @property
    def latent(self) -> LatentSpec:
        """The latents that it takes."""
        return replace(HUNYUAN_LATENT, channels=self.in_channels, patch=self.patch_size)

    @property
    def mlp_size(self) -> int:
        return int(self.hidden_size * self.mlp_ratio)

    @classmethod
    def of_module(cls, model: torch.nn.Module) -> HunyuanConfig:
        """The sizes of a live transformer: ComfyUI's HunyuanVideo, or ``HunyuanNetwork``."""
        params: Any = model.params
        names = (
            "hidden_size", "num_heads", "theta", "depth", "depth_single_blocks", "mlp_ratio", "in_channels",
            "out_channels", "context_in_dim", "vec_in_dim", "guidance_embed",
        )
        return cls(
            axes_dim=tuple(params.axes_dim), patch_size=tuple(params.patch_size),
            **{name: getattr(params, name) for name in names},
        )

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[int, ...]], axes_dim: tuple[int, int, int]) -> HunyuanConfig:
        """The sizes of a checkpoint in ComfyUI's naming, from the shapes of its tensors.

        Args:
            shapes: the shape of each tensor.
            axes_dim: the rotary axes, which no tensor shows.

        Raises:
            KeyError: a tensor that every HunyuanVideo has is missing.
        """
        hidden, channels, frames, rows, columns = shapes["img_in.proj.weight"]
        mlp = shapes["double_blocks.0.img_mlp.0.weight"][0]
        return cls(
            hidden_size=hidden, num_heads=hidden // shapes["double_blocks.0.img_attn.norm.query_norm.scale"][0],
            axes_dim=axes_dim, depth=_count(shapes, "double_blocks"),
            depth_single_blocks=_count(shapes, "single_blocks"), mlp_ratio=mlp / hidden, in_channels=channels,
            out_channels=shapes["final_layer.linear.weight"][0] // (frames * rows * columns),
            patch_size=(frames, rows, columns), context_in_dim=shapes["txt_in.input_embedder.weight"][1],
            vec_in_dim=shapes["vector_in.in_layer.weight"][1],
            guidance_embed="guidance_in.in_layer.weight" in shapes,
        )


def _count(shapes: Mapping[str, tuple[int, ...]], group: str) -> int:
    return len({name.split(".")[1] for name in shapes if name.startswith(f"{group}.")})
