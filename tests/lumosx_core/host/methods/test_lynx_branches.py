"""Guidance by three branches, apart from any sampler."""

import comfy.samplers
import pytest
import torch

from lumosx_core.host.methods.lynx_branches import ThreeBranches, image_scale_of, mark_unmarked, with_three_branches
from lumosx_core.host.methods.lynx_run import RUN, LynxRun
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
