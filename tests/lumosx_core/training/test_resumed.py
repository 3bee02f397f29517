"""Trainings that go on: what is checked before the long work, and what is resumed after it, in every command."""

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest

from lumosx_core.training import lora_run, polyvivid_run


@pytest.fixture
def followed(monkeypatch):
    """followed(module, run, names, options) runs a command of stubs and lists those that it called, in order."""
    def go(module, run, names, **options):
        seen = []

        def stub(name):
            return lambda *given, **_: seen.append((name, given)) or made.get(name)

        trainer = SimpleNamespace(resume=lambda path: seen.append(("resume", (path,))))
        made = {"_trainer": trainer, "train_to_file": "done", "alpha_of": 1}
        for name in names:
            monkeypatch.setattr(module, name, stub(name))
        assert run(argparse.Namespace(**options)) == "done"
        return seen

    return go


COMMON = ("_check", "matplotlib", "read_training_cases", "plan_of", "_about", "read_checkpoint", "_encode", "_trainer",
          "train_to_file")


@pytest.mark.parametrize("resume", [None, Path("checkpoint")])
@pytest.mark.parametrize(("module", "run", "more"), [
    (lora_run, "train_lora", ("check_base_file",)),
    (polyvivid_run, "train_adapter", ("check_hunyuan_file", "_check_encoder", "alpha_of")),
])
def test_a_checkpoint_is_read_before_anything_is_encoded(followed, monkeypatch, module, run, more, resume):
    if module is polyvivid_run:
        monkeypatch.setattr(module, "AdapterConfig", SimpleNamespace(for_base=lambda *_, **__: "config"))
    options = dict.fromkeys(getattr(module, "_ENCODERS", ()))
    seen = followed(module, getattr(module, run), (*COMMON, *more), resume=resume, base="base", cases="cases",
                    out="out", rank=1, picture_side=16, **options)
    names = [name for name, _ in seen]
    assert ("read_checkpoint" in names) == ("resume" in names) == (resume is not None)
    last = [names.index(name) for name in ("_encode", "_trainer", "train_to_file")]
    assert names[0] == "_check" and last == sorted(last)
    if resume is not None:
        assert names.index("read_checkpoint") < names.index("_encode")
        assert names.index("_trainer") < names.index("resume") < names.index("train_to_file")
        assert {given[0] for name, given in seen if name in ("read_checkpoint", "resume")} == {resume}
