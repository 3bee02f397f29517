"""What a run with Lynx looks at before the model is loaded, around an executor that samples nothing."""

from types import SimpleNamespace

import comfy.samplers
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.methods import lynx
from lumosx_core.host.methods.lynx import Appearance, AttachedPerson, LynxRunWrapper, LynxWrapper
from lumosx_core.host.methods.lynx_branches import rows_of, with_three_branches
from lumosx_core.host.methods.lynx_run import RUN, LynxRun
from lumosx_core.host.socket import BINDING, LYNX_BRANCH
from lumosx_core.models.lynx.adapters import ID_LAYERS, REF_LAYERS
from lumosx_core.models.lynx.identity import NOBODY, PERSON
from lumosx_core.models.lynx.window import Window

BOTH = {PERSON, NOBODY}


class Plain(comfy.samplers.CFGGuider):
    """A guider as samplers make it, with as little as a run looks at."""

    def __init__(self, cfg=6.0, image_scale=None, hooks=None, conds=None):
        self.cfg, self.conds = cfg, conds or {"positive": [{}], "negative": [{"model_conds": {}}]}
        self.model_options = {"own": 1} if image_scale is None else with_three_branches({"own": 1}, image_scale)
        self.model_patcher = SimpleNamespace(
            hook_patches=hooks or {}, patches_uuid="uuid", model="model", object_patches={},
            get_wrappers=lambda kind, key: [],
            get_model_object=lambda name: SimpleNamespace(percent_to_sigma=lambda percent: 1 - percent),
        )


class Own(Plain):
    """A guider that predicts in its own way."""

    def predict_noise(self, *arguments, **options):
        raise NotImplementedError


def person(ref_blocks=(), start=0.0, end=1.0):
    blocks = {ID_LAYERS: frozenset((0,)), REF_LAYERS: frozenset(ref_blocks)}
    return AttachedPerson(None, blocks, Appearance(start_percent=start, end_percent=end))


ALONE = (person(),)


def run_with(guider, people=ALONE):
    def sampled(noise, *_):
        return guider.model_options["transformer_options"][RUN]

    class Executor:
        class_obj = guider
        __call__ = staticmethod(sampled)

    return LynxRunWrapper(people)(Executor(), torch.zeros(1, 16, 5, 2, 2), None, None, None)


@pytest.mark.parametrize(("guider", "rows", "negative"), [
    (Plain(6.0), BOTH, NOBODY), (Plain(1.0), {PERSON}, NOBODY), (Plain(1.0 + 1e-12), {PERSON}, NOBODY),
    (Plain(1.01), BOTH, NOBODY), (Plain(6.0, 2.0), BOTH, PERSON), (Plain(6.0, 1), {PERSON}, PERSON),
    (Plain(6.0, 1.01), BOTH, PERSON), (Plain(1.0, 2.0), {PERSON}, PERSON), (Own(1.0), BOTH, NOBODY),
    (Own(6.0, 2.0), BOTH, NOBODY), (Own(6.0), BOTH, NOBODY),
])
def test_only_the_rows_that_are_computed_are_folded(guider, rows, negative):
    run = run_with(guider)
    assert run.rows == rows and run.key == ("uuid", id("model")) and run.frames == 5
    assert rows_of({"negative": guider.conds["negative"]}) == {negative}
    assert rows_of({"positive": guider.conds["positive"]}) == {PERSON} and guider.model_options["own"] == 1


def test_each_person_has_a_window_of_noise_levels():
    run = run_with(Plain(), (person(start=0.25, end=0.5), person()))
    assert run.windows == [Window(0.75, 0.5), Window(1.0, 0.0)]


@pytest.mark.parametrize(("given", "people", "word"), [
    ({"conds": {"positive": [{}], "negative": [{"model_conds": {BINDING: 1}}]}}, (person(),), "^negative: it carries"),
    ({"conds": {"positive": [{}, {"model_conds": {BINDING: 1}}]}}, (person(),), "^positive: it carries references"),
    ({"hooks": {"a": 1}}, (person(), person(ref_blocks=(0,))), "^positive: it carries LoRA hooks"),
    ({"hooks": {"a": 1}}, (person(),), None), ({}, (person(ref_blocks=(0,)),), None),
])
def test_what_does_not_work_together_with_lynx_is_refused(given, people, word):
    if word is None:
        assert run_with(Plain(**given), people).frames == 5
    else:
        with pytest.raises(LumosXError, match=word):
            run_with(Plain(**given), people)


@pytest.mark.parametrize(("wrappers", "patched", "stance", "compiled"), [
    ([], {}, True, False), ([1], {}, True, True), ([], {"a": SimpleNamespace(_orig_mod=1)}, True, True),
    ([], {"a": 1}, True, False), ([1], {}, False, None), ([], {}, False, False),
])
def test_a_compiled_model_runs_as_it_is(monkeypatch, wrappers, patched, stance, compiled):
    asked, said = [], []

    class Stance:
        def __init__(self, name):
            asked.append(name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("over")

    monkeypatch.setattr(lynx, "log_warnings", said.extend)
    monkeypatch.setattr(torch, "compiler", SimpleNamespace(**{"set_stance": Stance} if stance else {}))
    patcher = SimpleNamespace(get_wrappers=lambda kind, key: wrappers, object_patches=patched)
    if compiled is None:
        with pytest.raises(LumosXError, match="^model: .* from PyTorch 2.6 on"), lynx._uncompiled(patcher):
            pass
        return
    with lynx._uncompiled(patcher):
        assert asked == (["force_eager"] if compiled else [])
    assert len(said) == compiled and asked == (["force_eager", "over"] if compiled else [])


@pytest.mark.parametrize(("mark", "run", "put_in"), [
    (torch.ones(1, 1), LynxRun("key", [], frozenset(), 1), True), (None, LynxRun("key", [], frozenset(), 1), False),
    (torch.ones(1, 1), None, False),
])
def test_shares_are_in_a_forward_that_has_a_mark_and_a_run(monkeypatch, mark, run, put_in):
    wrapper, seen = LynxWrapper(()), []
    monkeypatch.setattr(wrapper, "_put_in", lambda *given: seen.append(given[3:5]))

    class Executor:
        class_obj = None

        def __call__(self, *given, **options):
            return given, options

    marked = {} if mark is None else {LYNX_BRANCH: mark}
    options = {} if run is None else {RUN: run}
    given, rest = wrapper(Executor(), "x", "t", "c", transformer_options=options, other=3, **marked)
    assert given == ("x", "t", "c", None, None, options) and rest == {"other": 3}
    assert seen == ([(mark, run)] if put_in else [])


@pytest.mark.parametrize(("start", "end", "fits"), [(0.0, 1.0, True), (0.5, 0.5, True), (0.51, 0.5, False)])
def test_a_person_appears_up_to_the_step_where_they_begin(start, end, fits):
    if fits:
        Appearance(start_percent=start, end_percent=end).check()
    else:
        with pytest.raises(LumosXError, match="^end_percent: 0.5 is before start_percent"):
            Appearance(start_percent=start, end_percent=end).check()
