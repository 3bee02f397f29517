"""What other ports of Lynx do differently: each way replaces what LumosX does while a bench runs.

Each way is a function that takes the adapters and returns a context manager. docs/lynx.md describes them.
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
    """The query of the reference attention has rotary positions, although its keys have none.

    Args:
        grid: number of tokens of the video along time, rows and columns.
        reference_tokens: number of keys of the reference layers, by which they are recognised.
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
    """In the reference pass, each block's reference adapter attends to the block's own input."""
    layers, number = _layers(adapters), 0

    def with_adapter(layer, x, rotate, dense):
        nonlocal number
        # The reference pass does not compute the last block's attention.
        index = number % (len(layers) - 1)
        number += 1
        return self_attention(layer, x, rotate, dense, [_own(layers[index], layer, x)])

    with mock.patch("lumosx_core.models.lynx.reference.self_attention", with_adapter):
        yield


@contextmanager
def attending_to_the_video(adapters: Adapters) -> Iterator[None]:
    """Where no reference should act, the reference adapter attends to the video's own tokens instead."""
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
    """What a reference adapter adds when it attends to the attention layer's own input."""
    moved = AdapterLayer(*(None if part is None else part.to(x) for part in vars(adapter).values()))
    return Addition(normalise("ref", project(moved, x), attention.norm_k), 1.0)


def _layers(adapters: Adapters) -> list[AdapterLayer]:
    with adapters.reader(REF_LAYERS) as reader:
        return [reader.read(block) for block in reader.sizes.blocks]
