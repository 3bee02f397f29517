"""Guidance by three branches, apart from any sampler."""

from types import SimpleNamespace

import comfy.patcher_extension
import comfy.samplers
import pytest
import torch

from lumosx_core.host.methods.lynx_branches import ThreeBranches, image_scale_of, mark_unmarked, with_three_branches
from lumosx_core.host.methods.lynx_run import RUN, LastForward, LynxRun
from lumosx_core.host.socket import LYNX_BRANCH
from lumosx_core.models.lynx.identity import NOBODY, PERSON
from lumosx_core.models.lynx.window import Window

RUNNING = {"transformer_options": {RUN: LynxRun("key", [Window(1.0, 0.2)], frozenset({0, 1}), 3)}}


def test_a_later_scale_takes_the_place_of_an_earlier_one_and_other_nodes_stay():
    others = {"sampler_pre_cfg_function": [len], "other": 1}
    options = with_three_branches(with_three_branches(others, 2.0), 3.0)
    first, *own = options["sampler_pre_cfg_function"]
    assert first is len and [one.image_scale for one in own] == [3.0] and options["other"] == 1
    assert image_scale_of(options) == 3.0 and image_scale_of(others) is None
    assert others == {"sampler_pre_cfg_function": [len], "other": 1}


@pytest.fixture
def guided(monkeypatch):
    """guided(cond_scale=5.0, …) is what the host goes on with, and the passes that were computed for it."""
    def run(image_scale=2.0, cond_scale=5.0, sigma=0.5, conds=({"uuid": 1}, {"uuid": 2}), options=RUNNING):
        asked = []

        def compute(model, conds, x, sigma, options):
            asked.extend(conds)
            return [torch.tensor([100.0])]

        monkeypatch.setattr(comfy.samplers, "calc_cond_batch", compute)
        given = [torch.tensor([float(number)]) for number in (1, 3, 7)]
        found = ThreeBranches(image_scale)({
            "conds_out": given, "conds": [entry and [entry] for entry in conds], "sigma": torch.tensor([sigma]),
            "model_options": options, "cond_scale": cond_scale, "model": None, "input": None,
        })
        return [float(one) for one in found], asked

    return run


def test_both_branches_are_shifted_and_what_else_there_is_stays(guided):
    """By (s_i - 1) (v_i - v_u) = 3 - 100."""
    found, ((entry,),) = guided()
    assert found == [-96.0, -94.0, 7.0]
    assert int(entry["model_conds"][LYNX_BRANCH].cond) == NOBODY
    # Caches follow an entry by its id, which the one with the person has already.
    assert entry["uuid"] != 2 and guided()[1][0][0]["uuid"] == entry["uuid"]


@pytest.mark.parametrize("options", [
    {"image_scale": 1.0}, {"cond_scale": 1.0}, {"sigma": 0.1}, {"conds": ({"uuid": 1}, None)},
    {"conds": ({"uuid": 1},)}, {"options": {}},
], ids=str)
def test_nothing_is_computed_where_it_would_change_nothing(guided, options):
    assert guided(**options) == ([1.0, 3.0, 7.0], [])


def test_entries_without_values_of_their_own_are_marked_too():
    marked = mark_unmarked({"positive": [{}], "negative": [{}, {"model_conds": {"other": 1}}]}, NOBODY)
    rows = {
        name: [entry["model_conds"][LYNX_BRANCH].cond.item() for entry in entries] for name, entries in marked.items()
    }
    assert rows == {"positive": [PERSON], "negative": [NOBODY, NOBODY]}
    assert marked["negative"][1]["model_conds"]["other"] == 1
    again = mark_unmarked(marked, PERSON)
    assert again["negative"][0] is marked["negative"][0]


CALC = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH


def with_cache(cache, with_nobody):
    """Options of a run with a node of the host that skips steps, after a step with or without nobody in it."""
    run = LynxRun("key", [Window(1.0, 0.2)], frozenset({0, 1}), 3, LastForward(with_nobody))
    wrappers = {CALC: {"easycache": ["decides"], "other": ["stays"]}, "another kind": {"easycache": ["stays"]}}
    return {"transformer_options": {RUN: run, "easycache": cache, "wrappers": wrappers}, "own": 1}


@pytest.mark.parametrize(("skips", "with_nobody", "sigma", "computed"), [
    (True, True, 0.5, True), (True, True, 0.1, True), (True, False, 0.5, False), (False, False, 0.5, True),
    (False, True, 0.1, False),
])
def test_a_skipped_step_follows_the_last_one_that_was_computed(monkeypatch, skips, with_nobody, sigma, computed):
    """EasyCache skips each call of a step by itself, unless it is kept from deciding again."""
    cache, seen = SimpleNamespace(uuid_cache_diffs={}, skip_current_step=skips), []
    options = with_cache(cache, with_nobody)
    monkeypatch.setattr(comfy.samplers, "calc_cond_batch", lambda *given: seen.append(given[-1]) or [torch.ones(1)])
    arguments = {
        "conds_out": [torch.ones(1)] * 2, "conds": [[{"uuid": 1}], [{"uuid": 2}]], "sigma": torch.tensor([sigma]),
        "model_options": options, "cond_scale": 5.0, "model": None, "input": None,
    }
    ThreeBranches(2.0)(arguments)
    assert len(seen) == computed
    if computed:
        kept = seen[0]["transformer_options"]["wrappers"]
        assert kept[CALC] == ({"other": ["stays"]} if skips else {"easycache": ["decides"], "other": ["stays"]})
        assert kept["another kind"] == {"easycache": ["stays"]} and seen[0]["own"] == 1
    assert "easycache" in options["transformer_options"]["wrappers"][CALC]
    last = options["transformer_options"][RUN].last_forward
    assert last.with_nobody == (with_nobody if skips else sigma > 0.2)


def test_a_node_that_skips_all_of_the_guidance_decides_nothing_here(guided):
    """LazyCache says forever that it skips, but this is called only in steps that it does not skip."""
    lazy = SimpleNamespace(cache_diff=None, skip_current_step=True)
    found, asked = guided(options=with_cache(lazy, False))
    assert found == [-96.0, -94.0, 7.0] and len(asked) == 1
