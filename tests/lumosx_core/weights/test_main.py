"""The command line, in process and as users call it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from lumosx_core.models.wan.config import WanConfig
from lumosx_core.weights.__main__ import _Tenths, main
from tools.placed_transformer import transformer_state_dict

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    safetensors.torch.save_file(transformer_state_dict(), path)
    return path


@pytest.fixture
def source(tmp_path, tiny):
    return Path(shutil.copy(tiny, tmp_path))


def test_converting_and_looking_into_it(source, tmp_path, capsys):
    target = tmp_path / "out.gguf"
    assert main(["convert", str(source), str(target), "--to", "q8_0"]) == 0
    assert "out.gguf: q8_0, 6.8 MB, 6 BF16, 77 F32, 40 Q8_0." in capsys.readouterr().out
    assert main(["inspect", str(target), "--verify"]) == 0
    said = capsys.readouterr().out
    for part in ("GGUF, 6.8 MB, a Wan text-to-video transformer of 256 channels", "6 BF16, 77 F32, 40 Q8_0",
                 "lumosx.converted_to: q8_0", "lumosx.source_name: tiny.safetensors", "lumosx.weights_sha256: ",
                 "The weights are those that were written."):
        assert part in said


def test_bf16_is_the_default(source, tmp_path, capsys):
    assert main(["convert", str(source), str(tmp_path / "out.safetensors")]) == 0
    assert "out.safetensors: bf16, 9.7 MB, 123 BF16." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["convert", "tiny.safetensors", "out.gguf"], "bf16 is written as .safetensors"),
        (["convert", "gone.safetensors", "out.safetensors"], "gone.safetensors: "),
        (["inspect", "gone.safetensors"], "gone.safetensors: "),
        (["inspect", "tiny.safetensors", "--verify"], "has no checksum"),
    ],
)
def test_errors_are_one_sentence(source, tmp_path, capsys, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.safetensors"]


@pytest.mark.parametrize("arguments", [[], ["convert", "a"], ["convert", "a", "b.gguf", "--to", "iq4_nl"], ["melt"]])
def test_wrong_arguments_leave_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2 and "usage: python -m lumosx_core.weights" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process alone")
def test_ctrl_c_leaves_nothing(tmp_path):
    # Large enough to be at work for a while.
    shapes = WanConfig(768, 3072, num_layers=4).shapes()
    source = tmp_path / "large.safetensors"
    weights = {name: torch.ones(shape, dtype=torch.bfloat16) for name, shape in shapes.items()}
    safetensors.torch.save_file(weights, source)
    command = [sys.executable, "-m", "lumosx_core.weights", "convert", source, tmp_path / "out.gguf", "--to", "q4_0"]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("*.part")) and running.poll() is None:
        time.sleep(0.001)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130, running.stderr.read()
    assert running.stderr.read().strip().endswith("Interrupted; nothing was left behind.")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs /dev/full")
def test_output_that_cannot_be_written_ends_in_a_sentence(source):
    command = [sys.executable, "-m", "lumosx_core.weights", "inspect", source]
    with open("/dev/full", "w") as full:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        answer = subprocess.run(command, text=True, stdout=full, stderr=subprocess.PIPE, env=environment)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1 and "No space left on device" in answer.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="a shell closes the stream")
def test_letters_that_a_log_has_not_are_escaped_and_no_standard_error_is_needed(source, tmp_path):
    target = tmp_path / "größe.safetensors"
    command = f"{sys.executable} -m lumosx_core.weights convert {source} {target} 2>&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    answer = subprocess.run(["sh", "-c", command], env=environment, stdout=subprocess.PIPE, text=True)
    assert answer.returncode == 0 and target.is_file()
    assert "gr\\xf6\\xdfe.safetensors: bf16" in answer.stdout


def test_progress_is_a_line_for_each_tenth(capsys):
    tell = _Tenths()
    for done in (0, 9, 10, 19, 20, 99, 100):
        tell(done, 100, "file")
    assert capsys.readouterr().err.splitlines() == ["10 %  file", "20 %  file", "90 %  file", "100 %  file"]
