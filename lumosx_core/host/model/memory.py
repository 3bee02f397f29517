"""The memory estimate by which ComfyUI decides how much of a model stays on the card, and the VRAM budget."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_base
import comfy.model_management
import comfy.supported_models
import torch

from ...errors import LumosXError
from ...models.lumosx import sequence_layout
from ...models.lumosx.cost import GIGABYTE, least_budget, plan_forward
from ...models.lumosx.sequence import Binding, SequenceLayout
from ...models.wan.config import WAN21_1_3B, WAN21_LATENT, WanConfig
from ...models.wan.module import WanModule
from ..socket import BINDING, REFERENCES

MARGIN = 1.1
"""Room for activations, as a multiple of what is predicted. At true size 1.05 times the prediction was measured:
kernels need room of their own, and memory that is free in pieces cannot always be used again."""


@dataclass(frozen=True)
class SamplingMemory:
    """How a model uses the card while it samples.

    ComfyUI's own partial loading keeps a budget: instead of its own estimate for the latent, which is about twice what
    LumosX takes, it is given a need beside which just the rest of the budget fits. Cards on which it loads a share of
    the weights whatever it needs have the excess taken off again, also by ComfyUI's own means.

    Args:
        budget_bytes: for weights and activations together, on each card; 0 leaves it to ComfyUI.
    """

    budget_bytes: int = 0

    @classmethod
    def of_gigabytes(cls, gigabytes: float) -> SamplingMemory:
        """From the number that a user gave.

        Raises:
            LumosXError: it is below 0 or no number.
        """
        if not 0 <= gigabytes < math.inf:
            raise LumosXError(f"vram_budget: {gigabytes} must be >= 0 gigabytes; use 0 for automatic.")
        return cls(int(gigabytes * GIGABYTE))

    def prepare(self, executor, patcher, noise_shape, conds, *arguments, **options):
        """A PREPARE_SAMPLING wrapper: every reference is one more latent frame for the host's estimate.

        The host only knows the latent's own shape, and would keep too many weights on the card.

        Raises:
            LumosXError: the budget is too small.
        """
        entries = [entry for passes in conds.values() for entry in passes or ()]
        batch, channels, frames, *size = noise_shape
        shape = [batch, channels, frames + most_references(entries), *size]
        if not self.budget_bytes:
            return executor(patcher, shape, conds, *arguments, **options)
        activations = self._bytes_for_activations(patcher, shape, noise_shape, entries)
        if comfy.model_management.is_device_cpu(patcher.load_device):
            return executor(patcher, shape, conds, *arguments, **options)
        weights = max(0, self.budget_bytes - activations)
        # Where less is free than the budget, it is the weights that give way.
        need = max(activations, max(_most_free(placed.load_device) for placed in _on_all_devices(patcher)) - weights)
        # The host's estimate is in proportion to the area, so one frame of another area stands for any need.
        area = math.prod(shape[2:]) * need / patcher.model.memory_required(shape)
        prepared = executor(patcher, [batch, channels, 1, 1, math.ceil(area)], conds, *arguments, **options)
        for placed in _on_all_devices(patcher):
            excess = placed.loaded_size() - weights
            if excess > 0:
                placed.partially_unload(placed.offload_device, excess)
                comfy.model_management.soft_empty_cache()
        return prepared

    def _bytes_for_activations(
        self, patcher: Any, shape: Sequence[int], noise_shape: Sequence[int], entries: Iterable[Mapping[str, Any]]
    ) -> int:
        """What the budget has to leave to activations.

        Raises:
            LumosXError: more than the budget.
        """
        bindings = {held[BINDING].cond for held in _held(entries) if BINDING in held}
        if not bindings:
            # ComfyUI's own forward, so its own estimate.
            needed = math.ceil(patcher.model.memory_required(shape))
            self._check(needed)
            return needed
        module = patcher.model.diffusion_model
        sizes, element, batch = WanConfig.of_module(module), computing_dtype(patcher.model).itemsize, noise_shape[0]
        layouts = [sequence_layout(module, noise_shape, binding) for binding in bindings]
        self._check(max(least_budget(layout, sizes, element, batch) for layout in layouts))
        plans = (plan_forward(layout, sizes, element, batch, self.budget_bytes) for layout in layouts)
        return math.ceil(MARGIN * max(plan.activation_bytes for plan in plans))

    def _check(self, needed: int) -> None:
        if needed > self.budget_bytes:
            raise LumosXError(
                f"vram_budget: {self.budget_bytes / GIGABYTE:g} GB is too little for this video, which takes "
                f"{math.ceil(needed / GIGABYTE * 10) / 10} GB with all weights off the card; raise it, or make a "
                "smaller or shorter video."
            )

    def runs_apart(self, model: Any, x: torch.Tensor, conditions: Sequence[Sequence[Mapping[str, Any]] | None]) -> bool:
        """Whether the passes of one step must not run together.

        The host decides by the latent alone, which is right without references and without a budget.

        Args:
            model: the host's BaseModel.
            x: [batch, channels, frames, height, width].
            conditions: of every pass.
        """
        entries = [entry for passes in conditions for entry in passes or ()]
        references = most_references(entries)
        if self.budget_bytes or not references:
            return bool(self.budget_bytes)
        batch, channels, frames, *size = x.shape
        together = [len(entries) * batch, channels, frames + references, *size]
        # The margin is the host's.
        return model.memory_required(together) * 1.5 >= comfy.model_management.get_free_memory(x.device)

    def chunk_tokens(self, module: WanModule, x: torch.Tensor, binding: Binding) -> int:
        """Tokens at a time for a forward on the latent x; decided by sizes alone, so that a run can be repeated."""
        layout = sequence_layout(module, x.shape, binding)
        sizes = WanConfig.of_module(module)
        return plan_forward(layout, sizes, x.element_size(), len(x), self.budget_bytes).chunk_tokens


UNLIMITED = SamplingMemory()
"""Everything is left to ComfyUI."""


def planned_bytes(layout: SequenceLayout, dim: int = WAN21_1_3B.dim) -> int:
    """What ComfyUI itself plans for the activations of one video on this machine, for a model of this width in bf16."""
    frames = layout.frames + layout.binding.references
    shape = WAN21_LATENT.grid_shape((frames, layout.height, layout.width))
    return math.ceil(_model_of_width(dim).memory_required(shape))


class _WithoutWeights(comfy.model_base.WAN21):
    """ComfyUI's Wan2.1 without its network, for its memory estimate."""

    def get_dtype(self):
        """What the model computes in."""
        return torch.bfloat16


@functools.lru_cache(maxsize=8)
def _model_of_width(dim: int) -> comfy.model_base.WAN21:
    sizes = {"image_model": "wan2.1", "model_type": "t2v", "dim": dim}
    return _WithoutWeights(comfy.supported_models.WAN21_T2V({**sizes, "disable_unet_model_creation": True}))


def most_references(entries: Iterable[Mapping[str, Any]]) -> int:
    """The largest number of references in any of a sampler's conditioning entries; 0 without LumosX conditioning."""
    return max((len(held[REFERENCES].cond) for held in _held(entries) if REFERENCES in held), default=0)


def computing_dtype(model: Any) -> torch.dtype:
    """What a BaseModel of either host computes in."""
    return model.manual_cast_dtype or model.get_dtype()


def _on_all_devices(patcher: Any) -> list[Any]:
    """A model, and its copies on other cards that ComfyUI's MultiGPU CFG Split has made."""
    return [patcher, *patcher.get_additional_models_with_key("multigpu")]


def _most_free(device: torch.device) -> int:
    """What the host could have for a model and its work once it has taken all others off the card."""
    management: Any = comfy.model_management
    # A model that is gone leaves its place in the list until the host next looks.
    held = (one for one in management.current_loaded_models if one.model is not None and one.device == device)
    loaded = sum(one.model_loaded_memory() for one in held)
    return management.get_free_memory(device) + loaded - management.extra_reserved_memory()


def _held(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [entry.get("model_conds", {}) for entry in entries]
