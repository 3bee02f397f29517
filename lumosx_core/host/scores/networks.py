"""Room on ComfyUI's card for the networks that score a video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.model_management
import torch

from ...faces.catalogue import ARCFACE, AUTOMATIC, CURRICULARFACE

# What a network computes needs room on the card beside its weights.
_ROOM = 1.5
# IR-100's 65 million weights take 261 MB in float32, and 32 crops in its first block 103 MB for each of a few steps.
_EMBEDDER = 1 << 30
# "automatic" may turn out to be ArcFace; the others do not run in PyTorch.
_ON_CARD = (AUTOMATIC, ARCFACE, CURRICULARFACE)


@contextmanager
def on_device(model: torch.nn.Module) -> Iterator[None]:
    """Keep a network on ComfyUI's device inside the ``with``; ComfyUI makes room for it, and it goes back after."""
    device = comfy.model_management.get_torch_device()
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    comfy.model_management.free_memory(_ROOM * weights, device)
    try:
        model.to(device)
        yield
    finally:
        model.to("cpu")
        comfy.model_management.soft_empty_cache()


@contextmanager
def room_for_embedders(*names: str) -> Iterator[torch.device]:
    """The device for embedders of these names, to be opened inside the ``with`` once ComfyUI has made room for them.

    Keep none of them: the last reference must be gone at the end, when their memory is given back.
    """
    device = comfy.model_management.get_torch_device()
    room = _EMBEDDER * sum(name in _ON_CARD for name in names)
    if room:
        comfy.model_management.free_memory(room, device)
    try:
        yield device
    finally:
        if room:
            comfy.model_management.soft_empty_cache()
