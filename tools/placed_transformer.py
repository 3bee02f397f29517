"""Weights of a small Wan2.1-T2V transformer, made from a seed.

Random weights alone would turn noise into other noise. So a few things are placed by hand, and the rest is random but
small: the patch embedding keeps the picture in 64 of its 256 directions, the first self-attention subtracts what the
tokens at the same place of the other frames show (the clean reference frames above all), and the head reads the picture
directions back, divided by the noise level. The velocity is then (what I see - what the references show here) / sigma,
and sampling ends in a blend of the references, tinted a little by the prompt.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange

from lumosx_core.models.wan.config import WanConfig
from lumosx_core.tiny.seeded import seeded_normal

CONFIG = WanConfig(dim=256, ffn_dim=512, num_layers=4)
DIM, HEAD_DIM, FREQUENCY_DIM, LATENT_CHANNELS = CONFIG.dim, CONFIG.head_dim, CONFIG.freq_dim, CONFIG.in_dim
PATCH_AREA = math.prod(CONFIG.patch_size)

_PICTURE_DIM = LATENT_CHANNELS * PATCH_AREA
_PICTURE_SCALE = 2.0
"""RMS of the picture's part of a token is 1 with this scale, for a latent of unit variance."""
_CONSTANT_RMS = 2.0
"""A constant larger than the picture keeps the layer norms nearly linear, so that dark and bright stay apart."""
_TOKEN_RMS = math.sqrt(_CONSTANT_RMS**2 + _PICTURE_SCALE**2 * _PICTURE_DIM / DIM)

_TIME_FREQUENCY = 112
"""The sine of this index grows almost linearly over the 1000 timesteps."""
_HINGES = ((1.0, 2.0), (0.5, 6.0))
"""1 / sigma is about 1 plus each slope times how far sigma lies below its corner."""
_HINGE_SHARPNESS = 10.0

_COLOUR_CHANNELS = (0, 10, 13)
"""Where the codec keeps a block's mean brightness and its two colour differences."""
_TINT = 0.12
"""How much the random layers, and with them the prompt, may change those."""

_ROPE_THETA = 10000.0
_ROPE_AXES = (44, 42, 42)
_NEIGHBOUR_PAIRS = 4
"""The fastest rotary pairs of y and x; together they single out one place of the grid."""
_TIME_PAIR = 6
_FRAMES_AHEAD = 12.0
_TIME_AMPLITUDE = 1.0
_PLACE_SHARPNESS = 1.7
"""Scale of the normalised queries and keys: with it a token sees four fifths of its own place, the rest around it."""
_PROMPT_SHARPNESS = 1.7
"""The same for cross-attention: a few words stand out, as the relations between references and words need it."""


def transformer_state_dict(seed: int = 0, dtype: torch.dtype = torch.bfloat16) -> dict[str, torch.Tensor]:
    """Every weight of the model under Wan2.1's own names.

    Args:
        seed: 0 or more.
        dtype: of the returned tensors; they are made in float32.
    """
    weights = _random_weights(seed)
    picture, constant = _token_directions(seed)
    _leave_patterns_alone(weights, picture)
    _write_picture_into_tokens(weights, picture, constant)
    _look_by_place(weights)
    _subtract_what_is_seen(weights, picture)
    _divide_by_noise_level(weights)
    _read_picture_from_tokens(weights, picture)
    return {name: weight.to(dtype).contiguous() for name, weight in weights.items()}


def _random_weights(seed: int) -> dict[str, torch.Tensor]:
    """Small random weights for all names."""
    weights: dict[str, torch.Tensor] = {}

    def linear(name: str, outputs: int, inputs: int, gain: float = 1.0) -> None:
        weight = seeded_normal(seed, f"{name}.weight", (outputs, inputs))
        weights[f"{name}.weight"] = weight * (gain / math.sqrt(inputs))
        weights[f"{name}.bias"] = 0.02 * seeded_normal(seed, f"{name}.bias", (outputs,))

    def vector(name: str, *shape: int, centre: float = 0.0, spread: float = 0.05) -> None:
        weights[name] = centre + spread * seeded_normal(seed, name, shape)

    linear("patch_embedding", DIM, _PICTURE_DIM)
    linear("text_embedding.0", DIM, CONFIG.text_dim)
    linear("text_embedding.2", DIM, DIM)
    linear("time_embedding.0", DIM, FREQUENCY_DIM)
    linear("time_embedding.2", DIM, DIM, gain=0.02)
    linear("time_projection.1", DIM * 6, DIM, gain=0.2)
    for index in range(CONFIG.num_layers):
        _random_block(weights, f"blocks.{index}", linear, vector)
    linear("head.head", _PICTURE_DIM, DIM, gain=0.02)
    vector("head.modulation", 1, 2, DIM, spread=0.01)
    return weights


def _random_block(weights: dict, block: str, linear, vector) -> None:
    for attention, sharpness in (("self_attn", 1.0), ("cross_attn", _PROMPT_SHARPNESS)):
        for part in "qkv":
            linear(f"{block}.{attention}.{part}", DIM, DIM)
        linear(f"{block}.{attention}.o", DIM, DIM)
        vector(f"{block}.{attention}.norm_q.weight", DIM, centre=sharpness)
        vector(f"{block}.{attention}.norm_k.weight", DIM, centre=sharpness)
    vector(f"{block}.norm3.weight", DIM, centre=1.0)
    vector(f"{block}.norm3.bias", DIM)
    linear(f"{block}.ffn.0", CONFIG.ffn_dim, DIM)
    linear(f"{block}.ffn.2", DIM, CONFIG.ffn_dim, gain=0.5)
    # Shift, scale and gate of the self-attention, then of the feed-forward.
    vector(f"{block}.modulation", 1, 6, DIM)
    # Gates that differ from channel to channel would mix the constant into the picture.
    weights[f"{block}.modulation"][:, [2, 5]] = 0.2


def _token_directions(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Orthonormal directions of a token: [256, 64] for the picture, [256] for the constant.

    All are orthogonal to the all-ones vector, which layer norms remove.
    """
    candidates = seeded_normal(seed, "token directions", (DIM, 2 + _PICTURE_DIM)).double()
    candidates[:, 0] = 1.0
    basis = torch.linalg.qr(candidates).Q.float()
    return basis[:, 2:], basis[:, 1]


def _leave_patterns_alone(weights: dict, picture: torch.Tensor) -> None:
    """Let the random layers change a whole patch's colour, but no pattern in it; that would look like tiles."""
    colours = picture.unflatten(1, (LATENT_CHANNELS, PATCH_AREA))[:, list(_COLOUR_CHANNELS)].sum(2)
    colours = colours / math.sqrt(PATCH_AREA)
    keep = torch.eye(DIM) - picture @ picture.T + _TINT * colours @ colours.T
    for index in range(CONFIG.num_layers):
        for output in ("self_attn.o", "cross_attn.o", "ffn.2"):
            for part in ("weight", "bias"):
                weights[f"blocks.{index}.{output}.{part}"] = keep @ weights[f"blocks.{index}.{output}.{part}"]


def _write_picture_into_tokens(weights: dict, picture: torch.Tensor, constant: torch.Tensor) -> None:
    kernel = (_PICTURE_SCALE * picture).reshape(CONFIG.shapes()["patch_embedding.weight"])
    weights["patch_embedding.weight"] = kernel
    weights["patch_embedding.bias"] = _CONSTANT_RMS * math.sqrt(DIM) * constant


def _look_by_place(weights: dict) -> None:
    """Make every self-attention choose by position, and only a little by content."""
    query, key = _place_pattern()
    for index in range(CONFIG.num_layers):
        attention = f"blocks.{index}.self_attn"
        for part, pattern in (("q", query), ("k", key)):
            weights[f"{attention}.{part}.weight"] *= 0.05
            weights[f"{attention}.{part}.bias"] += pattern
            weights[f"{attention}.norm_{part}.weight"] += _PLACE_SHARPNESS - 1.0


def _subtract_what_is_seen(weights: dict, picture: torch.Tensor) -> None:
    """Make block 0 take the picture that its self-attention sees away from each token's own."""
    attention = "blocks.0.self_attn"
    see = picture @ picture.T
    weights[f"{attention}.v.weight"] = see + 0.05 * weights[f"{attention}.v.weight"]
    weights[f"{attention}.o.weight"] = 0.05 * weights[f"{attention}.o.weight"] - _TOKEN_RMS * see
    weights["blocks.0.modulation"][:, :2] *= 0.1
    weights["blocks.0.modulation"][:, 2] = 1.0


def _place_pattern() -> tuple[torch.Tensor, torch.Tensor]:
    """Constant query and key, [256] each, whose rotary product peaks at the same y and x, a few frames ahead.

    References follow the video on the time axis, so looking ahead finds them.
    """
    query, key = torch.zeros(HEAD_DIM), torch.zeros(HEAD_DIM)
    time_dim, height_dim, _ = _ROPE_AXES
    for axis_start in (time_dim, time_dim + height_dim):
        fastest = slice(axis_start, axis_start + 2 * _NEIGHBOUR_PAIRS, 2)
        query[fastest] = key[fastest] = 1.0
    phase = _FRAMES_AHEAD * _ROPE_THETA ** (-2 * _TIME_PAIR / time_dim)
    query[2 * _TIME_PAIR] = _TIME_AMPLITUDE * math.cos(phase)
    query[2 * _TIME_PAIR + 1] = _TIME_AMPLITUDE * math.sin(phase)
    key[2 * _TIME_PAIR] = _TIME_AMPLITUDE
    heads = CONFIG.num_heads
    return _unit_rms(query).repeat(heads), _unit_rms(key).repeat(heads)


def _unit_rms(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.square().mean().sqrt()


def _divide_by_noise_level(weights: dict) -> None:
    """Let the time embedding hold 1/sigma - 1 in all directions alike; the head multiplies by 1 plus the embedding."""
    angular_frequency = 10000.0 ** (-_TIME_FREQUENCY / (FREQUENCY_DIM // 2))
    sine_at_full_noise = math.sin(1000.0 * angular_frequency)
    for unit, (corner, slope) in enumerate(_HINGES):
        weights["time_embedding.0.weight"][unit] = 0.0
        # Sines follow the cosines. SiLU of a large multiple is nearly a hinge.
        sine = FREQUENCY_DIM // 2 + _TIME_FREQUENCY
        weights["time_embedding.0.weight"][unit, sine] = -_HINGE_SHARPNESS / sine_at_full_noise
        weights["time_embedding.0.bias"][unit] = _HINGE_SHARPNESS * corner
        weights["time_embedding.2.weight"][:, unit] = slope / _HINGE_SHARPNESS
    # The blocks' modulation must not follow that common part.
    weights["time_projection.1.weight"] -= weights["time_projection.1.weight"].mean(1, keepdim=True)


def _read_picture_from_tokens(weights: dict, picture: torch.Tensor) -> None:
    read = picture.T * (_TOKEN_RMS / _PICTURE_SCALE)
    # The patch embedding takes channels first, the head gives them last.
    channels_last = rearrange(read, "(channels patch) dim -> (patch channels) dim", patch=PATCH_AREA)
    weights["head.head.weight"] = channels_last + weights["head.head.weight"]
