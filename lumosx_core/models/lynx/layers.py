"""One adapter layer at a time from a weight file of any kind, as plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch

from ...errors import LumosXError
from ...weights.checksum import WeightsDigest, tensor_bytes
from ...weights.dense import read_dense
from ...weights.quantised import QuantisedLayer, find_quantised_layers
from ...weights.source import WeightSource
from .recognise import QUANTO_DATA, FoundLayers, FoundResampler
from .sizes import AdapterSizes

_QUANTO_SCALE = "._scale"


@dataclass(frozen=True)
class AdapterLayer:
    """What makes an adapter's keys and values in one block (spec: sections 1.2 to 1.4).

    Attributes:
        k_weight, v_weight: [width, input_width].
        k_bias, v_bias: [width]; None in lite layers.
        registers: [registers, input_width], learned tokens that follow the identity tokens; None except in full.
    """

    k_weight: torch.Tensor
    v_weight: torch.Tensor
    k_bias: torch.Tensor | None = None
    v_bias: torch.Tensor | None = None
    registers: torch.Tensor | None = None


class Layers(Protocol):
    """The layers of one adapter, from a file or in training."""

    sizes: AdapterSizes

    def read(self, block: int, dtype: torch.dtype = ..., device: torch.device | str = ...) -> AdapterLayer:
        """The layer of a block in this dtype, on this device."""


class LayerReader:
    """Reads the layers of an adapter, each only when it is asked for; nothing is kept.

    Args:
        found: from ``find_lynx``; its file must stay open.

    Raises:
        LumosXError: the file says something unreadable about its quantisation.
    """

    def __init__(self, found: FoundLayers) -> None:
        self.sizes = found.sizes
        self._found = found
        self._quantised = quantised_weights(
            found.source, {f"{block}.{part}": stored for block, parts in found.names.items()
                           for part, stored in parts.items()}
        )

    def read(self, block: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> AdapterLayer:
        """The layer of a block.

        Args:
            dtype, device: of the tensors that are returned, whatever the file holds.

        Raises:
            LumosXError: the block has no layer, or its numbers cannot be read.
        """
        if block not in self._found.names:
            raise LumosXError(
                f"blocks: block {block} has no Lynx {self.sizes.kind} layer; choose from "
                f"{', '.join(map(str, self.sizes.blocks))}."
            )

        names = self._found.names[block]

        def part(name: str) -> torch.Tensor:
            numbers = read_tensor(self._found.source, names[name], self._quantised.get(f"{block}.{name}"))
            return numbers.to(device=device, dtype=dtype)

        registers = part("registers") if "registers" in names else None
        if registers is not None:
            registers = registers.reshape(self.sizes.registers, self.sizes.input_width)
        k_bias, v_bias = (part(name) if name in names else None for name in ("k.bias", "v.bias"))
        return AdapterLayer(part("k.weight"), part("v.weight"), k_bias, v_bias, registers)


def quantised_weights(source: WeightSource, names: Mapping[str, str]) -> dict[str, QuantisedLayer]:
    """The weights that are scaled fp8, under their names without the file's own.

    Args:
        names: a name that ends in ``.weight`` or ``.bias``, or ``….registers``, to the name in the file.

    Raises:
        LumosXError: what the file says about its quantisation cannot be read.
    """
    plain = {name: stored for name, stored in names.items() if not stored.endswith(QUANTO_DATA)}
    return find_quantised_layers(source, plain)


def read_tensor(source: WeightSource, stored: str, layer: QuantisedLayer | None) -> torch.Tensor:
    """One tensor of a file as plain numbers on the CPU, perhaps mapped from disk: do not write to it.

    Raises:
        LumosXError: it is stored in a way that cannot be turned back into numbers.
    """
    if not stored.endswith(QUANTO_DATA):
        return read_dense(source, stored, layer)
    scale = stored.removesuffix(QUANTO_DATA) + _QUANTO_SCALE
    data = source.read(stored)
    if scale not in source.tensors or data.dtype != torch.int8 or source.tensors[scale].shape != (len(data), 1):
        raise LumosXError(
            f"{source.path}: {stored[:80]!r} is not optimum-quanto's int8 with a scale for each row; take the bf16 "
            "file of the same adapter."
        )
    return data.float().mul_(source.read(scale).float())


def adapter_checksum(found: FoundLayers | FoundResampler, after_each: Callable[[], None] = lambda: None) -> str:
    """64 hexadecimal digits that tell one set of weights from another, whatever its file and its tensors are called.

    All numbers are read once, tensor by tensor, as they are stored: the same weights in another precision differ.

    Args:
        after_each: called after each tensor; it may raise.
    """
    digest, source = WeightsDigest(), found.source
    names = found.names if isinstance(found, FoundResampler) else {
        f"{block}.{part}": stored for block, parts in found.names.items() for part, stored in parts.items()
    }
    for name, stored in names.items():
        info = source.tensors[stored]
        digest.add(name, info.kind, info.shape, tensor_bytes(source.read(stored)))
        after_each()
    return digest.hexdigest()
