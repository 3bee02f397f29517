"""Conditioning entries: what the host's samplers take, with the references in it."""

from __future__ import annotations

import torch

from ...models.lumosx.presence import Presence
from ...models.lumosx.sequence import Binding
from ..socket import model_conditions


def with_references(
    conditioning: list, latents: list[torch.Tensor], binding: Binding, presence: Presence | None = None
) -> list:
    """A CONDITIONING with references; the argument is not changed.

    Args:
        conditioning: pairs of a text's embedding and its options.
        latents: normalised, in token order, each [1, 16, 1, height, width].
        binding: what they are bound to.
        presence: when they are there; in every step unless given.
    """
    extra = model_conditions(latents, binding, presence)
    return [[text, {**options, "model_conds": {**options.get("model_conds", {}), **extra}}]
            for text, options in conditioning]
