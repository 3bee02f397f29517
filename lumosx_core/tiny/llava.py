"""The weights of a small llava_llama3 with its CLIP-L and its vision model: made from a seed, like the small UMT5.

Words are random vectors, and the patches of a picture are encoded by random weights. In the first two layers of the
language model, every token takes over information from those before it: in one head from the nearest, in the other from
tokens farther away. It is causal, as LLaMA is, so the tokens of a picture know the words of their line. Channel 0 of
every token has the same value, and queries and keys are made from it alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from .seeded import seeded_normal

HIDDEN = 256
"""Width of the text stream."""
HEADS, HEAD_DIM = 2, 128
"""ComfyUI's LLaMA has heads of 128 channels."""
LLAMA = {
    "hidden_size": HIDDEN, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
}
"""The differences from LLaMA 3's configuration. ComfyUI uses the state before the last two layers; these do nothing."""
CLIP_L = {"hidden_size": 768, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 12}
"""The differences from CLIP-L's configuration."""
VISION = Path(__file__).with_name("llava_vision.json")
"""The vision model's configuration, in a file because ComfyUI reads it from one."""
GRID = (6, 6)
"""Rows and columns of a picture's tokens; LLaVA itself has 24 x 24."""

Fill = Callable[[str, Sequence[int]], torch.Tensor]
"""The name and the shape of a weight -> the weight, float32."""

_SEED = 0
_CONSTANT = 6.0
_MIXING_LAYERS = 2
_BANDS = (range(4, 11), range(12, 19))
"""The rotary frequencies that queries and keys of each head use: with lower ones it attends farther back."""
_SHARPNESS = 0.6
_TAKEN_OVER = (1.2, 2.0)
"""The weight of what each head adds, compared with the token's own word."""
_CELLS = 4
"""The vision model reads a patch of a picture as this many rows and columns of mean colours."""


def llama_weight(name: str, shape: Sequence[int]) -> torch.Tensor:
    """A weight of the language model by its name in ComfyUI."""
    drawn = _normal("llama", name, shape)
    if "embed_tokens" in name:
        drawn[:, 0] = _CONSTANT
        return drawn
    if "norm" in name:
        return torch.ones(*shape)
    layer = int(name.split("layers.")[1].split(".")[0])
    if layer >= _MIXING_LAYERS:
        return torch.zeros(*shape)
    part = name.split(".")[-2]
    if part in ("q_proj", "k_proj"):
        return _looking_back(shape)
    if part in ("o_proj", "down_proj"):
        drawn = drawn / math.sqrt(HEAD_DIM) * 0.7
        if part == "o_proj":
            drawn = drawn * torch.tensor(_TAKEN_OVER).repeat_interleave(HEAD_DIM)
        drawn[0] = 0
        return drawn
    drawn = drawn / math.sqrt(shape[-1])
    drawn[:, 0] = 0
    return drawn


def clip_l_weight(name: str, shape: Sequence[int]) -> torch.Tensor:
    """A weight of CLIP-L by its name in ComfyUI."""
    return _random("clip_l", name, shape)


def vision_weight(name: str, shape: Sequence[int]) -> torch.Tensor:
    """A weight of the vision model or of its projector by its name in ComfyUI."""
    drawn = _random("vision", name, shape)
    if "patch_embedding" in name:
        cells = _normal("vision", name, (*shape[:2], _CELLS, _CELLS)) / math.sqrt(shape[1] * _CELLS**2)
        pixels = shape[-1] // _CELLS
        return F.interpolate(cells, scale_factor=pixels) / pixels**2
    if "position_embedding" in name:
        # Without a part that all patches share, the norm would remove their brightness.
        return _normal("vision", name, shape) * 0.5 + 1.5 * _normal("vision", f"{name} of all", shape[-1:])
    if name.endswith(("out_proj.weight", "fc2.weight")):
        return drawn * 0.1
    if "linear_2" in name:
        if name.endswith("bias"):
            return torch.cat([torch.tensor([_CONSTANT]), torch.zeros(shape[0] - 1)])
        drawn = drawn * 1.5
        drawn[0] = 0
    return drawn


def fill(module: torch.nn.Module, weight: Fill) -> None:
    """Set every parameter of a module, in its own dtype, and freeze the module."""
    for name, parameter in module.named_parameters():
        parameter.data = weight(name, tuple(parameter.shape)).to(parameter.dtype)
    module.requires_grad_(False)


def _looking_back(shape: Sequence[int]) -> torch.Tensor:
    """The projection to queries or keys that are the same for every token, so that only distances matter."""
    weight = torch.zeros(*shape)
    for head, band in enumerate(_BANDS):
        weight[[head * HEAD_DIM + frequency for frequency in band], 0] = _SHARPNESS
    return weight


def _random(model: str, name: str, shape: Sequence[int]) -> torch.Tensor:
    if name.endswith("bias"):
        return torch.zeros(*shape)
    if "norm" in name:
        return torch.ones(*shape)
    if len(shape) < 2 or "embedding" in name:
        return _normal(model, name, shape)
    return _normal(model, name, shape) / math.sqrt(math.prod(shape[1:]))


def _normal(model: str, name: str, shape: Sequence[int]) -> torch.Tensor:
    return seeded_normal(_SEED, f"{model}.{name}", shape)
