"""EasyCache and LazyCache of ComfyUI, which repeat what a step added to its input instead of computing the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import comfy.patcher_extension
import torch

CACHE = "easycache"
"""Both caches keep their state under this name in the transformer options."""
CLONES = "multigpu_clones"
"""ComfyUI's MultiGPU CFG Split keeps the model of each device under this name in the model options, while it runs."""
_DEVICE = "multigpu_thread_device"
_KEY = "lumosx_input"
_BY_DEVICE = "lumosx_by_device"


def with_copied_input(options: dict) -> dict:
    """Model options with which a cache gets a copy of the model's input, if there is a cache.

    EasyCache adds into the input that it is given. A model that runs in float32 is given the sampler's own tensor, from
    which ComfyUI has yet to compute the clean estimate. Passes of a step that run on several devices at once get a
    cache for each device.
    """
    transformer = options.get("transformer_options", {})
    if CACHE not in transformer:
        return options
    kind = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    wrappers = transformer.get("wrappers", {})
    ours = [_on_a_copy]
    if CLONES in options:
        ours.append(CachesByDevice.at_step(transformer[CACHE], options[CLONES]))
    # The first wrapper is the outermost.
    outermost = {_KEY: ours, **wrappers.get(kind, {})}
    return {**options, "transformer_options": {**transformer, "wrappers": {**wrappers, kind: outermost}}}


def _on_a_copy(executor, x, *arguments, **options):
    return executor(x.clone(), *arguments, **options)


class CachesByDevice:
    """A DIFFUSION_MODEL wrapper: EasyCache with a state for each device, on which it decides by its own passes.

    ComfyUI's MultiGPU CFG Split runs the passes of a step at once. With one state for all, EasyCache starts anew at
    every pass, since it takes another device for another run.
    """

    def __init__(self, origin: Any, devices: Iterable[torch.device]):
        self._origin = origin
        self._caches = {device: started_anew(origin) for device in devices}
        self._first = next(iter(self._caches))

    @classmethod
    def at_step(cls, origin: Any, devices: Iterable[torch.device]) -> CachesByDevice:
        """That of the run that a cache belongs to, ready for the next step.

        Args:
            origin: ComfyUI's cache of this run; it carries the others.
            devices: of the passes, at least one, the same in every step.
        """
        caches = getattr(origin, _BY_DEVICE, None)
        if caches is None:
            caches = cls(origin, devices)
            setattr(origin, _BY_DEVICE, caches)
        for cache in caches._caches.values():
            cache.skip_current_step = False
        return caches

    def __call__(self, executor, *arguments, **options):
        held = next(one for one in (*arguments, *options.values()) if _has_cache(one))
        device = held[_DEVICE]
        cache = self._caches[device]
        result = executor(
            *(self._with(cache, one) for one in arguments),
            **{name: self._with(cache, one) for name, one in options.items()},
        )
        if device == self._first:
            # The host reports this number at the end of the run.
            self._origin.total_steps_skipped = cache.total_steps_skipped
        return result

    @staticmethod
    def _with(cache: Any, argument: Any) -> Any:
        return {**argument, CACHE: cache} if _has_cache(argument) else argument


def _has_cache(argument: Any) -> bool:
    return isinstance(argument, Mapping) and CACHE in argument


def started_anew(cache: Any) -> Any:
    """A cache with the settings of the given one, for the same run, that has seen no step yet."""
    fresh = cache.clone()
    fresh.start_t, fresh.end_t = cache.start_t, cache.end_t
    return fresh
