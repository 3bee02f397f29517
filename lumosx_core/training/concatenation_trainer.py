"""Trains the method that PolyVivid is compared with: LoRAs in all blocks, and subjects' tokens next to the video's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..models.hunyuan.network import HunyuanNetwork
from ..models.polyvivid.concatenation import concatenated_forward
from .adapter_cases import EncodedText
from .flow import training_attention
from .hunyuan_trainer import HunyuanTrainer
from .lora import LoraLinear
from .trainer import TrainingPlan


class ConcatenationTrainer(HunyuanTrainer[HunyuanNetwork]):
    """Trains a LoRA for every linear layer of every block.

    Args:
        base: the LoRAs are added to it in place.
        rank: of each LoRA; alpha is the same.
        seed: of their initial weights.
        plan, dtype, device, about: as for ``Trainer``.
    """

    def __init__(
        self, base: HunyuanNetwork, rank: int, seed: int, plan: TrainingPlan, dtype: torch.dtype,
        device: torch.device, about: dict[str, Any] | None = None,
    ) -> None:
        base.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        for blocks in (base.double_blocks, base.single_blocks):
            _add_loras(blocks, rank, generator)
        super().__init__(base.to(dtype), plan, dtype, device, about)

    def velocity(
        self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor,
        guidance: torch.Tensor, subjects: Sequence[torch.Tensor], text: EncodedText,
    ) -> torch.Tensor:
        """As its base class, with the subjects' tokens next to the video's."""
        return concatenated_forward(
            self.network, x, timesteps, context, pooled, guidance, subjects, training_attention
        )

    def merged(self) -> dict[str, torch.Tensor]:
        """The base's weights with the averaged LoRAs merged into them, float32."""
        averaged, stored = self.state_dict(), self.network.state_dict().items()
        weights = {name.replace(".base.", "."): one.float().cpu() for name, one in stored if ".lora_" not in name}
        for name, layer in self.network.named_modules():
            if isinstance(layer, LoraLinear):
                pair = averaged[f"{name}.lora_B.weight"] @ averaged[f"{name}.lora_A.weight"]
                weights[f"{name}.weight"] = weights[f"{name}.weight"] + layer.scale * pair.cpu()
        return weights


def _add_loras(module: nn.Module, rank: int, generator: torch.Generator) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, LoraLinear(child, rank, float(rank), generator))
        else:
            _add_loras(child, rank, generator)
