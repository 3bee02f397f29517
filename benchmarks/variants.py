"""The three ways to compute one forward, each as a call without arguments on the same model and inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from benchmarks.dense import dense_forward, pytorch_attention
from benchmarks.release import release_forward
from benchmarks.shapes import Inputs
from lumosx_core.models.attention import DenseAttention
from lumosx_core.models.lumosx import RelationalOptions, TableCache, relational_forward
from lumosx_core.models.lumosx.cost import CHUNK_TOKENS, forward_work, prompt_flops
from lumosx_core.models.wan.config import WanConfig

NAMES = ("release", "dense", "ours")


class Ours:
    """The relational forward as a sampling run calls it: the first call makes the run's tables, later ones find them.

    Without references it is the stock forward, as in ComfyUI.
    """

    def __init__(self, model: torch.nn.Module, inputs: Inputs, attention: DenseAttention = pytorch_attention):
        self.model = model
        self.inputs = inputs
        self.attention = attention
        self.tables = TableCache()

    def __call__(self) -> torch.Tensor:
        model, inputs = self.model, self.inputs
        if not inputs.references:
            return dense(model, inputs)()
        return relational_forward(
            model, inputs.latent, inputs.timestep, inputs.context, inputs.references, inputs.binding, self.attention,
            cache=self.tables, chunk_tokens=CHUNK_TOKENS,
        )

    def flops(self) -> int:
        """What the formula says of a call that finds the tables."""
        layout, shape = self.inputs.layout, WanConfig.of_module(self.model)
        if not self.inputs.references:
            return forward_work(layout, shape, prune=False).total + prompt_flops(shape)
        tables = self.tables.find(self.model, self.inputs.context, layout, RelationalOptions())
        return forward_work(layout, shape, text_keys=tables.texts[0].keys.shape[1]).total


def release(model: torch.nn.Module, inputs: Inputs) -> Callable[[], torch.Tensor]:
    """Baseline (a)."""
    return partial(
        release_forward, model, inputs.latent, inputs.timestep, inputs.context, inputs.references, inputs.binding
    )


def dense(model: torch.nn.Module, inputs: Inputs) -> Callable[[], torch.Tensor]:
    """Baseline (b)."""
    return partial(dense_forward, model, inputs.latent, inputs.timestep, inputs.context, inputs.references)


def all_variants(model: torch.nn.Module, inputs: Inputs) -> dict[str, Callable[[], torch.Tensor]]:
    """Name -> call, in the order of NAMES."""
    return {"release": release(model, inputs), "dense": dense(model, inputs), "ours": Ours(model, inputs)}
