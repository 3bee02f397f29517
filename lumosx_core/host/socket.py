"""What travels from the encoder to the model inside a CONDITIONING, and from the sampler inside the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import comfy.conds
import torch

from ..errors import LumosXError
from ..models.lumosx.presence import Presence
from ..models.lumosx.sequence import Binding

REFERENCES = "lumosx_references"
BINDING = "lumosx_binding"
PRESENCE = "lumosx_presence"
"""Only in conditionings some of whose references are absent from some steps."""
TIMESTEP = "lumosx_timestep"
READING = "lumosx_reading"
"""Among the transformer options, only while LumosX Relation Map looks at a finished video."""
LYNX_WRAPPER = "lumosx_lynx"
"""Key of what LumosX Lynx puts onto a MODEL."""
LYNX_BRANCH = "lumosx_lynx_branch"
"""Says of a conditioning which row of Lynx's identities acts in it; see ``methods.lynx_branches``."""


@dataclass(frozen=True)
class MissingModelNode:
    """Stands where a stock Wan model looks for further frames, and says what is missing as soon as it looks.

    Without it a model that was not patched would silently ignore every reference.
    """

    NAME: ClassVar[str] = "time_dim_concat"
    SENTENCE: ClassVar[str] = (
        "model: it does not support LumosX conditioning, so every reference would be ignored; put a LumosX Model "
        "node between the model loader and the sampler."
    )

    def __getattr__(self, name: str):
        if name in ("shape", "ndim"):
            raise LumosXError(self.SENTENCE)
        raise AttributeError(name)


@dataclass(frozen=True)
class MissingLynxNode(MissingModelNode):
    """The same for conditionings of LumosX Lynx Guidance on a model without Lynx."""

    SENTENCE: ClassVar[str] = (
        "model: positive and negative come from LumosX Lynx Guidance, but this model has no Lynx, so the face would be "
        "ignored; link the model output of LumosX Lynx Guidance."
    )


OWN = frozenset({REFERENCES, BINDING, PRESENCE, MissingModelNode.NAME})
"""Names of everything in ``model_conditions``."""


class RunsAlone(comfy.conds.CONDConstant):
    """A condition that keeps its pass from running together with another, as ComfyUI asks each of them."""

    def can_concat(self, other) -> bool:
        """Never."""
        return False


def model_conditions(references: list[torch.Tensor], binding: Binding, presence: Presence | None = None) -> dict:
    """``model_conds`` of one conditioning entry.

    Args:
        references: normalised latents in token order, each [1, 16, 1, height, width].
        binding: what they are bound to.
        presence: when they are there, unless all are there in every step.
    """
    limited = presence is not None and presence.is_limited
    return {
        **({PRESENCE: comfy.conds.CONDConstant(presence)} if limited else {}),
        # A list, not one tensor: context windows cut any tensor whose size happens to be the number of frames.
        REFERENCES: comfy.conds.CONDList(references),
        BINDING: comfy.conds.CONDConstant(binding),
        MissingModelNode.NAME: comfy.conds.CONDConstant(MissingModelNode()),
    }


def held_conditions(conditioning: list) -> Mapping[str, Any]:
    """The ``model_conditions`` in a CONDITIONING: of its first entry with references; empty if none has any."""
    held = (options.get("model_conds", {}) for _, options in conditioning)
    return next((one for one in held if BINDING in one), {})
