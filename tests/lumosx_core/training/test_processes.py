"""A training shared by processes: who computes what, and real processes of torchrun that talk through gloo."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from safetensors.torch import load_file

from lumosx_core.errors import LumosXError
from lumosx_core.training import processes
from lumosx_core.training.__main__ import main
from lumosx_core.training.processes import Processes, current_processes, joined_processes
from tools.server import ROOT

from .test_main import fixed, names_in, stopped
from .test_trainer import make, sample

needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for one process alone")


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_every_sample_of_a_step_belongs_to_one_process_and_all_have_equally_many(count):
    shares = [Processes(rank, count).share(range(6)) for rank in range(count)]
    assert sorted(one for share in shares for one in share) == list(range(6))
    assert {len(share) for share in shares} == {6 // count}
    assert [Processes(rank, count).leads for rank in range(count)] == [True] + [False] * (count - 1)


def test_unequal_shares_are_refused_with_advice():
    Processes(0, 2).check_shares(4, "do so")
    with pytest.raises(LumosXError, match="^training: the 4 samples of a step .* by 3 processes; do so.$"):
        Processes(0, 3).check_shares(4, "do so")


def test_shares_of_the_gradient_and_the_loss_sum_up_to_those_of_one_process():
    def gone_back(part):
        trainer = make(accumulate=4)
        trainer.processes = part
        loss = trainer._go_back([sample(100 * number) for number in range(4)])
        return loss, [one.grad for one in trainer._working], trainer._generator.get_state()

    whole_loss, whole, state = gone_back(Processes())
    losses, shares, states = zip(*(gone_back(Processes(rank, 2)) for rank in range(2)))
    assert sum(losses) == pytest.approx(whole_loss) and abs(losses[0] - losses[1]) > 1e-4
    assert all(torch.equal(one, state) for one in states)
    for together, *parts in zip(whole, *shares, strict=True):
        if together is None:
            assert parts == [None, None]
        else:
            torch.testing.assert_close(sum(parts), together)


def test_small_tensors_are_summed_together_and_in_order(monkeypatch):
    monkeypatch.setattr(processes, "_BUCKET", 10)
    tensors = [torch.zeros(size) for size in (4, 6, 1, 30, 2)]
    assert [[one.numel() for one in bucket] for bucket in processes._buckets(tensors)] == [[4, 6], [1], [30], [2]]
    assert list(processes._buckets([])) == []


def test_without_torchrun_nothing_is_distributed():
    with joined_processes("cpu") as alone:
        assert alone == current_processes() == Processes(0, 1) and alone.leads
        assert alone.any(True) and not alone.any(False)
        alone.wait()
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("device", "sentence"), [
    ("cuda", "^--device: PyTorch finds 1 CUDA cards here, and each process takes one;"),
    ("cuda:0", "^--device: cuda:0 is one card for all processes; give cuda,"),
])
def test_processes_do_not_share_a_card(monkeypatch, device, sentence):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(LumosXError, match=sentence):
        processes._take_card(device)


@pytest.fixture
def alone(cases, base, tmp_path):
    """alone(*more) runs the same training in this process and returns the exit code."""
    return lambda *more, **_: main([*fixed(cases, base, tmp_path / "lora.safetensors"), *map(str, more)])


@pytest.fixture
def started(cases, base, tmp_path, comfyui_dir):
    """started(out, *more) starts a training of two processes; those still running are ended."""
    running = []

    def start(out, *more):
        environment = {
            **os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
            "LUMOSX_TEST_COMFYUI": str(comfyui_dir), "OMP_WAIT_POLICY": "PASSIVE",
        }
        running.append(subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
             "-m", "tools.training_command", *fixed(cases, base, out), *map(str, more)],
            env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ))
        return running[-1]

    yield start
    for one in running:
        if one.poll() is None:
            one.terminate()
            one.communicate(timeout=60)


def until_step(running):
    """What stderr said until the first step was done."""
    said = ""
    while not re.search(r" [1-9]\d*/\d+ ", said) and running.poll() is None:
        said += running.stderr.read(1)
    return said


@pytest.mark.slow
def test_two_processes_train_what_one_does_with_twice_the_cases_a_step(started, alone, tmp_path, capsys):
    out = tmp_path / "two" / "lora.safetensors"
    out.parent.mkdir()
    running = started(out, "--steps", 3, "--rate", 1e-3)
    said = running.communicate(timeout=200)
    assert running.returncode == 0, said
    assert said[0] == f"Trained in 0 minutes: {out}\n" and said[1].count("one: 5 frames of video.mp4") == 1
    assert names_in(out.parent) == ["lora.json", "lora.png", "lora.safetensors"]
    for accumulate in (2, 1):
        assert alone("--accumulate", accumulate, "--steps", 3, "--rate", 1e-3, "--overwrite") == 0
        two, one = load_file(out), load_file(tmp_path / "lora.safetensors")
        difference = max((two[name] - one[name]).abs().max().item() for name in two)
        moved = max(one[name].abs().max().item() for name in one if "lora_B" in name or "lora_up" in name)
        assert (difference < 1e-5) == (accumulate == 2), (accumulate, difference, moved)
    assert moved > 1e-4


@pytest.mark.slow
@needs_signals
def test_ctrl_c_stops_all_after_one_step_and_another_number_of_processes_goes_on(
    started, alone, tmp_path, monkeypatch, capsys
):
    running = started(tmp_path / "lora.safetensors", "--steps", 1000)
    said = until_step(running)
    running.send_signal(signal.SIGINT)
    said += running.communicate(timeout=60)[1]
    left = tmp_path / "lora.checkpoint"
    step = int(re.search(rf"Stopped at step (\d+); --resume {re.escape(str(left))} goes on.", said)[1])
    assert said.count("Interrupted; no trained weights were written.") == said.count("Stopped at step") == 1, said
    assert names_in(tmp_path) == ["lora.checkpoint"]
    assert alone("--steps", 1000, "--resume", left) == 1
    assert f"resume: {left} comes from steps of 2 samples; give --accumulate 2" in capsys.readouterr().err
    again = ("--steps", 1000, "--accumulate", 2, "--resume", left)
    stopped(monkeypatch, lambda: alone(*again), 2)
    assert f"Stopped at step {step + 2};" in capsys.readouterr().err


@pytest.mark.slow
@needs_signals
def test_a_process_that_dies_ends_the_other_soon(started, tmp_path):
    running = started(tmp_path / "lora.safetensors", "--steps", 100000)
    said = until_step(running)
    second, = (one for one in psutil.Process(running.pid).children() if one.environ()["RANK"] == "1")
    began = time.monotonic()
    second.kill()
    said += running.communicate(timeout=60)[1]
    assert running.returncode != 0 and time.monotonic() - began < 40
    assert said.count("training: another process has ended") <= 1 and "Signal 9 (SIGKILL)" in said
    assert names_in(tmp_path) == []


@pytest.mark.slow
def test_what_is_wrong_for_all_is_said_once(started, tmp_path):
    running = started(tmp_path / "lora.safetensors", "--accumulate", 3)
    said = running.communicate(timeout=100)[1]
    assert running.returncode == 1
    assert said.count("training: the 3 samples of a step cannot be shared equally by 2 processes") == 1, said
    assert names_in(tmp_path) == []
