"""Lynx's adapters in training: the layers that the nodes read from a file, here with gradients."""

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
"""Keys and values by block, [clips, tokens, width] each."""


class TrainedAdapters(nn.Module):
    """The resampler, ID layers and reference layers of Lynx full; their state dict is what a single Lynx file holds.

    Args:
        resampler: sizes of the resampler.
        width: channels of the transformer and of an identity token.
        blocks: number of blocks of the transformer.
        registers: number of learned tokens after the identity tokens.
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
        """The layers of a part, ``ID_LAYERS`` or ``REF_LAYERS``, for the functions of ``folding``."""
        return TrainedLayers(self._sizes[part], self.blocks)

    def fold_identities(self, base: WanModule, embeddings: torch.Tensor) -> Pairs:
        """Keys and values of the ID layers for face embeddings [clips, numbers]; zeros mean nobody."""
        tokens = self.resampler(embeddings)
        projected = project_identities(self.reader(ID_LAYERS), tokens, tokens.device, tokens.dtype)
        return fold_identities("full", projected, [block.cross_attn.norm_k for block in base.blocks])

    def fold_references(self, base: WanModule, features: torch.Tensor) -> Pairs:
        """Keys and values of the reference layers for features [clips, blocks, tokens, width]."""
        norms: list[Norm] = [block.self_attn.norm_k for block in base.blocks]
        return fold_references(self.reader(REF_LAYERS), features.unbind(1), norms, dtype=features.dtype)


class TrainedLayers:
    """The layers of one adapter: a ``models.lynx.layers.Layers`` whose weights have gradients."""

    def __init__(self, sizes: AdapterSizes, blocks: ModuleList[_Block]) -> None:
        self.sizes, self._blocks = sizes, blocks

    def read(
        self, block: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> AdapterLayer:
        """The parameters of a block's layer, converted to this dtype and device; gradients pass through."""
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
    """Set the initial weights: the base's own for keys, zero for values, so that the adapters add nothing at first."""
    generator = torch.Generator().manual_seed(seed)
    for name, part in adapters.named_parameters():
        if part.ndim > 1:
            # Embeddings have unit length, so these weights are not scaled down by the number of inputs.
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
