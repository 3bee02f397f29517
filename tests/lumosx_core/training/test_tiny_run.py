import pytest
import torch
from safetensors.torch import load_file

from lumosx_core.training import tiny_run
from lumosx_core.training.__main__ import main


def test_a_few_steps_write_weights_record_and_plot(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tiny_run, "CLIPS", 1)
    monkeypatch.setattr(tiny_run, "WorldCheck", lambda *_: lambda: {"faces of 2, own": 0.5})
    out = tmp_path / "small.safetensors"
    assert main(["tiny", "--out", str(out), "--steps", "2"]) == 0
    assert capsys.readouterr().out == f"Trained in 0 minutes: {out}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.json", "small.png", "small.safetensors"]
    first, trained = tiny_run.small_network().state_dict(), load_file(out)
    assert {name: part.shape for name, part in first.items()} == {name: part.shape for name, part in trained.items()}
    assert not torch.equal(first["head.head.weight"], trained["head.head.weight"])


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--out", "small.pt"], "--out: small.pt does not end in .safetensors; give it that ending."),
    (["--out", "nowhere/small.safetensors"], "--out: there is no folder"),
    (["--steps", "0"], "--steps: 0 is below 1; use"),
    (["--resume", "nothing"], "resume: nothing cannot be read"),
])
def test_bad_arguments_are_refused_in_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tiny", *arguments]) == 1
    printed = capsys.readouterr().err
    assert sentence in printed and printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
