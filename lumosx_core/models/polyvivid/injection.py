"""Module B, attention-inherited identity injection: the video reads the subjects (paper 4.3, equations 7 and 8).

Queries come from the video, keys and values from all subjects' tokens, through the block's own layers with LoRAs beside
them. Every video token reads the same keys, whatever its frame. The result ends in a linear layer that starts as zero,
and is added to the video. Figure 2 of the paper shows the residual and the factor alpha; norms are our choice.

Each video token's result depends on that token alone, so the video goes through in chunks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ..attention import DenseAttention
from ..containers import ModuleDict
from ..hunyuan.double_block import Stream, modulate
from ..hunyuan.layers import ModulationOut
from .config import AdapterConfig
from .interaction import mlp_beside
from .lora import Lora, MakeLinear, beside, queries_of


@dataclass(frozen=True)
class _Rows:
    """What all chunks of one video share: the block's stream with LoRAs, keys, values, and modulations."""

    stream: Stream
    k: torch.Tensor
    v: torch.Tensor
    mod1: ModulationOut
    mod2: ModulationOut
    attend: DenseAttention


class Injection(nn.Module):
    """The weights of one layer's module B.

    Args:
        ranks: the rank of each LoRA, under its name in section 10's format (``q``, ``mlp.0`` …); that of the output
            projection (``proj``) may be there or not.
        with_alpha: whether the layer has a factor of its own.
    """

    q: Lora
    k: Lora
    v: Lora

    def __init__(
        self, config: AdapterConfig, ranks: dict[str, int], with_alpha: bool, linear: MakeLinear = nn.Linear
    ) -> None:
        super().__init__()
        hidden, mlp = config.hidden_size, config.mlp_size
        for part in ("q", "k", "v", "proj"):
            if part in ranks:
                self.add_module(part, Lora(hidden, hidden, ranks[part], config.alpha, linear))
        self.mlp = ModuleDict({
            "0": Lora(hidden, mlp, ranks["mlp.0"], config.alpha, linear),
            "2": Lora(mlp, hidden, ranks["mlp.2"], config.alpha, linear),
        })
        self.fc = linear(hidden, hidden)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        self.alpha = nn.Parameter(torch.ones(1)) if with_alpha else None
        self.gated = config.inject_norm == "gated"

    def forward(
        self,
        block: nn.Module,
        z: torch.Tensor,
        z_i: torch.Tensor,
        vec: torch.Tensor,
        image_vec: torch.Tensor,
        attend: DenseAttention,
        rotary: tuple[torch.Tensor, torch.Tensor] | None = None,
        chunk_tokens: int = 0,
    ) -> torch.Tensor:
        """What is added to the video, before alpha and strength.

        Args:
            block: the layer's double block.
            z: [batch, video tokens, hidden].
            z_i: [batch, subject tokens, hidden], after the interaction.
            vec, image_vec: [batch, hidden], what modulates z and z_i.
            rotary: rotations of video and of subject tokens; None for none.
            chunk_tokens: video tokens at a time; 0 is all of them.

        Returns:
            [batch, video tokens, hidden].
        """
        stream = Stream.of(block, "img")
        mod1, mod2 = stream.modulation(vec)
        image_mod1 = mod1 if image_vec is vec else stream.modulation(image_vec)[0]
        x_i = modulate(stream.norm1(z_i), image_mod1)
        _, k, v = stream.qkv(x_i)
        k = stream.turn(k + self.k(x_i), stream.key_norm, None if rotary is None else rotary[1])
        shared = _Rows(stream, k, v + self.v(x_i), mod1, mod2, attend)

        chunk = chunk_tokens or z.shape[1]
        spans = [slice(start, start + chunk) for start in range(0, z.shape[1], chunk)]
        parts = (
            self._rows(block, z[:, span], shared, None if rotary is None else rotary[0][span]) for span in spans
        )
        if len(spans) == 1 or torch.is_grad_enabled():
            return torch.cat(list(parts), dim=1)
        delta = torch.empty_like(z)
        for span, part in zip(spans, parts):
            delta[:, span] = part
        return delta

    def _rows(
        self, block: nn.Module, z: torch.Tensor, shared: _Rows, rotary: torch.Tensor | None
    ) -> torch.Tensor:
        """The same for some of the video's tokens."""
        stream = shared.stream
        x = modulate(stream.norm1(z), shared.mod1)
        q = stream.turn(queries_of(block.get_submodule("img_attn.qkv"), x) + self.q(x), stream.query_norm, rotary)
        h = beside(stream.proj, getattr(self, "proj", None))(shared.attend(q, shared.k, shared.v, stream.heads))
        if self.gated:
            h = shared.mod1.gate * h
        u = mlp_beside(stream.mlp, self.mlp)(modulate(stream.norm2(h), shared.mod2))
        if self.gated:
            u = torch.addcmul(h, u, shared.mod2.gate)
        return self.fc(u)

    def added(self, delta: torch.Tensor, strength: float) -> torch.Tensor:
        """``forward``'s result times alpha and strength."""
        return delta * strength if self.alpha is None else delta * (self.alpha.to(delta) * strength)
