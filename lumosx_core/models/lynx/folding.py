"""Adapters folded into keys and values, once for a sampling run (spec sections 1.2 to 1.4 and 5).

Neither timestep nor noise nor prompt has a part in them, so the adapters' weights are needed only here, and only one
layer of them at a time. What identity tokens become before the key's norm does not even depend on the transformer; an
identity card keeps that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
import torch.nn.functional as F

from .attention import KeysValues
from .layers import AdapterLayer, Layers
from .sizes import AdapterKind

Norm = Callable[[torch.Tensor], torch.Tensor]

LITE_EPSILON = 1e-5


def project(layer: AdapterLayer, inputs: torch.Tensor) -> KeysValues:
    """Keys before their norm, and values.

    Args:
        layer: in the dtype to compute in.
        inputs: identity tokens or reference features [rows, tokens, input_width].

    Returns:
        [rows, tokens, width] each; with registers, theirs follow.
    """
    inputs = inputs.to(layer.k_weight)
    if layer.registers is not None:
        inputs = torch.cat([inputs, layer.registers.expand(len(inputs), -1, -1)], dim=1)
    return KeysValues(F.linear(inputs, layer.k_weight, layer.k_bias), F.linear(inputs, layer.v_weight, layer.v_bias))


def normalise(kind: AdapterKind, projected: KeysValues, norm_k: Norm) -> KeysValues:
    """Keys as the attention takes them.

    Args:
        norm_k: the transformer's own norm of the keys in this layer: of ``cross_attn`` for full ID layers, of
            ``self_attn`` for reference layers. Lite layers have a norm without weights instead.
    """
    keys = projected.keys
    keys = F.rms_norm(keys, keys.shape[-1:], eps=LITE_EPSILON) if kind == "lite" else norm_k(keys)
    return KeysValues(keys, projected.values)


def project_identities(
    reader: Layers, tokens: torch.Tensor, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Iterator[tuple[int, KeysValues]]:
    """Block by block what identity tokens become before the key's norm; see ``project``.

    Args:
        reader: of ID layers.
        tokens: [people, tokens, input_width].
        device, dtype: to compute on and in.
    """
    for block in reader.sizes.blocks:
        yield block, project(reader.read(block, dtype, device), tokens.to(device))


def fold_identities(
    kind: AdapterKind, projected: Iterable[tuple[int, KeysValues]], norms: Mapping[int, Norm] | list[Norm],
    keep_on: torch.device | str | None = None,
) -> dict[int, KeysValues]:
    """Block to the ID adapter's keys and values.

    Args:
        kind: of the ID layers.
        projected: from ``project_identities`` or an identity card; blocks that are left out stay without the adapter.
        norms: of a block's ``cross_attn.norm_k``.
        keep_on: device of what comes out; None for the device that it was computed on.
    """
    return {block: normalise(kind, pair, norms[block]).to(keep_on) for block, pair in projected}


def fold_references(
    reader: Layers,
    features: Iterable[torch.Tensor],
    norms: Mapping[int, Norm] | list[Norm],
    blocks: Iterable[int] | None = None,
    dtype: torch.dtype = torch.float32,
    keep_on: torch.device | str | None = None,
) -> dict[int, KeysValues]:
    """Block to the reference adapter's keys and values.

    Args:
        reader: of reference layers.
        features: of every block in order, [pictures, tokens, width], from ``reference_features``. Each is dropped
            before the next is asked for.
        norms: of a block's ``self_attn.norm_k``.
        blocks: those that have the adapter; None for all.
        dtype: to compute in, on the features' device.
        keep_on: device of what comes out; None for the features' device.
    """
    chosen = set(reader.sizes.blocks if blocks is None else blocks)
    folded = {}
    for block, feature in enumerate(features):
        if block in chosen:
            # Without a name for the layer, which would keep it while the next is read.
            projected = project(reader.read(block, dtype, feature.device), feature)
            folded[block] = normalise("ref", projected, norms[block]).to(keep_on)
    return folded
