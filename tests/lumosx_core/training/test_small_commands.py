"""What the commands that train small models refuse, before they write anything."""

import pytest

from lumosx_core.tiny.trained import CODEC
from lumosx_core.training import codec_run, lynx_run, tiny_run
from lumosx_core.training.__main__ import main

COMMANDS = {"codec": codec_run, "lynx": lynx_run, "tiny": tiny_run}


def refused(arguments, sentence, capsys):
    """Whether a command ends with one line that has this sentence."""
    assert main(arguments) == 1
    printed = capsys.readouterr().err
    return sentence in printed and printed.count("\n") == 1


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--out", "small.pt"], "--out: small.pt does not end in .safetensors; use that extension."),
    (["--out", "nowhere/small.safetensors"], "--out: there is no folder"),
    (["--steps", "0"], "--steps: 0 is below 1; use {steps}."),
    (["--resume", "nothing"], "resume: nothing cannot be read"),
])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_all_have_is_refused_in_one_sentence(command, arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert refused([command, *arguments], sentence.format(steps=COMMANDS[command].STEPS), capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["nothing.safetensors", str(CODEC)])
@pytest.mark.parametrize(("command", "option"), [("tiny", "--start"), ("lynx", "--base")])
def test_weights_of_another_model_are_refused_in_one_sentence(command, option, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert refused([command, option, file], f"{option}: {file} is not a file of the small model", capsys)
    assert list(tmp_path.iterdir()) == []
