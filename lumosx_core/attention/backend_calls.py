"""One attention call in the host's form: whether a backend can take it, and taking it."""

from __future__ import annotations

from typing import Any

import torch

from .backend_kernels import Kernel
from .backends import Chosen

# A batch of more crashes some kernels, for which the host's own attention has a loop.
_LARGEST_BATCH = 2**15
_KNOWN_OPTIONS = {"scale", "enable_gqa", "low_precision_attention", "transformer_options", "_inside_attn_wrapper"}


def unsupported_reason(
    chosen: Chosen,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    heads: int,
    mask: torch.Tensor | None,
    skip_reshape: bool,
    options: dict[str, Any],
) -> str | None:
    """Why a call must go to the host's PyTorch attention instead, in words; None if the backend can take it.

    SageAttention silently ignores a mask, and other packages take only some shapes and types.

    Args:
        q, k, v: [batch, tokens, heads * head_dim], or [batch, heads, tokens, head_dim] with ``skip_reshape``.
        mask: of any form that the host knows.
        options: the other keyword arguments of the call.
    """
    if mask is not None:
        return "calls with a mask"
    if not _KNOWN_OPTIONS.issuperset(options):
        return f"calls with {min(set(options) - _KNOWN_OPTIONS)}"
    if q.shape[0] > _LARGEST_BATCH:
        return "very large batches"
    shared = k.shape[1] != q.shape[1] if skip_reshape else k.shape[-1] != q.shape[-1]
    backend = chosen.backend
    if backend is None:
        return "heads that share keys" if shared else None
    if shared and not backend.shared_heads:
        return "heads that share keys"
    if backend.eight_bit and options.get("low_precision_attention", True) is False:
        return "calls that ask for full precision"
    if not (q.dtype == k.dtype == v.dtype and q.dtype in backend.dtypes):
        return f"calls in {str(q.dtype).removeprefix('torch.')}"
    head_dim = q.shape[-1] if skip_reshape else q.shape[-1] // heads
    if head_dim not in backend.head_dims:
        return f"heads of {head_dim} channels"
    if q.shape[2 if skip_reshape else 1] < backend.fewest_tokens:
        return f"calls of fewer than {backend.fewest_tokens} tokens"
    return None


def run_kernel(
    kernel: Kernel,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    heads: int,
    skip_reshape: bool,
    skip_output_reshape: bool,
    scale: float | None,
) -> torch.Tensor:
    """A call that ``unsupported_reason`` has nothing against.

    Returns:
        [batch, tokens, heads * head_dim], or [batch, heads, tokens, head_dim] with ``skip_output_reshape``.
    """
    if skip_reshape:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    else:
        head_dim = q.shape[-1] // heads
        q, k, v = (x.unflatten(-1, (-1, head_dim)) for x in (q, k, v))
    answer = kernel(q, k, v, scale)
    return answer.transpose(1, 2) if skip_output_reshape else answer.flatten(2)
