"""References that are there in a part of the sampling only: each step's conditionings, and caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import comfy.conds
import comfy.patcher_extension
import torch

from ...models.lumosx.presence import Presence, Present
from ..socket import BINDING, OWN, PRESENCE, REFERENCES
from .caches import CACHE, started_anew

KEY = "lumosx_presence"
_PREDICT_NOISE = comfy.patcher_extension.WrappersMP.PREDICT_NOISE
Entries = Sequence[Mapping[str, Any]]


def at_step(
    conditions: Sequence[Entries | None], sigma: torch.Tensor, model: Any
) -> list[list[Mapping[str, Any]] | Entries | None]:
    """The conditionings of one step, as those of scenes that have no other references than are there now.

    Args:
        conditions: of every pass.
        sigma: [batch], the noise level.
        model: ComfyUI's BaseModel, whose ``model_sampling`` turns shares of a run into noise levels.
    """
    if not any(has_presence(entry) for entries in conditions for entry in entries or ()):
        return list(conditions)
    sampling = model.model_sampling
    return [entries and [_entry_at(entry, sigma, sampling) for entry in entries] for entries in conditions]


def has_presence(entry: Mapping[str, Any]) -> bool:
    """Whether some of an entry's references are absent from some steps."""
    return PRESENCE in entry.get("model_conds", {})


def _entry_at(entry: Mapping[str, Any], sigma: torch.Tensor, sampling: Any) -> Mapping[str, Any]:
    if not has_presence(entry):
        return entry
    held = entry["model_conds"]
    presence: Presence = held[PRESENCE].cond
    now = _present(presence, sigma, sampling)
    pictures = presence.pictures(now)
    if not pictures:
        # A text without references, for ComfyUI's own forward.
        return {**entry, "model_conds": {name: value for name, value in held.items() if name not in OWN}}
    latents = held[REFERENCES].cond
    own = {
        REFERENCES: comfy.conds.CONDList([latents[place] for place in pictures]),
        BINDING: comfy.conds.CONDConstant(presence.binding(now)),
    }
    return {**entry, "model_conds": {**{name: value for name, value in held.items() if name != PRESENCE}, **own}}


def _present(presence: Presence, sigma: torch.Tensor, sampling: Any) -> Present:
    return presence.at(float(sigma.flatten()[0]), lambda share: float(sampling.percent_to_sigma(share)))


def never_there(conditionings: Mapping[str, Entries], sigmas: torch.Tensor, sampling: Any) -> list[str]:
    """Warnings about references that no step of a whole run has, one sentence each.

    Args:
        conditionings: a guider's entries by the name of its input.
        sigmas: the noise levels of the run.
        sampling: the model's ``model_sampling``.
    """
    levels = sigmas[:-1].tolist()
    # What a part of a run lacks, another part may have.
    whole = len(levels) > 0 and float(sigmas[-1]) == 0 and levels[0] >= float(sampling.percent_to_sigma(0.001))
    found = set()
    for presence in _presences(conditionings) if whole else ():
        steps = [_present(presence, torch.tensor([level]), sampling) for level in levels]
        for index, word in enumerate(presence.words):
            if not any(step[index] for step in steps):
                found.add(word.influence.text)
    return [
        f"positive: a reference is set to {text}, but none of the {len(levels)} steps of this run lies in there, so it "
        "has no effect; widen that part, or use more steps." for text in sorted(found)
    ]


def _presences(conditionings: Mapping[str, Entries]) -> Iterator[Presence]:
    held = (entry.get("model_conds", {}) for entries in conditionings.values() for entry in entries)
    yield from dict.fromkeys(one[PRESENCE].cond for one in held if PRESENCE in one)


class CachesByStage:
    """A PREDICT_NOISE wrapper of one run: EasyCache and LazyCache start anew whenever other references are there.

    They would otherwise repeat a step of a scene that was another one.
    """

    def __init__(self) -> None:
        self._caches: dict[tuple[int, tuple[Present, ...]], Any] = {}
        # Kept alive, since they are told apart by their identity.
        self._origins: dict[int, Any] = {}

    def __call__(self, executor, x, timestep, model_options={}, seed=None):
        transformer = model_options.get("transformer_options", {})
        origin = transformer.get(CACHE)
        if origin is None:
            return executor(x, timestep, model_options, seed)
        cache = self._cache(origin, self._stage(executor.class_obj, timestep))
        skipped = cache.total_steps_skipped
        options = {**model_options, "transformer_options": {**transformer, CACHE: cache}}
        result = executor(x, timestep, options, seed)
        if cache is not origin:
            # The host reports this number at the end of the run.
            origin.total_steps_skipped += cache.total_steps_skipped - skipped
        return result

    @staticmethod
    def _stage(guider: Any, timestep: torch.Tensor) -> tuple[Present, ...]:
        sampling = guider.inner_model.model_sampling
        conditions: Mapping[str, Entries] = {name: entries or () for name, entries in guider.conds.items()}
        return tuple(_present(presence, timestep, sampling) for presence in _presences(conditions))

    def _cache(self, origin: Any, stage: tuple[Present, ...]) -> Any:
        is_first = id(origin) not in self._origins
        self._origins[id(origin)] = origin
        key = (id(origin), stage)
        if key not in self._caches:
            self._caches[key] = origin if is_first else started_anew(origin)
        return self._caches[key]


def outermost(transformer_options: Mapping[str, Any], wrapper: Callable) -> dict[str, Any]:
    """Transformer options in which a PREDICT_NOISE wrapper is called before those of other nodes."""
    wrappers = transformer_options.get("wrappers", {})
    # The first wrapper is the outermost.
    ours = {KEY: [wrapper], **wrappers.get(_PREDICT_NOISE, {})}
    return {**transformer_options, "wrappers": {**wrappers, _PREDICT_NOISE: ours}}
