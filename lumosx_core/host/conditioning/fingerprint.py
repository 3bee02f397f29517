"""What identifies a loaded model by its content, since ComfyUI's objects do not know their file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import comfy.model_management
import comfyui_version
import torch

from ...weights.checksum import tensor_bytes

_PIECES, _PIECE_BYTES = 4, 1024
"""Of each tensor that many bytes are looked at, spread evenly; smaller ones are taken whole."""


def model_fingerprint(patcher: Any) -> str | None:
    """64 hexadecimal digits for weights, structure, host and device; other ones have others.

    A bounded sample of every tensor is read where it lies: 1 MB of UMT5's 11 GB, in milliseconds once those pages are
    in memory. So training, merging or another precision shows, but not a few values changed by hand in between. It
    takes so little time that nothing is kept on an object that is not ours.

    Args:
        patcher: the ModelPatcher of a CLIP or VAE.

    Returns:
        None where what the model computes depends on more than that, such as a LoRA, a hook or a replaced forward.
    """
    if _is_changed(patcher):
        return None
    digest = hashlib.sha256(json.dumps(_surroundings(patcher)).encode())
    for name, module in patcher.model.named_modules():
        if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
            return None
        digest.update(f"{name} {type(module).__module__} {type(module).__qualname__}\n".encode())
    for name, tensor in _original_tensors(patcher):
        for label, part in _plain_parts(name, tensor):
            if part.is_meta or part.is_quantized or part.layout is not torch.strided:
                return None
            digest.update(f"{label} {part.dtype} {list(part.shape)}\n".encode())
            digest.update(tensor_bytes(_sample(part)))
    return digest.hexdigest()


def _surroundings(patcher: Any) -> list[str]:
    """What else decides over the last bit of a result."""
    types = {name: str(value) for name, value in sorted(patcher.object_patches.items())}
    device = comfy.model_management.get_torch_device_name(patcher.load_device)
    return [torch.__version__, comfyui_version.__version__, device, json.dumps(types)]


def _is_changed(patcher: Any) -> bool:
    """Whether other nodes hung something on a model."""
    attached = (patcher.patches, patcher.weight_wrapper_patches, patcher.hook_patches, patcher.forced_hooks,
                patcher.injections, patcher.additional_models)
    called = (*patcher.callbacks.values(), *patcher.wrappers.values())
    # Later versions of ComfyUI set the type to compute in as an object patch on every text encoder.
    objects = [value for value in patcher.object_patches.values() if not isinstance(value, torch.dtype)]
    return any(attached) or any(any(functions.values()) for functions in called) or bool(objects)


def _original_tensors(patcher: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights as they were loaded; not as a state dict, in which other packs put stand-ins.

    A LoRA on a clone lies in the weights that both share until the other is loaded again; the host keeps what it
    replaced.
    """
    buffers = getattr(patcher, "backup_buffers", {})
    for name, tensor in patcher.model.named_parameters():
        if name in patcher.backup:
            tensor = patcher.backup[name].weight
        elif name in patcher.hook_backup:
            tensor, _ = patcher.hook_backup[name]
        yield name, tensor
    for name, tensor in patcher.model.named_buffers():
        yield name, buffers.get(name, tensor)


def _plain_parts(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """The plain tensors that any kind of tensor consists of."""
    if hasattr(tensor, "__tensor_flatten__"):
        parts, context = tensor.__tensor_flatten__()
        for part in parts:
            yield from _plain_parts(f"{name} {context} {part}", getattr(tensor, part))
        return
    # GGUF tensors of other packs report another shape than their bytes have, and refuse to be detached.
    with torch._C.DisableTorchFunctionSubclass():
        plain = torch.Tensor.detach(tensor)
    yield name, plain


def _sample(tensor: torch.Tensor) -> torch.Tensor:
    """Some bytes of a tensor, on the CPU."""
    data = tensor.flatten().view(torch.uint8)
    if len(data) > _PIECES * _PIECE_BYTES:
        data = data.as_strided((_PIECES, _PIECE_BYTES), ((len(data) - _PIECE_BYTES) // (_PIECES - 1), 1))
    return data.cpu()
