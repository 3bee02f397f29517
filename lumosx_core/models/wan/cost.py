"""What a forward of Wan costs."""

from __future__ import annotations

import math

from .config import UMT5, WanConfig


def forward_flops(config: WanConfig, video_tokens: int, text_tokens: int = UMT5.length) -> int:
    """Floating-point operations of one forward of the plain model, for one video.

    A multiplication and an addition count as two; norms and activations are left out.
    """
    dim, patch = config.dim, math.prod(config.patch_size)
    # In multiplications: the linear layers of a block for a video token and for a text token, and both attentions.
    of_video, of_text = 6 * dim**2 + 2 * dim * config.ffn_dim, 2 * dim**2
    attention = 2 * dim * video_tokens * (video_tokens + text_tokens)
    block = video_tokens * of_video + text_tokens * of_text + attention
    text = text_tokens * (config.text_dim * dim + dim**2)
    time = config.freq_dim * dim + 7 * dim**2
    ends = video_tokens * patch * (config.in_dim + config.out_dim) * dim
    return 2 * (config.num_layers * block + text + time + ends)
