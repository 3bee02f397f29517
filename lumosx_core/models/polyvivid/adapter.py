"""All weights of an adapter, under the names of its file format."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import nn

from ..containers import ModuleDict
from .config import AdapterConfig
from .injection import Injection
from .interaction import STREAMS, Interaction
from .lora import MakeLinear

INTERACT_PARTS = tuple(
    f"{stream}_{part}" for stream in STREAMS for part in ("attn.q", "attn.k", "attn.v", "mlp.0", "mlp.2")
)
INTERACT_OPTIONAL = tuple(f"{stream}_attn.proj" for stream in STREAMS)
INJECT_PARTS = ("q", "k", "v", "mlp.0", "mlp.2")
INJECT_OPTIONAL = ("proj",)
_DOWN = re.compile(r"double_blocks\.(\d+)\.(interact|inject)\.(.+)\.lora_down\.weight")


class DoubleBlockAdapter(nn.Module):
    """Modules A and B of one double block."""

    def __init__(self, interact: Interaction, inject: Injection) -> None:
        super().__init__()
        self.interact, self.inject = interact, inject


class PolyVividAdapter(nn.Module):
    """The adapter: modules A and B for each of its layers.

    A new one changes the model: its injection adds nothing, but text passes through the interaction in every layer.

    Args:
        config: sizes and settings.
        shapes: the shape of each tensor in a file, whose ranks and optional parts the adapter then has; None for a new
            adapter with ``config.rank`` and without optional parts.
        linear: what makes linear layers.
    """

    def __init__(
        self,
        config: AdapterConfig,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        linear: MakeLinear = nn.Linear,
    ) -> None:
        super().__init__()
        self.config = config
        shapes = new_shapes(config) if shapes is None else shapes
        ranks: dict[tuple[int, str], dict[str, int]] = {}
        for name, shape in shapes.items():
            if found := _DOWN.fullmatch(name):
                ranks.setdefault((int(found[1]), found[2]), {})[found[3]] = shape[0]
        self.double_blocks = ModuleDict({
            str(layer): DoubleBlockAdapter(
                Interaction(config, ranks[layer, "interact"], linear),
                Injection(
                    config, ranks[layer, "inject"], f"double_blocks.{layer}.inject.alpha" in shapes, linear
                ),
            )
            for layer in config.layers
        })

    def layer(self, index: int) -> DoubleBlockAdapter:
        """The modules of one double block."""
        return self.double_blocks[str(index)]


def new_shapes(config: AdapterConfig, with_optional: bool = False) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of an adapter whose LoRAs all have ``config.rank``."""
    hidden, mlp = config.hidden_size, config.mlp_size
    sizes = {"mlp.0": (hidden, mlp), "mlp.2": (mlp, hidden)}
    interact = INTERACT_PARTS + (INTERACT_OPTIONAL if with_optional else ())
    inject = INJECT_PARTS + (INJECT_OPTIONAL if with_optional else ())
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in config.layers:
        for module, parts in (("interact", interact), ("inject", inject)):
            for part in parts:
                inputs, outputs = sizes.get(part.removeprefix("img_").removeprefix("txt_"), (hidden, hidden))
                prefix = f"double_blocks.{layer}.{module}.{part}"
                shapes[f"{prefix}.lora_down.weight"] = (config.rank, inputs)
                shapes[f"{prefix}.lora_up.weight"] = (outputs, config.rank)
        shapes[f"double_blocks.{layer}.inject.fc.weight"] = (hidden, hidden)
        shapes[f"double_blocks.{layer}.inject.fc.bias"] = (hidden,)
        if with_optional:
            shapes[f"double_blocks.{layer}.inject.alpha"] = (1,)
    return shapes


def adapter_of(config: AdapterConfig, tensors: Mapping[str, torch.Tensor]) -> PolyVividAdapter:
    """An adapter in float32 from its tensors, under the names of ``new_shapes``."""
    adapter = PolyVividAdapter(config, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    adapter.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return adapter
