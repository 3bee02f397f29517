"""What a forward of HunyuanVideo costs."""

from __future__ import annotations

import math

from .config import LLAVA, HunyuanConfig
from .layers import SINUSOIDS
from .refiner import REFINER_BLOCKS


def forward_flops(config: HunyuanConfig, video_tokens: int, text_tokens: int = LLAVA.length) -> int:
    """Floating-point operations of one forward of the model as it is, for one video.

    A multiplication and an addition count as two; norms and activations are left out.
    """
    hidden, mlp, patch = config.hidden_size, config.mlp_size, math.prod(config.patch_size)
    tokens = video_tokens + text_tokens
    # In multiplications. Attention is joint in all blocks; double and single ones have linear layers of equal size.
    attention = 2 * hidden * tokens**2
    linear = tokens * (4 * hidden**2 + 2 * hidden * mlp)
    blocks = (config.depth + config.depth_single_blocks) * (linear + attention)
    modulation = hidden**2 * (12 * config.depth + 3 * config.depth_single_blocks + 2)
    refined = text_tokens * 12 * hidden**2 + 2 * hidden * text_tokens**2 + 2 * hidden**2
    refiner = REFINER_BLOCKS * refined + text_tokens * config.context_in_dim * hidden
    embedders = [SINUSOIDS, SINUSOIDS, config.context_in_dim, config.vec_in_dim]
    embedders += [SINUSOIDS] if config.guidance_embed else []
    vectors = sum(width * hidden + hidden**2 for width in embedders)
    ends = video_tokens * patch * (config.in_channels + config.out_channels) * hidden
    return 2 * (blocks + modulation + refiner + vectors + ends)
