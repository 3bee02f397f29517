"""The loss of a PolyVivid adapter beside a frozen HunyuanVideo."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from ..models.hunyuan.network import HunyuanNetwork
from ..models.polyvivid.adapter import PolyVividAdapter
from ..models.polyvivid.config import RunOptions
from ..models.polyvivid.forward import polyvivid_forward
from ..sampling.solvers import TRAINING_TIMESTEPS
from .adapter_cases import AdapterSample
from .flow import draw_sigmas, training_attention
from .trainer import Trainer, TrainingPlan


class AdapterTrainer(Trainer[PolyVividAdapter, AdapterSample]):
    """Trains an adapter on the flow-matching loss: the error of the velocity, noise - latent.

    Args:
        base: frozen; moved to the device.
        adapter: all of it is trained.
        plan: how.
        dtype, device: to compute in and on.
        about: what else a checkpoint has to agree with before it is gone on from.
        guidance: the embedded guidance that the base is given.
        recompute: compute blocks twice rather than keep them.
    """

    def __init__(
        self, base: HunyuanNetwork, adapter: PolyVividAdapter, plan: TrainingPlan, dtype: torch.dtype,
        device: torch.device, about: dict[str, Any] | None = None, guidance: float = 1.0, recompute: bool = False,
    ) -> None:
        super().__init__(adapter.to(dtype), plan, dtype, device, about)
        self.base = base.to(device, dtype)
        self._guidance, self._recompute = guidance, recompute

    def _go_back(self, samples: list[AdapterSample]) -> float:
        return self._go_back_from([partial(self._loss_of, sample) for sample in samples])

    def _loss_of(self, sample: AdapterSample) -> torch.Tensor:
        sigmas = draw_sigmas(1, self.plan.shift, self._generator)
        noise = torch.randn(sample.latent.shape, generator=self._generator)
        dropped = torch.rand((), generator=self._generator).item() < self.plan.unconditional
        text = sample.negative if dropped else sample.text
        sigma, noise, latent = (one.to(self.device) for one in (sigmas, noise, sample.latent))

        def here(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(self.device, self.dtype)

        mixed = sigma.view(-1, 1, 1, 1, 1)
        velocity = polyvivid_forward(
            self.base, self.network, here((1 - mixed) * latent + mixed * noise), sigma * TRAINING_TIMESTEPS,
            here(text.context), here(text.pooled), torch.full_like(sigma, self._guidance),
            [here(one) for one in sample.subjects], text.layout, RunOptions(), training_attention, self._recompute,
        )
        return (velocity.float() - (noise - latent)).square().mean()
