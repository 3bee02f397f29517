"""Which conditioning is run with a person and which with nobody, and guidance by three branches (spec section 4)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.conds
import comfy.patcher_extension
import comfy.samplers
import torch

from ...models.lynx.guidance import as_two_branches
from ...models.lynx.identity import NOBODY, PERSON
from ..socket import LYNX_BRANCH, MissingLynxNode
from .lynx_run import run_of

_NEGATIVE = "negative"
_NAMESPACE = uuid.UUID("5e1f7b0e-6f0a-4c6e-9b1d-3f6f3a1f6c11")
_PRE_CFG = "sampler_pre_cfg_function"
_EASY_CACHE = "easycache"
_CALC = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH


def mark_conditioning(conditioning: Sequence[Sequence[Any]], row: int) -> list[list[Any]]:
    """A CONDITIONING whose entries are run with a row of the identity; the given one is not changed.

    Args:
        row: ``PERSON`` or ``NOBODY``.
    """
    guard = {MissingLynxNode.NAME: comfy.conds.CONDConstant(MissingLynxNode())}
    marked = ([tensor, _marked(options, row)] for tensor, options in conditioning)
    return [
        [tensor, {**options, "model_conds": {**guard, **options["model_conds"]}}] for tensor, options in marked
    ]


def mark_unmarked(
    conditionings: Mapping[str, Sequence[Mapping[str, Any]]], negative: int
) -> dict[str, list[Mapping[str, Any]]]:
    """A guider's entries, each with a mark: those without one get the person, and the negative the row ``negative``."""
    return {
        name: [
            entry if LYNX_BRANCH in entry.get("model_conds", {})
            else _marked(entry, negative if name == _NEGATIVE else PERSON)
            for entry in entries
        ]
        for name, entries in conditionings.items()
    }


def rows_of(conditionings: Mapping[str, Sequence[Mapping[str, Any]]]) -> set[int]:
    """The rows that marked entries need."""
    return {
        int(entry["model_conds"][LYNX_BRANCH].cond) for entries in conditionings.values() for entry in entries
    }


def _marked(entry: Mapping[str, Any], row: int) -> dict[str, Any]:
    mark = comfy.conds.CONDRegular(torch.full((1, 1), float(row)))
    return {**entry, "model_conds": {**entry.get("model_conds", {}), LYNX_BRANCH: mark}}


class ThreeBranches:
    """A pre-CFG function: turns v_c and v_i into the pair that ordinary guidance makes the three-branch result of.

    Args:
        image_scale: s_i of v_u + s_i (v_i - v_u) + s_t (v_c - v_i); s_t is the sampler's cfg. At 1 v_u cancels out.
    """

    def __init__(self, image_scale: float) -> None:
        self.image_scale = image_scale

    def __call__(self, arguments: Mapping[str, Any]) -> list[torch.Tensor]:
        """What the host's guidance goes on with."""
        given, conditions, sigma = arguments["conds_out"], arguments["conds"], arguments["sigma"]
        options = arguments["model_options"]
        run = run_of(options.get("transformer_options", {}))
        if self.image_scale == 1 or run is None:
            return given
        skipped = _skips_this_step(options)
        if skipped:
            options = _without_another_decision(options)
        else:
            guided = arguments["cond_scale"] > 1 and len(conditions) > 1 and conditions[1] is not None
            # Where no adapter acts, nobody and the person are the same.
            run.last_forward.with_nobody = guided and run.active(float(sigma.max()))
        if not run.last_forward.with_nobody:
            return given
        nobody = [_as_nobody(entry) for entry in conditions[1]]
        (v_u,) = comfy.samplers.calc_cond_batch(arguments["model"], [nobody], arguments["input"], sigma, options)
        return [*as_two_branches(self.image_scale, given[0], given[1], v_u), *given[2:]]


def _skips_this_step(options: Mapping[str, Any]) -> bool:
    """Whether the host's EasyCache took both branches from an earlier step; its LazyCache skips all of the guidance."""
    cache = options["transformer_options"].get(_EASY_CACHE)
    return hasattr(cache, "uuid_cache_diffs") and cache.skip_current_step


def _without_another_decision(options: Mapping[str, Any]) -> dict[str, Any]:
    """A MODEL's options with which nobody is skipped as well: EasyCache decides anew in each call that it sees."""
    transformer = options["transformer_options"]
    wrappers = transformer["wrappers"]
    others = {key: one for key, one in wrappers.get(_CALC, {}).items() if key != _EASY_CACHE}
    return {**options, "transformer_options": {**transformer, "wrappers": {**wrappers, _CALC: others}}}


def _as_nobody(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The same entry with nobody in it, under an id of its own that stays the same in every step, as caches need it."""
    return {**_marked(entry, NOBODY), "uuid": uuid.uuid5(_NAMESPACE, str(entry.get("uuid")))}


def with_three_branches(model_options: Mapping[str, Any], image_scale: float) -> dict[str, Any]:
    """A MODEL's options with three branches; an earlier scale is replaced."""
    others = [one for one in model_options.get(_PRE_CFG, []) if not isinstance(one, ThreeBranches)]
    return {**model_options, _PRE_CFG: [*others, ThreeBranches(image_scale)]}


def image_scale_of(model_options: Mapping[str, Any]) -> float | None:
    """s_i of the three branches; None without them."""
    scales = (one.image_scale for one in model_options.get(_PRE_CFG, []) if isinstance(one, ThreeBranches))
    return next(scales, None)
