"""Lynx's adapters while they are trained: what the nodes read from a file, with gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..models.containers import ModuleDict, ModuleList
from ..models.lynx.adapters import ID_LAYERS, REF_LAYERS
from ..models.lynx.attention import KeysValues
from ..models.lynx.folding import Norm, fold_identities, fold_references, project_identities
from ..models.lynx.layers import AdapterLayer
from ..models.lynx.resampler import Resampler
from ..models.lynx.sizes import AdapterSizes, ResamplerSizes
from ..models.wan.module import WanModule
from ..models.wan.network import Network

Pairs = Mapping[int, KeysValues]
"""Block to keys and values, [clips, tokens, width]."""


class TrainedAdapters(nn.Module):
    """Resampler, ID layers and reference layers of Lynx full; the state dict is the single file that the nodes read.

    Args:
        resampler: its sizes.
        width: channels of the transformer, and of an identity token.
        blocks: of the transformer.
        registers: learned tokens behind the identity tokens.
    """

    def __init__(self, resampler: ResamplerSizes, width: int, blocks: int, registers: int) -> None:
        super().__init__()
        self.resampler = Resampler(resampler)
        self.blocks = ModuleList(_Block(width, registers) for _ in range(blocks))
        numbers = tuple(range(blocks))
        self._sizes = {
            ID_LAYERS: AdapterSizes("full", width, width, registers, numbers),
            REF_LAYERS: AdapterSizes("ref", width, width, 0, numbers),
        }

    def reader(self, part: str) -> TrainedLayers:
        """The layers of ``ID_LAYERS`` or ``REF_LAYERS``, as ``folding`` takes them."""
        return TrainedLayers(self._sizes[part], self.blocks)

    def fold_identities(self, base: WanModule, embeddings: torch.Tensor) -> Pairs:
        """Keys and values of the ID layers for face embeddings [clips, numbers]; zeros are nobody."""
        tokens = self.resampler(embeddings)
        projected = project_identities(self.reader(ID_LAYERS), tokens, tokens.device, tokens.dtype)
        return fold_identities("full", projected, [block.cross_attn.norm_k for block in base.blocks])

    def fold_references(self, base: WanModule, features: torch.Tensor) -> Pairs:
        """Keys and values of the reference layers for features [clips, blocks, tokens, width]."""
        norms: list[Norm] = [block.self_attn.norm_k for block in base.blocks]
        return fold_references(self.reader(REF_LAYERS), features.unbind(1), norms, dtype=features.dtype)


class TrainedLayers:
    """See ``models.lynx.layers.Layers``."""

    def __init__(self, sizes: AdapterSizes, blocks: ModuleList[_Block]) -> None:
        self.sizes, self._blocks = sizes, blocks

    def read(
        self, block: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> AdapterLayer:
        """The parameters of a layer in this dtype, through which gradients go back."""
        layer = self._blocks[block]
        if self.sizes.kind == "ref":
            adapter = layer.self_attn["ref_adapter"]
            parts = (adapter.to_k_ref.weight, adapter.to_v_ref.weight, adapter.to_k_ref.bias, adapter.to_v_ref.bias)
        else:
            adapter = layer.cross_attn["ip_adapter"]
            parts = (
                adapter.to_k_ip.weight, adapter.to_v_ip.weight, adapter.to_k_ip.bias, adapter.to_v_ip.bias,
                adapter.registers[0],
            )
        return AdapterLayer(*(part.to(device, dtype) for part in parts))


class _IdAdapter(nn.Module):
    def __init__(self, width: int, registers: int) -> None:
        super().__init__()
        self.to_k_ip, self.to_v_ip = nn.Linear(width, width), nn.Linear(width, width)
        self.registers = nn.Parameter(torch.zeros(1, registers, width))


class _RefAdapter(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_k_ref, self.to_v_ref = nn.Linear(width, width), nn.Linear(width, width)


class _Block(nn.Module):
    def __init__(self, width: int, registers: int) -> None:
        super().__init__()
        self.cross_attn = ModuleDict({"ip_adapter": _IdAdapter(width, registers)})
        self.self_attn = ModuleDict({"ref_adapter": _RefAdapter(width)})


def initialise_adapters(adapters: TrainedAdapters, base: Network, seed: int) -> None:
    """Draw the weights to train from: keys as the base makes them of its own tokens, values that add nothing yet."""
    generator = torch.Generator().manual_seed(seed)
    for name, part in adapters.named_parameters():
        if part.ndim > 1:
            # An embedding is of unit length, so its layer needs weights that are not divided by its inputs.
            spread = 1.0 if name.endswith("proj_in.weight") else part.shape[-1] ** -0.5
            part.data.normal_(std=1.0 if name.endswith("registers") else spread, generator=generator)
        elif name.endswith("bias"):
            part.data.zero_()
    for of_base, layer in zip(base.blocks, adapters.blocks):
        for key, value, source in (
            (layer.cross_attn["ip_adapter"].to_k_ip, layer.cross_attn["ip_adapter"].to_v_ip, of_base.cross_attn.k),
            (layer.self_attn["ref_adapter"].to_k_ref, layer.self_attn["ref_adapter"].to_v_ref, of_base.self_attn.k),
        ):
            key.weight.data.copy_(source.weight.data)
            key.bias.data.copy_(source.bias.data)
            value.weight.data.zero_()
            value.bias.data.zero_()
