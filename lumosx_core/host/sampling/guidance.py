"""Guidance that ends before the run does: from a noise level on, only the conditional pass is computed."""

from __future__ import annotations

from typing import Any

import comfy.samplers

from ..conditioning.scene import log_warnings
from .caches import CACHE, started_anew

_PASSES = "sampler_calc_cond_batch_function"
_SHAPING = ("sampler_pre_cfg_function", "sampler_cfg_function")


class GuidanceEnd:
    """The model options of each step of one run.

    From the end on, the host gets the conditional prediction as the unconditional one too, and so
    uncond + cfg * (cond - uncond) is the conditional prediction to the last bit, whatever cfg is. What other nodes do
    to the guidance (RescaleCFG, APG) is left out with it; what they do afterwards (SkipLayerGuidance) stays.

    Args:
        level: noise level in [0, 1] at which guidance has ended; 0 keeps it to the end of the run.
    """

    def __init__(self, level: float):
        self._level = level
        self._ended = self._obeyed = False
        self._caches: tuple[Any, Any] | None = None

    def options(self, options: dict, sigma: float) -> dict:
        """A step's own model options, for the step at noise level ``sigma``; what is given is not changed."""
        if sigma > self._level:
            return options
        self._ended = True
        passes = options.get(_PASSES, _both_passes)

        def conditional_pass(arguments: dict) -> list:
            self._obeyed = True
            # Only here, in this step's own options: a guider that never comes here keeps them with its guidance.
            for name in _SHAPING:
                arguments["model_options"].pop(name, None)
            conditional = passes({**arguments, "conds": [arguments["conds"][0], None]})[0]
            return [conditional, conditional]

        return {**self._with_own_cache(options), _PASSES: conditional_pass}

    def finish(self) -> None:
        """After the run: complete the cache's count of skipped steps, and warn if the guider never asked."""
        if self._caches is not None:
            guided, unguided = self._caches
            guided.total_steps_skipped += unguided.total_steps_skipped
        if self._ended and not self._obeyed:
            log_warnings([
                "guidance_end_step: this guider has its own kind of guidance, which continued to the end of the run; "
                "use LumosX Sampler, CFGGuider or BasicGuider."
            ])

    def _with_own_cache(self, options: dict) -> dict:
        """EasyCache follows the unconditional pass, and either cache would repeat a guided step, so both restart."""
        transformer = options.get("transformer_options", {})
        if CACHE not in transformer:
            return options
        if self._caches is None:
            self._caches = transformer[CACHE], started_anew(transformer[CACHE])
        return {**options, "transformer_options": {**transformer, CACHE: self._caches[1]}}


def _both_passes(arguments: dict) -> list:
    """What the host does without such a function."""
    names = ("model", "conds", "input", "sigma", "model_options")
    return comfy.samplers.calc_cond_batch(*(arguments[name] for name in names))
