"""What a run refuses, says and leaves out, around an executor that samples nothing."""

from types import SimpleNamespace

import comfy.samplers
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.sampling import run as running
from lumosx_core.host.sampling.run import Run, RunWrapper, note_question

SIGMAS = torch.tensor([0.8, 0.4, 0.0])


class Patcher:
    hook_patches = {}


class Plain(comfy.samplers.CFGGuider):
    """A guider as samplers make it, with as little as a run looks at."""

    def __init__(self, cfg=6.0, conds=None, **model_options):
        self.cfg, self.conds, self.model_options = cfg, conds or {}, model_options
        self.model_patcher = Patcher()


class Own(Plain):
    """A guider that predicts in its own way."""

    def predict_noise(self, *arguments, **options):
        raise NotImplementedError


def sampler(end):
    return SimpleNamespace(sampler_function=SimpleNamespace(guidance_end=end))


@pytest.mark.parametrize(("guider", "solver", "left_out"), [
    (Plain(6.0), None, False), (Plain(1.0), None, True), (Plain(1.0 + 1e-12), None, True), (Plain(1.01), None, False),
    (Plain(1.0, disable_cfg1_optimization=True), None, False), (Own(1.0), None, False),
    (Plain(1.0, disable_cfg1_optimization=False), None, True), (Plain(6.0), sampler(0.9), True),
    (Plain(6.0), sampler(float(SIGMAS[0])), True), (Plain(6.0), sampler(0.79), False), (Own(6.0), sampler(0.9), False),
    (Plain(6.0, disable_cfg1_optimization=True), sampler(0.9), True), (Plain(6.0), SimpleNamespace(), False),
])
def test_the_negative_is_left_out_where_no_step_computes_it(guider, solver, left_out):
    assert running._left_out(guider, solver, SIGMAS) == ({"negative"} if left_out else set())


@pytest.fixture
def around(monkeypatch):
    """around(...) runs the wrapper and gives what was checked and what was said."""
    def go(entries, encoded=False, asked=True, answered=True, result=0.0, cfg=6.0, options=None, **more):
        said, checked = [], []
        monkeypatch.setattr(running, "has_references", lambda entry: entry == "reference")
        monkeypatch.setattr(running, "has_presence", lambda entry: False)
        monkeypatch.setattr(running, "from_encoder", lambda: encoded)
        monkeypatch.setattr(running, "log_warnings", said.extend)
        monkeypatch.setattr(running, "lora_warnings", lambda *_: [])
        monkeypatch.setattr(running, "refuse_patches", lambda patcher: checked.append("patches"))
        monkeypatch.setattr(running, "check_conditionings", lambda *given: checked.append(given))
        monkeypatch.setattr(running.Stopwatch, "note_end", lambda self, patcher: None)
        guider = Plain(cfg, entries, **(options or {}))
        guider.model_patcher.hook_patches = more.get("hooks", {})

        class Executor:
            class_obj = guider

            def __call__(self, noise, latent, solver, sigmas):
                run = guider.model_options["transformer_options"]["lumosx_run"]
                run.asked, run.answered = asked, answered
                self.tables = run.tables
                return torch.tensor([0.0, result])

        executor = Executor()
        RunWrapper()(executor, torch.zeros(1, 16, 1, 2, 2), None, None, SIGMAS)
        return said, checked, executor

    return go


@pytest.mark.parametrize(("given", "words"), [
    ({"entries": {"positive": ["reference"], "negative": ["plain"]}}, ()),
    ({"entries": {"positive": ["reference"]}, "encoded": True}, ()),
    ({"entries": {"positive": ["plain"]}, "encoded": True}, ("lost all references",)),
    ({"entries": {"positive": ["plain"]}, "answered": False}, ()),
    ({"entries": {"positive": ["plain"], "negative": ["reference"]}, "cfg": 1.0, "encoded": True}, ("lost all",)),
    ({"entries": {"positive": ["plain"], "negative": ["reference"]}, "encoded": True}, ()),
    ({"entries": {"positive": ["reference"]}, "answered": False}, ("no reference had an effect",)),
    ({"entries": {"positive": ["reference"]}, "asked": False, "answered": False}, ()),
    ({"entries": {"positive": ["plain"]}, "result": float("nan")}, ("not numbers",)),
    ({"entries": {"positive": ["plain"]}, "result": float("inf")}, ("not numbers",)),
])
def test_what_a_run_says(around, given, words):
    said, _, _ = around(**given)
    assert len(said) == len(words) and all(word in sentence for word, sentence in zip(words, said))


@pytest.mark.parametrize(("entries", "cfg", "options", "left_out", "advice"), [
    ({"positive": ["reference"]}, 6.0, {}, set(), True), ({"positive": ["reference"]}, 1.0, {}, {"negative"}, True),
    ({"positive": ["reference"]}, 6.0, {"disable_cfg1_optimization": True, "context_handler": "c"}, set(), False),
    ({"positive": ["plain"]}, 6.0, {}, None, None),
])
def test_only_runs_with_references_are_checked(around, entries, cfg, options, left_out, advice):
    _, checked, _ = around(entries, cfg=cfg, options=options)
    if left_out is None:
        assert checked == []
    else:
        patches, (given, shape, omitted, handler, said) = checked
        assert patches == "patches" and given == entries and shape == (1, 16, 1, 2, 2) and omitted == left_out
        assert handler == options.get("context_handler") and said == (running.SET_CFG if advice else "")


def test_nothing_is_kept_from_step_to_step_where_hooks_change_the_weights(around):
    entries = {"positive": ["reference"]}
    assert around(entries)[2].tables is not None and around(entries, hooks={"a": 1})[2].tables is None


def test_what_a_run_remembers_is_beside_what_nodes_put_there(around):
    options = {"transformer_options": {"own": 3}, "other": 4}
    _, _, executor = around({"positive": ["plain"]}, options=options)
    kept = executor.class_obj.model_options
    assert kept["other"] == 4 and kept["transformer_options"]["own"] == 3 and "lumosx_run" not in options[
        "transformer_options"]


@pytest.mark.parametrize(("left_out", "conditions", "checked"), [
    ({"negative"}, [["a"], ["b"]], {"positive": ["a"], "negative": ["b"]}), ({"negative"}, [["a"], None], None),
    ({"negative"}, [["a"], []], None), ({"negative"}, [["a"]], None), ({"negative"}, [["a"], ["b"], ["c"]], None),
    (set(), [["a"], ["b"]], None),
])
def test_a_negative_that_is_computed_after_all_is_checked_then(monkeypatch, left_out, conditions, checked):
    def refuse(computed, advice):
        raise LumosXError(f"checked: {computed}")

    run = Run(left_out=frozenset(left_out))
    monkeypatch.setattr(running, "check_mixture", refuse)
    monkeypatch.setattr(run.watch, "note_step", lambda given, x: None)
    options = {"transformer_options": {"lumosx_run": run}}
    if checked is None:
        note_question(options, conditions, None)
    else:
        with pytest.raises(LumosXError) as caught:
            note_question(options, conditions, None)
        assert str(caught.value) == f"checked: {checked}"
    assert run.asked and not run.answered


def test_a_forward_outside_of_any_run_keeps_its_tables_for_itself():
    run = Run(tables="kept")
    assert running.tables_of({"lumosx_run": run}) == "kept" and run.answered
    assert running.tables_of({}) is None
    note_question({}, [], torch.zeros(1, 16, 1, 2, 2))
    assert not running._run_of({}).asked and running._run_of({"lumosx_run": run}) is run
