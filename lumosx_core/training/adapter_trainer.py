"""The loss of a PolyVivid adapter beside a frozen HunyuanVideo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..models.hunyuan.network import HunyuanNetwork
from ..models.polyvivid.adapter import PolyVividAdapter
from ..models.polyvivid.config import RunOptions
from ..models.polyvivid.forward import DEFAULTS, polyvivid_forward
from .adapter_cases import EncodedText
from .flow import training_attention
from .hunyuan_trainer import HunyuanTrainer
from .trainer import TrainingPlan


class AdapterTrainer(HunyuanTrainer[PolyVividAdapter]):
    """Trains an adapter on the flow-matching loss: the error of the velocity, noise - latent.

    Args:
        base: frozen; moved to the device.
        adapter: all of it is trained.
        plan: how.
        dtype, device: to compute in and on.
        about: what else a checkpoint has to agree with before it is gone on from.
        guidance: the embedded guidance that the base is given.
        recompute: compute blocks twice rather than keep them.
        options: which parts of the adapter run.
    """

    def __init__(
        self, base: HunyuanNetwork, adapter: PolyVividAdapter, plan: TrainingPlan, dtype: torch.dtype,
        device: torch.device, about: dict[str, Any] | None = None, guidance: float = 1.0, recompute: bool = False,
        options: RunOptions = DEFAULTS,
    ) -> None:
        super().__init__(adapter.to(dtype), plan, dtype, device, about)
        self.base = base.to(device, dtype)
        self.guidance, self._recompute, self._options = guidance, recompute, options

    def velocity(
        self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor,
        guidance: torch.Tensor, subjects: Sequence[torch.Tensor], text: EncodedText,
    ) -> torch.Tensor:
        """As its base class, with the adapter on the frozen network."""
        return polyvivid_forward(
            self.base, self.network, x, timesteps, context, pooled, guidance, subjects, text.layout, self._options,
            training_attention, self._recompute,
        )
