"""The options with which a cache gets a copy of the model's input, and a cache that is begun anew."""

from types import SimpleNamespace

import comfy.patcher_extension
import pytest
import torch

from lumosx_core.host.sampling.caches import CACHE, started_anew, with_copied_input

KIND = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL


@pytest.mark.parametrize("options", [
    {}, {"transformer_options": {}}, {"transformer_options": {"wrappers": {KIND: {}}}},
])
def test_without_a_cache_nothing_is_copied(options):
    assert with_copied_input(options) is options


@pytest.mark.parametrize("wrappers", [None, {}, {KIND: {"own": [len]}}, {"other": {"own": [len]}}])
def test_a_cache_gets_a_copy_before_anything_else(wrappers):
    given = {CACHE: "cache", "own": 1, **({} if wrappers is None else {"wrappers": wrappers})}
    options = {"transformer_options": given, "a": 2}
    made = with_copied_input(options)
    transformer = made["transformer_options"]
    assert made["a"] == 2 and transformer["own"] == 1 and transformer[CACHE] == "cache"
    outermost, *others = transformer["wrappers"][KIND].items()
    assert outermost[0] == "lumosx_input" and others == list((wrappers or {}).get(KIND, {}).items())
    assert {kind: held for kind, held in transformer["wrappers"].items() if kind != KIND} == {
        kind: held for kind, held in (wrappers or {}).items() if kind != KIND
    }
    assert options["transformer_options"].get("wrappers") == wrappers
    x = torch.zeros(2)
    outermost[1][0](lambda given, *more, **named: given.add_(1), x, 5, name=6)
    assert not x.any()


def test_a_cache_that_is_begun_anew_ends_when_the_first_does():
    cache = SimpleNamespace(start_t=0.8, end_t=0.1, clone=lambda: SimpleNamespace(start_t=None, end_t=None))
    fresh = started_anew(cache)
    assert fresh is not cache and (fresh.start_t, fresh.end_t) == (0.8, 0.1)
