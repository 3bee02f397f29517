"""How many bytes of tensors are alive at once: the part of memory that our own code decides about.

It counts storages, not what a process or card reserves, so the same code gives the same number on every machine.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Follows every storage that an operator makes until nothing refers to it; what is from before counts nothing.

        with LiveBytes() as live:
            forward()
        print(live.peak)

    Room that a kernel takes and gives back inside one operator is not seen.

    Attributes:
        now: bytes alive that were made since the start.
        peak: the most that ``now`` has been.
        largest: bytes of the largest storage made.
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = self.largest = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, operator, types, arguments=(), options=None):
        options = options or {}
        result = operator(*arguments, **options)
        given = {storage_of(tensor) for tensor in tensors_in((arguments, options))}
        for tensor in tensors_in(result):
            # A view, or something changed in place, is nothing new.
            if storage_of(tensor) not in given:
                self._follow(tensor.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known.add(storage)
        weakref.finalize(storage, self._forget, size).atexit = False
        self.now += size
        self.peak, self.largest = max(self.peak, self.now), max(self.largest, size)

    def _forget(self, size: int) -> None:
        self.now -= size


def tensors_in(tree) -> Iterator[torch.Tensor]:
    """All tensors in nested arguments or results of an operator."""
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))


def storage_of(tensor: torch.Tensor) -> int:
    """The same number for all views of one memory."""
    return tensor.untyped_storage()._cdata
