"""The command line, on small cases, the small encoders and a small base, in process and as users call it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import safetensors
import torch
from safetensors.torch import load_file

from lumosx_core.errors import LumosXError
from lumosx_core.training import comfyui, lora_run
from lumosx_core.training.__main__ import main
from lumosx_core.training.comfyui import prepare_comfyui
from tools.server import ROOT

STEPS = 6


@pytest.fixture
def command(cases, base, tmp_path):
    """command(*more) runs a short training of lora.safetensors; what is given later counts."""
    def run(*more, out=tmp_path / "lora.safetensors"):
        return main([*fixed(cases, base, out), *map(str, more)])

    return run


def fixed(cases, base, out):
    return [
        "lora", str(cases), "--base", str(base), "--out", str(out), "--tiny", "--size", "128", "96", "--frames", "5",
        "--rank", "4", "--steps", str(STEPS), "--device", "cpu",
    ]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_a_lora_a_record_and_a_plot(command, tmp_path, capsys):
    assert command("--alpha", 8, "--layers", "attention") == 0
    said = capsys.readouterr()
    assert said.out == f"Trained in 0 minutes: {tmp_path / 'lora.safetensors'}\n"
    assert "one: 5 frames of video.mp4\ntwo: 1 frame of video.mp4\n" in said.err
    assert names_in(tmp_path) == ["lora.json", "lora.png", "lora.safetensors"]
    with safetensors.safe_open(tmp_path / "lora.safetensors", "pt") as file:
        assert file.metadata() == {
            "format": "pt", "lumosx.base": "base.safetensors", "lumosx.rank": "4", "lumosx.alpha": "8",
            "lumosx.steps": str(STEPS), "lumosx.cases": '["one", "two"]',
        }
        assert len(list(file.keys())) == 4 * 8 * 3
    record = json.loads((tmp_path / "lora.json").read_text(encoding="utf-8"))
    assert (record["cases"], record["rank"], record["plan"]["steps"]) == (["one", "two"], 4, STEPS)


def test_what_is_there_stays_unless_chosen_otherwise(command, tmp_path, capsys):
    path = tmp_path / "lora.safetensors"
    path.write_bytes(b"precious")
    assert command() == 1
    assert "lora.safetensors already exists; choose another name, or add --overwrite." in capsys.readouterr().err
    assert path.read_bytes() == b"precious"
    assert command("--overwrite", "--steps", 1) == 0 and load_file(path)


def stopped(monkeypatch, command, after, **options):
    """Run until Ctrl-C in a step."""
    def pressing(*arguments):
        for number, sample in enumerate(whole(*arguments)):
            if number == after:
                signal.raise_signal(signal.SIGINT)
            yield sample

    whole = lora_run.case_samples
    with monkeypatch.context() as patched:
        patched.setattr(lora_run, "case_samples", pressing)
        assert command(**options) == 130


@pytest.mark.slow
def test_going_on_after_ctrl_c_is_the_same_as_never_having_stopped(command, tmp_path, monkeypatch, capsys):
    assert command(out=tmp_path / "whole.safetensors") == 0
    stopped(monkeypatch, command, 3)
    left = tmp_path / "lora.checkpoint"
    said = capsys.readouterr().err
    assert f"Stopped at step 4; --resume {left} goes on." in said and "no trained weights were written" in said
    assert not (tmp_path / "lora.safetensors").exists() and left.exists()
    # A new training would lose it.
    assert command() == 1
    assert f"{left} is the checkpoint of a stopped training; continue with --resume" in capsys.readouterr().err
    assert command("--resume", left) == 0
    whole, resumed = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "lora"))
    assert set(whole) == set(resumed) and all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not list(tmp_path.glob("*.checkpoint")) and not list(tmp_path.glob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("changed", [("--rank", 8), ("--alpha", 2), ("--steps", 9), ("--frames", 1)])
def test_a_checkpoint_of_another_training_is_refused_before_anything_is_encoded(
    command, tmp_path, monkeypatch, capsys, changed
):
    stopped(monkeypatch, command, 1)
    monkeypatch.setattr(lora_run, "_encode", lambda *_: pytest.fail("encoded"))
    assert command("--resume", tmp_path / "lora.checkpoint", *changed) == 1
    assert "lora.checkpoint comes from a training with other settings" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "sentence"), [
    (["--size", "130", "96"], "--size: 130 is not a multiple of 16"),
    (["--frames", "8"], "--frames: 8 is not 4 n + 1"),
    (["--rank", "0"], "--rank: 0 is below 1"),
    (["--steps", "0"], "--steps: 0 is below 1"),
    (["--rate", "nan"], "--rate: nan must be > 0"),
    (["--alpha", "0"], "--alpha: 0.0 must be > 0"),
    (["--drop-references", "1"], "--drop-references: 1.0 is not a probability"),
    (["--vae", "here.safetensors"], "--text-encoder, --vae: give both files, or --tiny"),
    (["--resume", "gone"], "--resume: there is no file gone"),
    (["--base", "gone.safetensors"], "gone.safetensors: there is no such file"),
    (["--out", "lora.bin"], "--out: lora.bin does not end in .safetensors"),
    (["--out", "gone/lora.safetensors"], "--out: there is no folder"),
    (["--comfyui", "gone"], "--comfyui: gone holds no ComfyUI; "),
])
def test_errors_are_one_sentence_before_anything_is_encoded(command, tmp_path, monkeypatch, capsys, more, sentence):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lora_run, "_encode", lambda *_: pytest.fail("encoded"))
    assert command(*more) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert names_in(tmp_path) == []


def test_without_the_small_encoders_files_are_asked_for(cases, base, tmp_path, capsys):
    arguments = [part for part in fixed(cases, base, tmp_path / "lora.safetensors") if part != "--tiny"]
    assert main(arguments) == 1
    assert "give both files, or --tiny" in capsys.readouterr().err


def test_files_of_something_else_are_no_encoders(base):
    from lumosx_core.host.training import load_picture_side, load_text_side

    with pytest.raises(LumosXError, match="--vae: ComfyUI cannot load .*; give wan_2.1_vae.safetensors"):
        load_picture_side(base)
    with pytest.raises(LumosXError, match="--text-encoder: .* it seems to be .*; LumosX needs UMT5-XXL"):
        load_text_side(base)


def test_a_case_is_refused_before_anything_is_encoded(base, film, tmp_path, monkeypatch, capsys):
    (film(tmp_path / "cases" / "one", 0) / "video.mp4").unlink()
    monkeypatch.setattr(lora_run, "_encode", lambda *_: pytest.fail("encoded"))
    assert main(fixed(tmp_path / "cases", base, tmp_path / "lora.safetensors")) == 1
    assert "case: one has no video to train on" in capsys.readouterr().err


@pytest.mark.slow
def test_blocks_computed_twice_train_the_same(command, tmp_path):
    assert command(out=tmp_path / "kept.safetensors") == command("--save-memory") == 0
    kept, twice = (load_file(tmp_path / f"{name}.safetensors") for name in ("kept", "lora"))
    assert all(torch.allclose(kept[name], twice[name], atol=1e-6) for name in kept)


@pytest.mark.parametrize("arguments", [[], ["lora"], ["lora", "cases", "--base", "b"], ["melt"]])
def test_wrong_arguments_leave_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2 and "usage: python -m lumosx_core.training" in capsys.readouterr().err


@pytest.fixture
def elsewhere(monkeypatch):
    """Nothing of ComfyUI can be found until the path is extended."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv(comfyui.VARIABLE, raising=False)
    monkeypatch.setattr(comfyui, "_is_importable", lambda: False)


def test_comfyui_is_looked_for_in_its_places(elsewhere, comfyui_dir, tmp_path, monkeypatch):
    with pytest.raises(LumosXError, match="no ComfyUI was found"):
        prepare_comfyui(None, False)
    monkeypatch.setenv(comfyui.VARIABLE, str(comfyui_dir))
    prepare_comfyui(None, False)
    assert sys.path[0] == str(comfyui_dir)
    monkeypatch.delenv(comfyui.VARIABLE)
    sys.path.pop(0)
    monkeypatch.setattr(comfyui, "_PACK", comfyui_dir / "custom_nodes" / "lumosx")
    prepare_comfyui(None, False)
    assert sys.path[0] == str(comfyui_dir)
    with pytest.raises(LumosXError, match="holds no ComfyUI"):
        prepare_comfyui(tmp_path, False)


def test_a_comfyui_whose_packages_are_missing_is_a_sentence(elsewhere, comfyui_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "lumosx_core.host.training", None)
    monkeypatch.delattr("lumosx_core.host.training", raising=False)
    with pytest.raises(LumosXError, match="run this with the Python that runs your ComfyUI"):
        prepare_comfyui(comfyui_dir, False)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process alone")
def test_ctrl_c_from_outside_leaves_a_checkpoint_and_no_half_file(cases, base, tmp_path, comfyui_dir):
    shutil.copytree(cases, tmp_path / "cases")
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "lora.safetensors"
    arguments = [*fixed(tmp_path / "cases", base, out), "--steps", "100000"]
    environment = {
        **os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "LUMOSX_TEST_COMFYUI": str(comfyui_dir),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "tools.training_command", *arguments], env=environment, cwd=tmp_path,
        stderr=subprocess.PIPE, text=True,
    )
    said = ""
    while not re.search(r"[1-9]\d*/100000 ", said) and running.poll() is None:
        said += running.stderr.read(1)
    running.send_signal(signal.SIGINT)
    said += running.communicate(timeout=120)[1]
    assert running.returncode == 130, said
    assert "Stopped at step" in said and "Traceback" not in said
    assert names_in(out.parent) == ["lora.checkpoint"]
