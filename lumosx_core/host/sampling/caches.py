"""EasyCache and LazyCache of ComfyUI, which repeat what a step added to its input instead of computing the step."""

from __future__ import annotations

from typing import Any

import comfy.patcher_extension

CACHE = "easycache"
"""Both caches keep their state under this name in the transformer options."""
_KEY = "lumosx_input"


def with_copied_input(options: dict) -> dict:
    """Model options with which a cache gets a copy of the model's input, if there is a cache.

    EasyCache adds into the input that it is given. A model that runs in float32 is given the sampler's own tensor, from
    which ComfyUI has yet to compute the clean estimate.
    """
    transformer = options.get("transformer_options", {})
    if CACHE not in transformer:
        return options
    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    wrappers = transformer.get("wrappers", {})
    # The first wrapper is the outermost.
    outermost = {_KEY: [_on_a_copy], **wrappers.get(kind, {})}
    return {**options, "transformer_options": {**transformer, "wrappers": {**wrappers, kind: outermost}}}


def _on_a_copy(executor, x, *arguments, **options):
    return executor(x.clone(), *arguments, **options)


def started_anew(cache: Any) -> Any:
    """A cache with the settings of the given one, for the same run, that has seen no step yet."""
    fresh = cache.clone()
    fresh.start_t, fresh.end_t = cache.start_t, cache.end_t
    return fresh
