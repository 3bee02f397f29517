"""What other ports of Lynx do otherwise, put in place of what LumosX does for as long as a bench runs.

Each is a context manager of the adapters. What it stands for is in docs/lynx.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from unittest import mock

import torch
from torch import nn

from lumosx_core.models.lynx.adapters import REF_LAYERS, Adapters
from lumosx_core.models.lynx.attention import Addition, add_attention, self_attention
from lumosx_core.models.lynx.folding import normalise, project
from lumosx_core.models.lynx.layers import AdapterLayer
from lumosx_core.models.wan.rotary import rotate_heads, wan_rotary_table

Way = Callable[[Adapters], AbstractContextManager[None]]


def rotated_query(grid: tuple[int, int, int], reference_tokens: int) -> Way:
    """The reference attention's query has positions, which its keys do not have.

    Args:
        grid: tokens of the video along time, rows and columns.
        reference_tokens: by which the keys of the reference layers are known.
    """
    positions = torch.cartesian_prod(*(torch.arange(side) for side in grid))

    def way(adapters: Adapters) -> AbstractContextManager[None]:
        def with_positions(attended, q, additions, heads, *others):
            if additions[0].folded.keys.shape[1] == reference_tokens:
                q = rotate_heads(q, heads, wan_rotary_table(positions, q.shape[2] // heads))
            return add_attention(attended, q, additions, heads, *others)

        return mock.patch("lumosx_core.host.methods.lynx_layers.add_attention", with_positions)

    return way


@contextmanager
def adapter_in_its_own_pass(adapters: Adapters) -> Iterator[None]:
    """While the photo is read, each block's reference adapter attends to the block's own input."""
    layers, number = _layers(adapters), 0

    def with_adapter(layer, x, rotate, dense):
        nonlocal number
        # The last block's attention is not computed.
        index = number % (len(layers) - 1)
        number += 1
        return self_attention(layer, x, rotate, dense, [_own(layers[index], layer, x)])

    with mock.patch("lumosx_core.models.lynx.reference.self_attention", with_adapter):
        yield


@contextmanager
def attending_to_the_video(adapters: Adapters) -> Iterator[None]:
    """Where no reference is to act, the reference adapter attends to the video's own tokens instead."""
    from lumosx_core.host.methods import lynx

    layers, right = _layers(adapters), lynx.added

    @contextmanager
    def added(model: nn.Module, id_additions, ref_additions) -> Iterator[None]:
        with right(model, id_additions, ref_additions), ExitStack() as hooks:
            for index, block in enumerate(model.blocks):
                if index not in ref_additions:
                    _to_itself(hooks, block.self_attn, layers[index])
            yield

    with mock.patch.object(lynx, "added", added):
        yield


def _to_itself(hooks: ExitStack, attention: nn.Module, adapter: AdapterLayer) -> None:
    seen: dict[str, torch.Tensor] = {}

    def note_input(module, given):
        seen["x"] = given[0]

    def note_query(module, given, q):
        seen["q"] = q.clone()

    def add(module, given: Sequence[torch.Tensor]):
        own = _own(adapter, attention, seen["x"])
        share = add_attention(torch.zeros_like(seen["q"]), seen["q"], [own], attention.num_heads)
        return given[0] + share, *given[1:]

    for handle in (
        attention.register_forward_pre_hook(note_input), attention.norm_q.register_forward_hook(note_query),
        attention.o.register_forward_pre_hook(add),
    ):
        hooks.callback(handle.remove)


def _own(adapter: AdapterLayer, attention: nn.Module, x: torch.Tensor) -> Addition:
    """A reference adapter over what the layer itself is given."""
    moved = AdapterLayer(*(None if part is None else part.to(x) for part in vars(adapter).values()))
    return Addition(normalise("ref", project(moved, x), attention.norm_k), 1.0)


def _layers(adapters: Adapters) -> list[AdapterLayer]:
    with adapters.reader(REF_LAYERS) as reader:
        return [reader.read(block) for block in reader.sizes.blocks]
