"""The transformer of HunyuanVideo in plain PyTorch: to train adapters on, and to compare hosts with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import nn
from torch.utils.checkpoint import checkpoint

from ..attention import DenseAttention, dense_attention
from ..containers import ModuleList
from ..rotary import rotary_table, video_ids
from .config import HunyuanConfig
from .double_block import DoubleStreamBlock
from .layers import SINUSOIDS, LastLayer, MLPEmbedder, timestep_embedding
from .refiner import TokenRefiner
from .single_block import SingleStreamBlock

GUIDANCE_FACTOR = 1000.0
RunBlock = Callable[
    [int, DoubleStreamBlock, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]
]
"""``run(index, block, img, txt, vec, rotary)``: a double block's call, for methods that do more around it."""


class PatchEmbed(nn.Module):
    """A latent [batch, channels, frames, rows, columns] -> tokens [batch, tokens, hidden], in this order."""

    def __init__(self, config: HunyuanConfig) -> None:
        super().__init__()
        self.proj = nn.Conv3d(config.in_channels, config.hidden_size, config.patch_size, config.patch_size)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return rearrange(self.proj(latent), "batch hidden t h w -> batch (t h w) hidden")


class HunyuanNetwork(nn.Module):
    """The module whose state dict is a HunyuanVideo checkpoint in ComfyUI's naming."""

    def __init__(self, config: HunyuanConfig) -> None:
        super().__init__()
        hidden, heads = config.hidden_size, config.num_heads
        self.params = config
        self.img_in = PatchEmbed(config)
        self.time_in = MLPEmbedder(SINUSOIDS, hidden)
        self.vector_in = MLPEmbedder(config.vec_in_dim, hidden)
        if config.guidance_embed:
            self.guidance_in = MLPEmbedder(SINUSOIDS, hidden)
        self.txt_in = TokenRefiner(config.context_in_dim, hidden, heads)
        self.double_blocks = ModuleList(
            DoubleStreamBlock(hidden, heads, config.mlp_size) for _ in range(config.depth)
        )
        self.single_blocks = ModuleList(
            SingleStreamBlock(hidden, heads, config.mlp_size) for _ in range(config.depth_single_blocks)
        )
        patch_numbers = config.out_channels * torch.Size(config.patch_size).numel()
        self.final_layer = LastLayer(hidden, patch_numbers)

    def forward(
        self,
        x: torch.Tensor,
        timesteps: torch.Tensor,
        context: torch.Tensor,
        pooled: torch.Tensor,
        guidance: torch.Tensor | None = None,
        attend: DenseAttention = dense_attention,
        run_block: RunBlock | None = None,
        recompute: bool = False,
        beside: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """The velocity of a latent video.

        Args:
            x: [batch, channels, frames, rows, columns], rows and columns divisible by the patch.
            timesteps: [batch] or [1], 0 to 1000.
            context: [batch, tokens, context_in_dim], the text encoder's output.
            pooled: [batch, vec_in_dim].
            guidance: [batch] or [1], the embedded guidance strength; models without it ignore it.
            run_block: what runs in place of each double block.
            recompute: compute the single blocks again on the way back instead of keeping what is inside of them.
            beside: image tokens [batch, tokens, hidden] that go through all blocks before the video's, and their
                positions [tokens, 3].

        Returns:
            [batch, out_channels, frames, rows, columns].
        """
        frames, rows, columns = grid = self.params.latent.token_grid(x.shape)
        img = self.img_in(x)
        vec = self.modulation_vec(timesteps, pooled, guidance, x.dtype)
        txt = self.txt_in(context, timesteps, attend)
        ids, before = video_ids(*grid), 0
        if beside is not None:
            img, ids, before = torch.cat([beside[0], img], dim=1), torch.cat([beside[1], ids]), beside[0].shape[1]
        rotary = rotary_table(ids, self.params.axes_dim, self.params.theta, x.device)

        for index, block in enumerate(self.double_blocks):
            if run_block is None:
                img, txt = block(img, txt, vec, rotary, attend)
            else:
                img, txt = run_block(index, block, img, txt, vec, rotary)

        stream = torch.cat([img, txt], dim=1)
        for block in self.single_blocks:
            stream = recomputed(recompute, block, stream, vec, rotary, attend)

        patches = self.final_layer(stream[:, before:img.shape[1]], vec)
        pt, ph, pw = self.params.patch_size
        return rearrange(
            patches, "batch (t h w) (channels pt ph pw) -> batch channels (t pt) (h ph) (w pw)", t=frames, h=rows,
            w=columns, pt=pt, ph=ph, pw=pw,
        )

    def modulation_vec(
        self, timesteps: torch.Tensor, pooled: torch.Tensor, guidance: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        """What modulates every block, [batch, hidden]: timestep, pooled text and guidance together."""
        vec = self.time_in(timestep_embedding(timesteps).to(dtype)) + self.vector_in(pooled)
        if self.params.guidance_embed and guidance is not None:
            vec = vec + self.guidance_in(timestep_embedding(guidance, GUIDANCE_FACTOR).to(dtype))
        return vec


def recomputed(again: bool, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns; ``again``: computed a second time on the way back, with less memory in between."""
    if not again:
        return function(*arguments)
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
