"""Random tensors that depend on a seed and a name only, never on the order in which they are drawn."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch


def seeded_normal(seed: int, name: str, shape: Sequence[int]) -> torch.Tensor:
    """Standard normal numbers, float32.

    Args:
        seed: 0 or more.
        name: what the tensor is; another name gives independent numbers.
        shape: any.
    """
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return torch.from_numpy(generator.standard_normal(tuple(shape), dtype=np.float32))
