"""Baseline (a): the relational forward in the way of the public release, written from the specification.

Only the way of computing differs from ours: the numbers are the same. As the release does, it keeps the residual stream
in float32, rotates q and k in complex128 with tables and ranges that every block builds again from Python lists,
computes keys and values of all 512 text positions in every block, builds the whole [tokens, heads, 512] bias in
float32 for them, and carries every token through the last block and the head. The release gives the ranges of its
self-attention to a kernel of its own; here one masked call of PyTorch's attention stands for it. Its boolean
[tokens, tokens] mask and the words' weights are built once a forward, which favours this baseline.

It takes any module with the submodule names of Wan2.1, so that all variants share one set of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F

from lumosx_core.models.lumosx.sequence import Binding
from lumosx_core.models.wan.config import UMT5


@dataclass(frozen=True)
class _Sequence:
    """What all blocks of one forward share."""

    frames: int
    height: int
    width: int
    binding: Binding
    heads: int
    frequencies: tuple[torch.Tensor, ...]
    mask: torch.Tensor | None
    words: torch.Tensor
    context: torch.Tensor
    modulation: torch.Tensor
    dtype: torch.dtype
    ratio: float
    pool: int

    @property
    def area(self) -> int:
        return self.height * self.width


def release_forward(
    model: torch.nn.Module,
    latent: torch.Tensor,
    timestep: torch.Tensor,
    context: torch.Tensor,
    references: list[torch.Tensor],
    binding: Binding,
    ratio: float = 0.5,
    pool: int = 8,
) -> torch.Tensor:
    """The velocity of a video under its references.

    Args:
        model: a Wan2.1-T2V-shaped module.
        latent: [batch, 16, frames, height, width], in the dtype to compute in.
        timestep: [batch].
        context: [batch, up to 512, text_dim].
        references: each [batch, 16, 1, height, width], in token order; none makes this plain Wan.
        binding: which words each reference is bound to.
        ratio, pool: the constants of MCAM.

    Returns:
        Velocity, same shape and dtype as ``latent``.
    """
    dtype, (frames, height, width) = latent.dtype, latent.shape[2:]
    pictures = torch.cat([latent, *references], dim=2)
    pictures = F.pad(pictures, (0, width % 2, 0, height % 2))
    patches = model.patch_embedding(pictures.float()).to(dtype)
    total, rows, columns = patches.shape[2:]
    x = patches.flatten(2).transpose(1, 2).float()
    embedded_time = model.time_embedding(_sinusoids(timestep, model.freq_dim).to(dtype))
    sequence = _Sequence(
        frames, rows, columns, binding, model.num_heads,
        _axis_frequencies(x.shape[-1] // model.num_heads, latent.device),
        _allowed(frames, rows * columns, binding, latent.device),
        torch.tensor(_word_weights(binding), device=latent.device),
        model.text_embedding(F.pad(context, (0, 0, 0, UMT5.length - context.shape[1])).to(dtype)),
        model.time_projection(embedded_time).unflatten(1, (6, -1)), dtype, ratio, pool,
    )
    for block in model.blocks:
        x = _block(block, x, sequence)
    modulation = model.head.modulation.float() + embedded_time.float().unsqueeze(1)
    shift, scale = modulation.chunk(2, dim=1)
    out = model.head.head((model.head.norm(x) * (1 + scale) + shift).to(dtype))
    grid = out.reshape(out.shape[0], total, rows, columns, *model.patch_size, -1)
    video = torch.einsum("bfhwpqrc->bcfphqwr", grid).flatten(6, 7).flatten(4, 5).flatten(2, 3)
    return video[:, :, :frames, :height, :width]


def _sinusoids(timestep: torch.Tensor, size: int) -> torch.Tensor:
    exponents = torch.arange(size // 2, dtype=torch.float64, device=timestep.device) / (size // 2)
    angles = torch.outer(timestep.double(), 10000.0 ** -exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _axis_frequencies(head_dim: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Rotations of 1024 positions of t, y and x: [1024, pairs of the axis] complex128 each."""
    third = 2 * (head_dim // 6)
    tables = []
    for channels in (head_dim - 2 * third, third, third):
        exponents = torch.arange(0, channels, 2, dtype=torch.float64, device=device) / channels
        angles = torch.outer(torch.arange(1024, dtype=torch.float64, device=device), 10000.0 ** -exponents)
        tables.append(torch.polar(torch.ones_like(angles), angles))
    return tuple(tables)


def _group_ranges(video: int, area: int, binding: Binding) -> list[tuple[int, int]]:
    """The token range of every group of references that attend to each other."""
    images = [1] * len(binding.non_human_spans) + list(binding.subject_images)
    ends = list(accumulate([video, *(count * area for count in images)]))
    return list(zip(ends, ends[1:]))


def _allowed(frames: int, area: int, binding: Binding, device: torch.device) -> torch.Tensor | None:
    """CSAM as a boolean [tokens, tokens] mask: who (row) may attend to whom (column). None where all may."""
    if not binding.references:
        return None
    video = frames * area
    tokens = video + binding.references * area
    mask = torch.zeros(tokens, tokens, dtype=torch.bool, device=device)
    mask[:video] = True
    for start, end in _group_ranges(video, area, binding):
        mask[start:end, start:end] = True
    return mask


def _block(block: torch.nn.Module, x: torch.Tensor, sequence: _Sequence) -> torch.Tensor:
    parts = (block.modulation.float() + sequence.modulation.float()).chunk(6, dim=1)
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = parts
    x = x + _self_attention(block.self_attn, (block.norm1(x) * (1 + scale) + shift).to(sequence.dtype), sequence) * gate
    x = x + _cross_attention(block.cross_attn, block.norm3(x.to(sequence.dtype)), sequence)
    return x + block.ffn((block.norm2(x) * (1 + ffn_scale) + ffn_shift).to(sequence.dtype)) * ffn_gate


def _self_attention(attention: torch.nn.Module, x: torch.Tensor, sequence: _Sequence) -> torch.Tensor:
    q = _rotated(_heads_last(attention.norm_q(attention.q(x)), sequence.heads), sequence)
    k = _rotated(_heads_last(attention.norm_k(attention.k(x)), sequence.heads), sequence)
    v = _heads_last(attention.v(x), sequence.heads)
    q, k, v = (tensor.to(sequence.dtype).transpose(1, 2) for tensor in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=sequence.mask)
    return attention.o(mixed.transpose(1, 2).flatten(2))


def _heads_last(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.unflatten(2, (heads, -1))


def _rotated(x: torch.Tensor, sequence: _Sequence) -> torch.Tensor:
    """R2PE on x [batch, tokens, heads, head_dim], its table built again; float32."""
    binding = sequence.binding
    segments = [_segment(sequence, list(range(sequence.frames)), 0)]
    segments += [_segment(sequence, [sequence.frames + number], 0) for number in range(len(binding.non_human_spans))]
    first = sequence.frames + len(binding.non_human_spans)
    for subject, images in enumerate(binding.subject_images):
        segments += [_segment(sequence, [first + subject], image) for image in range(images)]
    table = torch.cat(segments).reshape(-1, 1, x.shape[-1] // 2)
    samples = []
    for sample in x:
        pairs = torch.view_as_complex(sample.to(torch.float64).reshape(*sample.shape[:2], -1, 2))
        samples.append(torch.view_as_real(pairs * table).flatten(2))
    return torch.stack(samples).float()


def _segment(sequence: _Sequence, times: list[int], image: int) -> torch.Tensor:
    """Rotations of some frames whose rows and columns are moved by ``image`` pictures: [frames * area, pairs]."""
    height, width = sequence.height, sequence.width
    size = (len(times), height, width, -1)
    rows = list(range(image * height, (image + 1) * height))
    columns = list(range(image * width, (image + 1) * width))
    t, y, x = sequence.frequencies
    parts = [
        t[times].view(-1, 1, 1, t.shape[1]).expand(size),
        y[rows].view(1, -1, 1, y.shape[1]).expand(size),
        x[columns].view(1, 1, -1, x.shape[1]).expand(size),
    ]
    return torch.cat(parts, dim=-1).flatten(0, 2)


def _cross_attention(attention: torch.nn.Module, x: torch.Tensor, sequence: _Sequence) -> torch.Tensor:
    q = _heads_last(attention.norm_q(attention.q(x)), sequence.heads)
    k = _heads_last(attention.norm_k(attention.k(sequence.context)), sequence.heads)
    v = _heads_last(attention.v(sequence.context), sequence.heads)
    # PyTorch's attention takes a bias only in the dtype of q.
    bias = _bias(q, k, sequence).to(q.dtype).transpose(1, 2) if sequence.binding.references else None
    mixed = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=bias)
    return attention.o(mixed.transpose(1, 2).flatten(2))


def _bias(q: torch.Tensor, k: torch.Tensor, sequence: _Sequence) -> torch.Tensor:
    """MCAM of every token, zeros for the video: [batch, tokens, heads, 512] float32."""
    batch, _, heads, _ = q.shape
    video = sequence.frames * sequence.area
    parts = []
    for reference, weight in enumerate(sequence.words):
        start = video + reference * sequence.area
        logits = _picture_logits(q[:, start:start + sequence.area].float(), k.float(), sequence)
        parts.append(sequence.ratio * logits.abs() * weight)
    nothing = torch.zeros(1, 1, 1, 1, device=q.device).repeat(batch, video, heads, UMT5.length)
    return torch.cat([nothing, torch.cat(parts, dim=1)], dim=1)


def _picture_logits(q: torch.Tensor, k: torch.Tensor, sequence: _Sequence) -> torch.Tensor:
    """Logits of the pooled queries of one reference, repeated over its cells: [batch, area, heads, 512]."""
    batch, _, heads, head_dim = q.shape
    pool, height, width = sequence.pool, sequence.height, sequence.width
    grid = q.reshape(batch, height, width, heads * head_dim).movedim(-1, 1)
    cells = F.avg_pool2d(F.pad(grid, (0, -width % pool, 0, -height % pool)), pool)
    rows, columns = cells.shape[2:]
    cells = cells.reshape(batch, heads, head_dim, rows * columns)
    logits = torch.einsum("bhdc,bthd->bcht", cells, k) * head_dim**-0.5
    logits = logits.unflatten(1, (rows, columns))
    logits = logits.repeat_interleave(pool, dim=1).repeat_interleave(pool, dim=2)
    # Cut from the padded grid, so the rows drift where the width is no multiple of the pool.
    return logits.flatten(1, 2)[:, :sequence.area]


def _word_weights(binding: Binding) -> list[list[float]]:
    """The 512 text weights of each reference."""
    def marks(spans):
        return [float(any(start <= token < end for start, end in spans)) for token in range(UMT5.length)]

    people = [marks(spans) for spans in binding.subject_spans]
    weights = [marks(spans) for spans in binding.non_human_spans]
    for subject, images in enumerate(binding.subject_images):
        others = [mask for number, mask in enumerate(people) if number != subject]
        mean = [sum(column) / len(others) for column in zip(*others)] if others else [0.0] * UMT5.length
        weights += [[own - other for own, other in zip(people[subject], mean)]] * images
    return weights
