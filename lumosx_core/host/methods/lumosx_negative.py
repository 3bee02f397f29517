"""A negative text for a LumosX MODEL that computes one pass a step, as at cfg 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.patcher_extension
import torch

from ...errors import LumosXError
from ...models.lumosx.negative import NegativeGuidance, NegativeText
from ...models.wan.config import WanConfig
from ..model.wrappers import put_wrappers
from .lumosx import WRAPPER_KEY, RelationalWrapper

_NEEDED = "put LumosX Model, or LumosX Model Loader, before it."


def model_away_from(model: Any, negative: Sequence[Sequence[Any]], guidance: NegativeGuidance) -> Any:
    """A clone of a LumosX MODEL whose video is guided away from a text; the constants of an earlier one go.

    Args:
        model: a ModelPatcher with the relational forward.
        negative: a CONDITIONING of one text; only the text is used.
        guidance: the constants; where these do nothing the model acts as without.

    Raises:
        LumosXError: a model without the relational forward, several texts, or a text of another encoder.
    """
    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    earlier = model.get_wrappers(kind, WRAPPER_KEY)
    if not earlier:
        raise LumosXError(f"model: it has no relational forward, in which alone this node has an effect; {_NEEDED}")
    text = None
    if guidance.acts:
        text = NegativeText(_text_of(negative, model.get_model_object("diffusion_model")), guidance)
    clone = model.clone()
    put_wrappers(clone, WRAPPER_KEY, {kind: RelationalWrapper(earlier[-1].options, earlier[-1].memory, text)})
    return clone


def _text_of(negative: Sequence[Sequence[Any]], network: Any) -> torch.Tensor:
    """[1, tokens, text_dim]."""
    if len(negative) != 1:
        raise LumosXError(
            f"negative: it holds {len(negative)} texts, but one is used; link the negative of LumosX Relational "
            "Encode, or CLIP Text Encode."
        )
    text = negative[0][0]
    width = WanConfig.of_module(network).text_dim
    if text.ndim != 3 or text.shape[0] != 1 or text.shape[2] != width:
        raise LumosXError(
            f"negative: its text has the shape {tuple(text.shape)}, but this model reads (1, tokens, {width}); encode "
            "it with the CLIP of the prompt."
        )
    return text
