"""Counts of a forward that no neighbour on the machine can disturb: FLOPs, operations and the largest tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from benchmarks.live import storage_of, tensors_in


def count_flops(run: Callable[[], object]) -> int:
    """Multiplications and additions (2 for each pair) of every matrix product, convolution and attention.

    A masked attention counts as all of its tokens, since that is what the kernels compute.
    """
    # Without this, PyTorch's counter ignores the CPU's attention kernel.
    known = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=known) as counter:
        run()
    return counter.get_total_flops()


def _attention_flops(query, key, value, *arguments, out_shape=None, **options) -> int:
    return sdpa_flop_count(query, key, value)


@dataclass(frozen=True)
class Counts:
    """What was made.

    Attributes:
        operations: calls of PyTorch's operators, views among them.
        largest_elements: elements of the largest memory that any result lies in.
        attention: names of the attention kernels that ran.
    """

    operations: int
    largest_elements: int
    attention: tuple[str, ...]


def count_operations(run: Callable[[], object]) -> Counts:
    """Watch one call; inference mode would hide what composite operators consist of."""
    with torch.no_grad(), _Watch() as watch:
        run()
    return Counts(watch.operations, watch.largest_elements, tuple(sorted(watch.attention)))


class _Watch(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.operations = 0
        self.largest_elements = 0
        self.attention: set[str] = set()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        self.operations += 1
        name = function.overloadpacket.__name__
        if "scaled_dot_product" in name:
            self.attention.add(name)
        given = {storage_of(tensor) for tensor in tensors_in((arguments, options))}
        for tensor in tensors_in(result):
            # A view of an argument makes nothing.
            if storage_of(tensor) not in given:
                elements = tensor.untyped_storage().nbytes() // tensor.itemsize
                self.largest_elements = max(self.largest_elements, elements)
        return result
