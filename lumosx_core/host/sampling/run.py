"""One sampling run of a LumosX model: checked before anything is loaded, and what it remembers until it ends."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import comfy.samplers
import torch

from ...errors import LumosXError
from ...models.lumosx import TableCache
from ...models.wan.module import WanModule
from ..conditioning.conditions import SET_CFG, check_conditionings, check_mixture, check_parts, has_references
from ..conditioning.scene import log_warnings
from ..graph import from_encoder
from ..pace import Stopwatch
from .foreign import refuse_patches, refuse_unsupported
from .loras import lora_warnings
from .presence import CachesByStage, has_presence, never_there, outermost

_RUN = "lumosx_run"
_LOST = (
    "positive: it comes from LumosX Relational Encode but has lost all references; link it directly (nodes that mix "
    "conditionings, such as ConditioningAverage and ConditioningConcat, keep the references of only one input)."
)


@dataclass
class Run:
    """What one run remembers from step to step.

    Attributes:
        tables: what does not change from step to step; None while hooks change weights between steps.
        said: what was logged already.
        asked: whether the sampler asked the model for anything.
        answered: whether the relational forward gave any of the answers.
        both_computed: whether the step under way computes a negative, too.
        left_out: the conditionings that the guider would not compute, as far as was known before the run.
        watch: how long its steps take.
    """

    tables: TableCache | None = None
    said: set[str] = field(default_factory=set)
    asked: bool = False
    answered: bool = False
    both_computed: bool = False
    left_out: frozenset[str] = frozenset()
    watch: Stopwatch = field(default_factory=Stopwatch)


class RunWrapper:
    """An OUTER_SAMPLE wrapper: refuses what cannot be honoured before the host loads the model, then runs.

    It keeps nothing but which models ran with hooks: the host leaves a mark on those that looks like a LoRA's.
    """

    def __init__(self):
        self._hooked: weakref.WeakSet = weakref.WeakSet()

    def __call__(self, executor, noise, latent_image, sampler, sigmas, *arguments, **options):
        """Raises LumosXError for what a node put onto the model or into a conditioning and would have no effect."""
        guider = executor.class_obj
        patcher, model_options = guider.model_patcher, guider.model_options
        conditionings: Mapping[str, list] = guider.conds
        with_references = any(has_references(entry) for entries in conditionings.values() for entry in entries)
        left_out = _left_out(guider, sampler, sigmas)
        if with_references:
            refuse_patches(patcher)
            advice = SET_CFG if _may_leave_out(guider) else ""
            check_conditionings(conditionings, noise.shape, left_out, model_options.get("context_handler"), advice)
            _check_kept(noise, sigmas, *arguments[:1], **options)
        computed = [entries for name, entries in conditionings.items() if name not in left_out]
        reached = any(has_references(entry) for entries in computed for entry in entries)
        if not reached and from_encoder():
            log_warnings([_LOST])
        if patcher.hook_patches:
            self._hooked.add(patcher)
        log_warnings(lora_warnings(patcher, model_options.get("registered_hooks"), self._hooked))
        # Hooks change weights between steps, and with them the text's keys and values.
        run = Run(None if patcher.hook_patches else TableCache(), left_out=left_out)
        transformer_options = {**model_options.get("transformer_options", {}), _RUN: run}
        if any(has_presence(entry) for entries in computed for entry in entries):
            log_warnings(never_there(conditionings, sigmas, patcher.get_model_object("model_sampling")))
            transformer_options = outermost(transformer_options, CachesByStage())
        guider.model_options = {**model_options, "transformer_options": transformer_options}
        result = executor(noise, latent_image, sampler, sigmas, *arguments, **options)
        if reached and run.asked and not run.answered:
            log_warnings([
                "model: no reference had an effect, since another node replaced the model's output in every step, or "
                "no step was within the timestep range of the references; widen that range, or remove the nodes "
                "between LumosX Model and the sampler one by one to find the cause."
            ])
        if not torch.isfinite(result).all():
            log_warnings([
                "latent: the result contains values that are not numbers, so the video is black; look for a damaged "
                "model or LoRA, remove SageAttention, or let ComfyUI compute in a higher precision (--fp32-unet)."
            ])
        run.watch.note_end(patcher)
        return result


# Not traced: ComfyUI compiles without guards on the options, and would keep the first run's for ever.
@torch.compiler.disable
def check_forward(
    model: WanModule, transformer_options: Mapping[str, Any], conditions: Mapping[str, Any],
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


@torch.compiler.disable
def note_negative(transformer_options: Mapping[str, Any], relational: bool) -> None:
    """A model with LumosX Negative at CFG 1 is about to answer; say once a run where that is not what is meant.

    Args:
        transformer_options: of this forward.
        relational: whether its conditioning has references, so that the relational forward answers.
    """
    run = _run_of(transformer_options)
    if not relational:
        sentence = (
            "model: LumosX Negative at CFG 1 has no effect on a prompt without references; link LumosX Relational "
            "Encode with relations, or remove that node."
        )
    elif run.both_computed:
        sentence = (
            "model: cfg is above 1, so LumosX Negative at CFG 1 acts beside cfg's own negative prompt, and costs more "
            "time; set cfg to 1, or remove that node."
        )
    else:
        return
    if sentence not in run.said:
        log_warnings([sentence])
    run.said.add(sentence)


def note_question(
    model_options: Mapping[str, Any], conditions: Sequence[Sequence[Mapping[str, Any]] | None], x: torch.Tensor
) -> None:
    """The sampler asks the model for a step.

    Args:
        model_options: of this step.
        conditions: of every pass.
        x: [batch, channels, frames, height, width].

    Raises:
        LumosXError: the sampler computes a negative without references after all, as those named cfg_pp do at cfg 1.
    """
    run = _run_of(model_options.get("transformer_options", {}))
    run.asked = True
    run.both_computed = sum(map(bool, conditions)) > 1
    run.watch.note_step(conditions, x)
    if run.left_out and len(conditions) == 2 and all(conditions):
        computed = {name: held for name, held in zip(("positive", "negative"), conditions) if held}
        check_mixture(computed, ", or choose a sampler that leaves it out at cfg 1")


def _run_of(transformer_options: Mapping[str, Any]) -> Run:
    """The run under way; a new one for a forward outside of any."""
    return transformer_options.get(_RUN) or Run()


def _left_out(guider: Any, sampler: Any, sigmas: torch.Tensor) -> frozenset[str]:
    """Conditionings that are not computed in any step."""
    # Our solver knows the noise level at which guidance has ended.
    guidance_end = getattr(getattr(sampler, "sampler_function", None), "guidance_end", 0.0)
    unguided = _is_plain(guider) and float(sigmas[0]) <= guidance_end
    return frozenset({"negative"} if unguided or _may_leave_out(guider) and math.isclose(guider.cfg, 1.0) else ())


def _may_leave_out(guider: Any) -> bool:
    """Whether cfg 1 skips the negative; some nodes need it anyway."""
    return _is_plain(guider) and not guider.model_options.get("disable_cfg1_optimization", False)


def _check_kept(
    noise: torch.Tensor, sigmas: torch.Tensor, denoise_mask: torch.Tensor | None = None, **options: Any
) -> None:
    """Refuse a mask in a run that adds no noise: the host would give the model what is kept as if it had noise.

    Raises:
        LumosXError: a part is kept, and the noise is zero though the run begins at a level above 0.
    """
    if denoise_mask is None or noise.any() or not len(sigmas) or float(sigmas[0]) <= 0 or (denoise_mask >= 1).all():
        return
    raise LumosXError(
        "latent: its noise_mask keeps a part of the video (as that of LumosX Continue does), but this run adds no "
        "noise (start_step above 0, add_noise off, or DisableNoise), so the kept part would be wrong; run all steps in "
        "one sampler."
    )


def _is_plain(guider: Any) -> bool:
    return type(guider).predict_noise is comfy.samplers.CFGGuider.predict_noise
