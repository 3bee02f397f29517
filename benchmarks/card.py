"""What only a CUDA card can tell: its peak rate, its memory, its kernels, and what streaming the weights costs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.measuring import timed
from lumosx_core.attention.backend_calls import run_kernel
from lumosx_core.attention.backend_kernels import Kernel, hardware_of, kernel_order
from lumosx_core.attention.backends import BACKENDS, resolve_backend
from lumosx_core.errors import LumosXError
from lumosx_core.models.attention import DenseAttention

MATMUL = 8192
"""Side of the square matrices whose product gives the card's rate."""


def peak_tflops(device: torch.device, dtype: torch.dtype, rounds: int = 20) -> float:
    """The fastest of some large matrix products, in 10**12 FLOPs a second; clocks are as they are."""
    a, b = (torch.randn(MATMUL, MATMUL, device=device, dtype=dtype) for _ in range(2))
    milliseconds = [timed(lambda: a @ b, device)[0] for _ in range(rounds)]
    return 2 * MATMUL**3 / min(milliseconds) / 1e9


def peak_bytes(run: Callable[[], object], device: torch.device) -> tuple[int, int]:
    """(most bytes allocated on the card during a call, how many of them were there before)."""
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device), before


@contextlib.contextmanager
def best_kernels(device: torch.device) -> Iterator[None]:
    """Let PyTorch's attention take its kernels in the order that is best on this device, for all variants alike."""
    ranked = [getattr(SDPBackend, name) for name in kernel_order(hardware_of(device))]
    with sdpa_kernel(ranked, set_priority=True) if ranked else contextlib.nullcontext():
        yield


def eight_bit_attention(device: torch.device, dtype: torch.dtype) -> dict[str, DenseAttention]:
    """The backends that compute in 8 bits and work here, by the names under which users choose them."""
    found: dict[str, DenseAttention] = {}
    for choice in (name for name, backend in BACKENDS.items() if backend.eight_bit):
        # It is not an error if one is missing here; the row says which ones there were.
        with contextlib.suppress(LumosXError):
            found[choice] = attention_of(resolve_backend(choice, hardware_of(device), device, dtype).kernel)
    return found


def attention_of(kernel: Kernel) -> DenseAttention:
    """A backend's kernel as the forward calls it."""
    return lambda q, k, v, heads: run_kernel(kernel, q, k, v, heads, False, False, None)


@contextlib.contextmanager
def streamed(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Keep the weights off the card, as the host's partial loading does under the smallest budget."""
    from comfy.model_patcher import ModelPatcher

    resident = next(model.parameters()).device
    offload = torch.device("cpu")
    patcher = ModelPatcher(model.to(offload), load_device=device, offload_device=offload)
    # 0 would mean no limit.
    patcher.patch_model(device, lowvram_model_memory=1)
    try:
        yield
    finally:
        patcher.unpatch_model(offload)
        model.to(resident)
