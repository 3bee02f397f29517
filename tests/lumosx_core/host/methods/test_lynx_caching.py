"""Guidance by three branches with the host's nodes that skip steps: a skipped step skips all three."""

import re

import pytest
import torch
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode

from lumosx_core.host.methods.lynx import Appearance, lynx_guidance, lynx_model
from support.lynx_people import (
    GUIDANCE,
    conditioning,
    dual_sample,
    load_variant,
    lynx_sample,
    make_person,
    plain_model,
    plain_sample,
    relative,
    sample,
    sigmas_of,
    write_adapters,
)

pytestmark = pytest.mark.slow

STEPS = 5
ALWAYS = 1e9
"""A threshold that no change reaches: all steps are skipped but the first two, from which the nodes learn a rate."""


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    return make_person(write_adapters(tmp_path_factory.mktemp("lynx")))


def texts():
    return conditioning(1), conditioning(2)


def caching(node, end_percent=1.0):
    return lambda model: node.execute(model, ALWAYS, 0.0, end_percent, False).result[0]


class Watched:
    """How many videos the transformer finished in its forwards, and how many steps the host says it skipped."""

    def __init__(self, model, caplog):
        self.videos, self._log = 0, caplog
        caplog.clear()
        # The reference pass does not need the head.
        model.model.diffusion_model.head.register_forward_hook(self._count)

    def _count(self, module, given, output):
        self.videos += len(output)

    @property
    def skipped(self):
        return int(re.search(r"skipped (\d+)/", self._log.text)[1])


@pytest.mark.parametrize("node", [EasyCacheNode, LazyCacheNode])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_skipped_step_skips_all_branches(person, caplog, node, behind):
    caplog.set_level("INFO")
    cache, base = caching(node), load_variant()
    model = lynx_model(base if behind else cache(base), person, Appearance())
    watched = Watched(base, caplog)
    measured = lynx_sample(model, texts(), GUIDANCE, STEPS, behind=cache if behind else None)
    assert watched.skipped == 3 and watched.videos == 3 * (STEPS - 3)
    expected = plain_sample(cache(plain_model(load_variant(), person)), texts(), GUIDANCE, STEPS)
    assert relative(measured, expected) < 5e-5
    without = plain_sample(plain_model(load_variant(), person), texts(), GUIDANCE, STEPS)
    assert relative(without, expected) > 1e-3


@pytest.mark.parametrize("node", [EasyCacheNode, LazyCacheNode])
def test_at_cfg_1_there_is_one_branch_to_skip(person, caplog, node):
    caplog.set_level("INFO")
    cache, base = caching(node), load_variant()
    watched = Watched(base, caplog)
    measured = sample(lynx_model(cache(base), person, Appearance()), *texts(), STEPS)
    assert watched.skipped == 3 and watched.videos == STEPS - 3
    expected = plain_sample(cache(plain_model(load_variant(), person)), texts(), None, STEPS)
    assert relative(measured, expected) < 5e-5


@pytest.mark.parametrize("end_percent", [1.0, 0.6], ids=["to the end", "computed again at the end"])
@pytest.mark.parametrize("window", [(0.5, 1.0), (0.0, 0.3), (0.0, 0.05)], ids=str)
def test_a_skipped_step_goes_on_from_the_same_step_in_all_branches(person, caplog, window, end_percent):
    """Adapters that begin or end in a skipped step: DualCFGGuider has all three branches in all steps."""
    caplog.set_level("INFO")
    base = load_variant()
    model = caching(EasyCacheNode, end_percent)(lynx_model(base, person, Appearance(1.0, 1.0, *window)))
    watched = Watched(base, caplog)
    measured = lynx_sample(model, texts(), GUIDANCE, STEPS)
    assert watched.skipped > 0
    _, *conds = lynx_guidance(model, *texts(), GUIDANCE[1])
    expected = dual_sample(model, conds, GUIDANCE, sigmas_of(model, STEPS))
    assert relative(measured, expected) < 5e-5
    assert not torch.equal(measured, sample(base, *texts(), STEPS, GUIDANCE[0]))
