"""What ComfyUI is told about memory before it decides how much of a model stays on the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .socket import REFERENCES


def count_references(executor, model, noise_shape, conds, *arguments, **options):
    """A PREPARE_SAMPLING wrapper: every reference is one more latent frame for the host's estimate.

    The host only knows the latent's own shape, and would keep too many weights on the card.
    """
    batch, channels, frames, *size = noise_shape
    shape = [batch, channels, frames + most_references(conds), *size]
    return executor(model, shape, conds, *arguments, **options)


def most_references(conds: Mapping[str, Sequence[Mapping[str, Any]]]) -> int:
    """The largest number of references in any of a sampler's conditionings; 0 without LumosX conditioning."""
    held = (cond.get("model_conds", {}).get(REFERENCES) for entries in conds.values() for cond in entries or ())
    return max((len(references.cond) for references in held if references is not None), default=0)
