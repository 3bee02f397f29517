"""One function an attention backend, all of one form, and what PyTorch's own kernels do best on a card."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.attention
import torch.nn.functional as F

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, "float | None"], torch.Tensor]
"""``kernel(q, k, v, scale)`` on [batch, tokens, heads, head_dim] without a mask; returns the shape of q and changes
nothing it was given. A scale of None is 1/sqrt(head_dim)."""

LEAST_COSINE, LEAST_COSINE_FP4 = 0.98, 0.95
"""What ``probe`` must give. Rounding its numbers in PyTorch leaves 0.9996 with 8 bits, and 0.982 with fp4 as
SageAttention 3 rounds; a broken build is far off."""
_HOPPER = (9, 0)


@dataclass(frozen=True)
class Hardware:
    """Where attention is computed.

    Attributes:
        kind: "cuda" (NVIDIA), "rocm" (AMD), or torch's name of another kind of device: "cpu", "mps", "xpu" …
        name: for messages.
        capability: compute capability of an NVIDIA card; None elsewhere.
    """

    kind: str
    name: str
    capability: tuple[int, int] | None = None


def hardware_of(device: torch.device) -> Hardware:
    """What a device is."""
    if device.type == "cpu":
        return Hardware("cpu", "the CPU")
    if device.type != "cuda":
        return Hardware(device.type, device.type)
    name = torch.cuda.get_device_name(device)
    if torch.version.hip:
        return Hardware("rocm", name)
    return Hardware("cuda", name, torch.cuda.get_device_capability(device))


def kernel_order(hardware: Hardware) -> tuple[str, ...]:
    """PyTorch's attention kernels by the names of ``SDPBackend``, best first; empty where torch had better decide.

    From Hopper on cuDNN comes first: 631 against FlashAttention 2's 329 TFLOP/s on an H100 (pytorch issue 142132).
    Before Hopper FlashAttention 2 is advised (nvidia-cosmos/cosmos-predict2, pull request 42), though reports disagree
    (docs/attention.md); torch for Windows has none, so that cuDNN is next there too (ComfyUI pull request 9299).
    """
    known = inspect.signature(torch.nn.attention.sdpa_kernel).parameters
    if hardware.capability is None or "set_priority" not in known:
        return ()
    fast = ("CUDNN_ATTENTION", "FLASH_ATTENTION")
    return (*(fast if hardware.capability >= _HOPPER else reversed(fast)), "EFFICIENT_ATTENTION", "MATH")


def load_pytorch(order: Sequence[str]) -> Kernel:
    """torch's own attention, with its kernels in this order; in torch's order if empty."""
    if not order:
        return _pytorch
    ranked = [getattr(torch.nn.attention.SDPBackend, name) for name in order]

    def kernel(q, k, v, scale):
        with torch.nn.attention.sdpa_kernel(ranked, set_priority=True):
            return _pytorch(q, k, v, scale)

    return kernel


def _pytorch(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float | None) -> torch.Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2)


def load_sage_1() -> Kernel:
    """SageAttention 1: q and k in int8, v in fp16, in Triton."""
    from sageattention import sageattn

    def kernel(q, k, v, scale):
        # It subtracts the mean key in place, and the caller's k may be a slice that others read.
        return sageattn(q, k.clone(), v, tensor_layout="NHD", sm_scale=scale)

    return kernel


def load_sage_2() -> Kernel:
    """SageAttention 2: q and k in int8, v in fp8 or fp16, whatever suits the card."""
    from sageattention import sageattn

    def kernel(q, k, v, scale):
        return sageattn(q, k, v, tensor_layout="NHD", sm_scale=scale)

    return kernel


def load_sage_3() -> Kernel:
    """SageAttention 3: everything in fp4, for Blackwell cards."""
    from sageattn3 import sageattn3_blackwell

    def kernel(q, k, v, scale):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        # It knows no other scale than 1/sqrt(head_dim), and ignores one silently.
        q = q if scale is None else q * (scale * q.shape[-1] ** 0.5)
        # It subtracts the mean key in place.
        return sageattn3_blackwell(q, k.clone(), v, is_causal=False).transpose(1, 2)

    return kernel


def load_flash_2() -> Kernel:
    """FlashAttention 2, from its own package."""
    from flash_attn import flash_attn_func

    def kernel(q, k, v, scale):
        return flash_attn_func(q, k, v, softmax_scale=scale)

    return kernel


def load_flash_3() -> Kernel:
    """FlashAttention 3, for Hopper."""
    from flash_attn_interface import flash_attn_func

    def kernel(q, k, v, scale):
        answer = flash_attn_func(q, k, v, softmax_scale=scale)
        # Its earlier versions return the softmax's normaliser as well.
        return answer[0] if isinstance(answer, tuple) else answer

    return kernel


def load_xformers() -> Kernel:
    """Memory-efficient attention of xformers."""
    from xformers.ops import memory_efficient_attention

    def kernel(q, k, v, scale):
        return memory_efficient_attention(q, k, v, scale=scale)

    return kernel


def load_kitchen() -> Kernel:
    """Int8 attention of the package that newer ComfyUI installs itself."""
    from comfy_kitchen import int8_attention

    def kernel(q, k, v, scale):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return int8_attention(q, k, v, scale=scale).transpose(1, 2)

    return kernel


def probe(kernel: Kernel, device: torch.device, dtype: torch.dtype) -> float:
    """Cosine between a kernel and PyTorch on a few random tokens; whatever the kernel raises comes through."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (
        torch.randn(1, tokens, 2, 128, generator=generator).to(device, dtype) for tokens in (128, 192, 192)
    )
    exact = _pytorch(q.float(), k.float(), v.float(), None)
    return F.cosine_similarity(kernel(q, k, v, None).float().flatten(), exact.flatten(), dim=0).item()
