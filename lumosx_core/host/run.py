"""One sampling run of a LumosX model: checked before anything is loaded, and what it remembers until it ends."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import comfy.samplers
import torch

from ..model import TableCache
from .conditions import check_conditionings, check_mixture, check_parts, has_references
from .foreign import refuse_patches, refuse_unsupported
from .loras import lora_warnings
from .scene import log_warnings

_RUN = "lumosx_run"


@dataclass
class Run:
    """What one run remembers from step to step.

    Attributes:
        tables: what does not change from step to step; None while hooks change weights between steps.
        said: what was logged already.
        asked: whether the sampler asked the model for anything.
        answered: whether the relational forward gave any of the answers.
        left_out: the conditionings that the guider would not compute, as far as was known before the run.
    """

    tables: TableCache | None = None
    said: set[str] = field(default_factory=set)
    asked: bool = False
    answered: bool = False
    left_out: frozenset[str] = frozenset()


class RunWrapper:
    """An OUTER_SAMPLE wrapper: refuses what cannot be honoured before the host loads the model, then runs.

    It keeps nothing but which models ran with hooks: the host leaves a mark on those that looks like a LoRA's.
    """

    def __init__(self):
        self._hooked: weakref.WeakSet = weakref.WeakSet()

    def __call__(self, executor, noise, *arguments, **options):
        """Raises LumosXError for what a node put onto the model or into a conditioning and would have no effect."""
        guider = executor.class_obj
        patcher, model_options = guider.model_patcher, guider.model_options
        conditionings: Mapping[str, list] = guider.conds
        with_references = any(has_references(entry) for entries in conditionings.values() for entry in entries)
        left_out = _left_out(guider)
        if with_references:
            refuse_patches(patcher)
            check_conditionings(conditionings, noise.shape, left_out, model_options.get("context_handler"))
        if patcher.hook_patches:
            self._hooked.add(patcher)
        log_warnings(lora_warnings(patcher, model_options.get("registered_hooks"), self._hooked))
        # Hooks change weights between steps, and with them the text's keys and values.
        run = Run(None if patcher.hook_patches else TableCache(), left_out=left_out)
        transformer_options = {**model_options.get("transformer_options", {}), _RUN: run}
        guider.model_options = {**model_options, "transformer_options": transformer_options}
        result = executor(noise, *arguments, **options)
        if with_references and run.asked and not run.answered:
            log_warnings([
                "model: no reference had an effect, since another node answered in the place of the model in every "
                "step; remove the nodes between LumosX Model and the sampler one by one to find it."
            ])
        return result


# Not traced: ComfyUI compiles without guards on the options, and would keep the first run's for ever.
@torch.compiler.disable
def check_forward(
    model: torch.nn.Module, transformer_options: Mapping[str, Any], conditions: Mapping[str, Any],
    references: Sequence[torch.Tensor], shape: Sequence[int],
) -> None:
    """Refuse what only shows while the model is at work.

    Args:
        model: the diffusion model, as it is patched right now.
        transformer_options: of this forward.
        conditions: what else the forward is given.
        references: each [batch, 16, 1, height, width].
        shape: of what the model is given, [batch, 16, frames, height, width].

    Raises:
        LumosXError: as ``refuse_unsupported`` and ``check_parts``.
    """
    refuse_unsupported(model, transformer_options, conditions, _run_of(transformer_options).said)
    check_parts(references, shape)


@torch.compiler.disable
def tables_of(transformer_options: Mapping[str, Any]) -> TableCache | None:
    """Where this run's tables are kept; the relational forward is about to answer."""
    run = _run_of(transformer_options)
    run.answered = True
    return run.tables


def note_question(model_options: Mapping[str, Any], conditions: Sequence[Sequence[Mapping[str, Any]] | None]) -> None:
    """The sampler asks the model for a step.

    Args:
        model_options: of this step.
        conditions: of every pass.

    Raises:
        LumosXError: the sampler computes a negative without references after all, as those named cfg_pp do at cfg 1.
    """
    run = _run_of(model_options.get("transformer_options", {}))
    run.asked = True
    if run.left_out and len(conditions) == 2 and all(conditions):
        computed = dict(zip(("positive", "negative"), conditions))
        check_mixture(computed, ", or choose a sampler that leaves it out at cfg 1")


def _run_of(transformer_options: Mapping[str, Any]) -> Run:
    """The run under way; a new one for a forward outside of any."""
    return transformer_options.get(_RUN) or Run()


def _left_out(guider: Any) -> frozenset[str]:
    """Conditionings that a guider leaves out."""
    plain = type(guider).predict_noise is comfy.samplers.CFGGuider.predict_noise
    computed = guider.model_options.get("disable_cfg1_optimization", False)
    return frozenset({"negative"} if plain and not computed and math.isclose(guider.cfg, 1.0) else ())
