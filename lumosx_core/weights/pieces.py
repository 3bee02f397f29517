"""Tensors a few rows at a time, so that what is computed from them stays small."""

from __future__ import annotations

import torch

_NUMBERS_AT_ONCE = 1 << 20


def row_pieces(tensor: torch.Tensor, columns: int | None = None) -> tuple[torch.Tensor, ...]:
    """Views of a few rows each: as many as ``columns`` (those of the tensor itself) allow at once."""
    return tensor.reshape(-1, tensor.shape[-1]).split(max(1, _NUMBERS_AT_ONCE // (columns or tensor.shape[-1])))
