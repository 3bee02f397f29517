"""What is measured: models of two sizes, scenes of 0 to 10 references, and fixed random inputs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch

from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout
from lumosx_core.models.wan.config import UMT5, WAN21_1_3B, WAN21_LATENT, WanConfig

PROMPT_TOKENS = 120
"""Tokens of the prompt; the rest of the 512 are zeros, as ComfyUI's text encoder leaves them."""
TIMESTEP = 600.0


@dataclass(frozen=True)
class Shape:
    """A transformer of Wan2.1's kind and the grid of its video.

    Attributes:
        dim: width, a multiple of 128, which is the width of a head.
        ffn_dim: width inside the feed-forward.
        layers: blocks.
        grid: frames, rows and columns of the video, in tokens.
        text_dim: width of the text encoder's output.
    """

    dim: int
    ffn_dim: int
    layers: int
    grid: tuple[int, int, int]
    text_dim: int = UMT5.width

    @property
    def config(self) -> WanConfig:
        """The transformer's sizes."""
        return WanConfig(self.dim, self.ffn_dim, self.layers, text_dim=self.text_dim)

    @property
    def heads(self) -> int:
        """Heads of every attention."""
        return self.config.num_heads


SHAPES = {
    "small": Shape(256, 1024, 4, (9, 15, 26)),
    "full": Shape(
        WAN21_1_3B.dim, WAN21_1_3B.ffn_dim, WAN21_1_3B.num_layers,
        WAN21_LATENT.token_grid(WAN21_LATENT.shape(832, 480, 81)),
    ),
}
"""What the CPU's targets are set for, and Wan2.1-T2V-1.3B at 480x832 with 81 frames."""

SCENES = {0: (0, ()), 1: (1, ()), 3: (1, (2,)), 6: (2, (2, 2)), 10: (2, (2, 3, 3))}
"""References -> objects, and the pictures of each person."""


def drawn_binding(objects: int, people: tuple[int, ...]) -> Binding:
    """Every picture has a phrase of two words of its own; people's faces share one word more."""
    phrases = iter(((4 * number + 2, 4 * number + 4),) for number in range(objects + sum(people)))
    shared = (PROMPT_TOKENS - 1, PROMPT_TOKENS)
    return Binding(
        non_human_spans=tuple(next(phrases) for _ in range(objects)),
        subject_spans=tuple((*(span for _ in range(images) for span in next(phrases)), shared) for images in people),
        subject_images=people,
    )


@dataclass(frozen=True)
class Inputs:
    """The arguments of a forward.

    Attributes:
        latent: [1, 16, frames, height, width].
        timestep: [1].
        context: [1, 512, text_dim].
        references: each [1, 16, 1, height, width].
        binding: what they are bound to.
    """

    latent: torch.Tensor
    timestep: torch.Tensor
    context: torch.Tensor
    references: list[torch.Tensor]
    binding: Binding

    @property
    def layout(self) -> SequenceLayout:
        """The token sequence."""
        return SequenceLayout(*WAN21_LATENT.token_grid(self.latent.shape), self.binding)


def draw_inputs(
    shape: Shape,
    binding: Binding,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    latent_size: tuple[int, int] | None = None,
) -> Inputs:
    """Inputs from a fixed seed; ``latent_size`` (height, width) is for sizes that are not whole numbers of tokens."""
    generator = torch.Generator().manual_seed(7)
    _, channels, frames, *whole = WAN21_LATENT.grid_shape(shape.grid)
    height, width = latent_size or whole

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(1, *size, generator=generator).to(device, dtype)

    latent = draw(channels, frames, height, width)
    context = torch.zeros(1, UMT5.length, shape.text_dim, device=device, dtype=dtype)
    context[:, :PROMPT_TOKENS] = draw(PROMPT_TOKENS, shape.text_dim)
    references = [draw(channels, 1, height, width) for _ in range(binding.references)]
    return Inputs(latent, torch.tensor([TIMESTEP], device=device), context, references, binding)


def draw_model(
    shape: Shape, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> torch.nn.Module:
    """ComfyUI's WanModel with weights drawn on the device as the golden files' are, from another seed."""
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    model = WanModel(
        dim=shape.dim, ffn_dim=shape.ffn_dim, num_heads=shape.heads, num_layers=shape.layers, text_dim=shape.text_dim,
        cross_attn_norm=True, device=device, dtype=dtype, operations=comfy.ops.disable_weight_init,
    )
    for name, parameter in model.named_parameters():
        _draw(name, parameter.data)
    return model.eval().requires_grad_(False)


def _draw(name: str, weight: torch.Tensor) -> None:
    generator = torch.Generator(weight.device).manual_seed(zlib.crc32(name.encode()))
    weight.normal_(generator=generator)
    if name.endswith(".weight") and "norm" in name:
        weight.mul_(0.1).add_(1)
    elif name.endswith("modulation"):
        weight.mul_(0.2)
    elif name.endswith(".bias"):
        weight.mul_(0.05)
    else:
        weight.mul_(weight[0].numel() ** -0.5)
