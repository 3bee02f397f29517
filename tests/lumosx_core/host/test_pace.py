"""How long sampling takes here: which runs are noted, and what of them."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import comfy.conds
import pytest
import torch

from lumosx_core.host import pace
from lumosx_core.host.linked import LinkedModel, LinkedRun
from lumosx_core.host.socket import BINDING
from lumosx_core.models.lumosx import sequence_layout
from lumosx_core.models.lumosx.cost import forward_work
from lumosx_core.models.pace import PaceFile
from lumosx_core.models.wan.config import WAN21_1_3B, WanConfig
from lumosx_core.scene.duration import Size

SHAPE = (2, 16, 3, 6, 8)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    file = PaceFile(tmp_path / "pace.json")
    monkeypatch.setattr(pace, "pace_file", lambda: file)
    return file


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands at clock.now."""
    here = SimpleNamespace(now=100.0)
    monkeypatch.setattr(pace.time, "perf_counter", lambda: here.now)
    return here


@pytest.fixture
def binding(encode, make_scene):
    return encode(make_scene()).positive[0][1]["model_conds"][BINDING].cond


@pytest.fixture
def run(tiny):
    """What the graph says of the sampler that runs: two passes in each of four steps."""
    return LinkedRun("a setting", 8, LinkedModel("tiny", WanConfig.of_module(tiny[0].model.diffusion_model), 1000))


def steps(clock, binding, count=4, seconds=3.0, passes=2):
    """A stopwatch that has seen so many steps of so many seconds, and the first one of a minute."""
    watch = pace.Stopwatch()
    bound = {"model_conds": {BINDING: comfy.conds.CONDConstant(binding)}} if binding is not None else {}
    for step in range(count):
        watch.note_step([[bound]] + [[{}]] * (passes - 2) + [None, [{"model_conds": {}}]], torch.empty(SHAPE))
        clock.now += seconds if step else 60.0
    return watch


def note(watch, monkeypatch, model, run):
    monkeypatch.setattr(pace, "own_run", lambda: run)
    watch.note_end(model)


def test_a_forward_of_a_run_is_timed_without_its_first_step(tiny, kept, clock, binding, run, monkeypatch):
    note(steps(clock, binding), monkeypatch, tiny[0], run)
    [noted] = kept._read()
    # Three steps of three seconds with two passes each.
    assert noted.seconds == pytest.approx(1.5) and noted.size == Size(64, 48, 9)
    module = tiny[0].model.diffusion_model
    layout = sequence_layout(module, SHAPE, binding)
    assert noted.work == 2 * forward_work(layout, WanConfig.of_module(module)).total
    expected = pace.expected_of(pace._paced([run, replace(run, forwards=4)], layout, 2))
    assert expected.seconds == pytest.approx(12 * 1.5) and expected.like is None
    assert pace.expected_of(pace._paced([run], layout, 1)).like == Size(64, 48, 9)


@pytest.mark.parametrize("change", [{"forwards": None}, {"model": None}, {"setting": "another"}])
def test_nothing_is_expected_unless_every_run_is_known(tiny, kept, clock, binding, run, monkeypatch, change):
    note(steps(clock, binding), monkeypatch, tiny[0], run)
    layout = sequence_layout(tiny[0].model.diffusion_model, SHAPE, binding)
    paced = pace._paced([run, replace(run, **change)], layout, 2)
    assert pace.expected_of(paced) is None and len(paced) == (2 if "setting" in change else 0)


@pytest.mark.parametrize(("count", "noted"), [(0, False), (1, False), (2, False), (3, True)])
def test_two_steps_after_the_first_are_the_fewest(tiny, kept, clock, binding, run, monkeypatch, count, noted):
    note(steps(clock, binding, count), monkeypatch, tiny[0], run)
    assert kept.path.exists() == noted


def test_guiders_that_ask_more_often_than_once_a_pass(tiny, kept, clock, binding, run, monkeypatch):
    """Twelve questions for eight forwards: all the time is theirs."""
    note(steps(clock, binding, passes=3), monkeypatch, tiny[0], run)
    [noted] = kept._read()
    assert noted.seconds == pytest.approx(9 / 9 * 12 / 8)


@pytest.mark.parametrize("change", [
    {"forwards": None}, {"model": None}, {"model": LinkedModel("another", WAN21_1_3B, 1000)}, None,
])
def test_a_run_that_cannot_be_told_from_others_is_not_noted(tiny, kept, clock, binding, run, monkeypatch, change):
    note(steps(clock, binding), monkeypatch, tiny[0], None if change is None else replace(run, **change))
    assert not kept.path.exists()


def test_a_run_without_references_is_not_noted(tiny, kept, clock, run, monkeypatch):
    note(steps(clock, None), monkeypatch, tiny[0], run)
    assert not kept.path.exists()


def test_a_file_that_cannot_be_written_is_no_reason_to_stop(tiny, clock, binding, run, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(pace, "pace_file", lambda: PaceFile(tmp_path / "file" / "pace.json"))
    with caplog.at_level(logging.INFO):
        note(steps(clock, binding), monkeypatch, tiny[0], run)
    assert "the time of this run cannot be stored" in caplog.text


def test_a_speed_is_noted_for_the_settings_it_was_measured_with(monkeypatch):
    def key(setting="a", nbytes=1, **flags):
        monkeypatch.setattr(pace, "args", SimpleNamespace(**flags))
        return pace._key(SimpleNamespace(setting=setting, model=nbytes and SimpleNamespace(nbytes=nbytes)))

    same = key()
    assert {key(), key(lowvram=False), key(port=8188), key(fast="")} == {same}
    others = [key("b"), key(nbytes=2), key(nbytes=None), key(lowvram=True), key(fast=["fp16"])]
    others.append(key(cpu=True, lowvram=True))
    assert len({same, *others}) == 1 + len(others)
    assert key(cpu=True, lowvram=True) == key(lowvram=True, cpu=True)
