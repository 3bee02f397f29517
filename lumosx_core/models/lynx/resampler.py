"""The Perceiver resampler: a face embedding becomes identity tokens (paper section 3.2, spec section 1.1)."""

from __future__ import annotations

import torch
from torch import nn

from ..attention import dense_attention
from ..containers import ModuleList
from .layers import quantised_weights, read_tensor
from .recognise import FoundResampler
from .sizes import ResamplerSizes


class PerceiverAttention(nn.Module):
    """Latents attend to the face and to themselves; no biases."""

    def __init__(self, sizes: ResamplerSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.norm1 = nn.LayerNorm(sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.to_q = nn.Linear(sizes.width, sizes.inner_width, bias=False)
        self.to_kv = nn.Linear(sizes.width, 2 * sizes.inner_width, bias=False)
        self.to_out = nn.Linear(sizes.inner_width, sizes.width, bias=False)

    def forward(self, face: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """face [batch, 1, width] and latents [batch, queries, width] to [batch, queries, width]."""
        face, latents = self.norm1(face), self.norm2(latents)
        q = self.to_q(latents)
        k, v = self.to_kv(torch.cat([face, latents], dim=1)).chunk(2, dim=-1)
        return self.to_out(dense_attention(q, k, v, self.heads))


class Resampler(nn.Module):
    """Its parameters have the release's names."""

    def __init__(self, sizes: ResamplerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.latents = nn.Parameter(torch.randn(1, sizes.queries, sizes.width) * sizes.width**-0.5)
        self.proj_in = nn.Linear(sizes.face_width, sizes.width)
        self.layers = ModuleList(
            nn.ModuleList([PerceiverAttention(sizes), _feed_forward(sizes)]) for _ in range(sizes.depth)
        )
        self.proj_out = nn.Linear(sizes.width, sizes.token_width)
        self.norm_out = nn.LayerNorm(sizes.token_width)

    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        """Identity tokens of faces.

        Args:
            embedding: [batch, face_width], of unit length; the zero vector gives the null tokens of guidance.

        Returns:
            [batch, queries, token_width].
        """
        face = self.proj_in(embedding[:, None])
        latents = self.latents.expand(len(embedding), -1, -1)
        for attention, feed_forward in self.layers:
            latents = latents + attention(face, latents)
            latents = latents + feed_forward(latents)
        return self.norm_out(self.proj_out(latents))

    def null_tokens(self) -> torch.Tensor:
        """[1, queries, token_width]: the tokens of nobody, which are not zero."""
        return self(self.latents.new_zeros(1, self.sizes.face_width))


def _feed_forward(sizes: ResamplerSizes) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(sizes.width),
        nn.Linear(sizes.width, sizes.hidden_width, bias=False),
        nn.GELU(),
        nn.Linear(sizes.hidden_width, sizes.width, bias=False),
    )


def load_resampler(found: FoundResampler, device: torch.device | str = "cpu") -> Resampler:
    """The resampler of an open file, in float32, ready for use; the file may be closed afterwards.

    Raises:
        LumosXError: its numbers cannot be read.
    """
    with torch.device("meta"):
        resampler = Resampler(found.sizes)
    quantised = quantised_weights(found.source, found.names)
    state = {
        # Copied, so that no mapping keeps the file.
        name: read_tensor(found.source, stored, quantised.get(name)).to(device, torch.float32, copy=True)
        for name, stored in found.names.items()
    }
    resampler.load_state_dict(state, assign=True)
    return resampler.train(False).requires_grad_(False)
