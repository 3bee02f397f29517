import io
import itertools
import json
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from lumosx_core.training.processes import Processes
from lumosx_core.training.running import LOSSES_EVERY, machine_of, run, write_record, write_weights
from lumosx_core.training.trainer import TrainingRecord

from .test_trainer import endless, make


@pytest.mark.slow
def test_losses_and_checks_are_written_down(tmp_path, capsys):
    trainer = make(LOSSES_EVERY + 1)
    began = time.monotonic()
    run(trainer, endless(), tmp_path / "checkpoint", lambda: {"faces of 2, own": 0.5}, checked_every=30)
    assert [step for step, _ in trainer.record.losses] == [LOSSES_EVERY]
    assert [check["step"] for check in trainer.record.checks] == [30, LOSSES_EVERY + 1]
    assert 0 < trainer.record.seconds <= time.monotonic() - began
    assert "faces of 2, own 0.500" in capsys.readouterr().err
    write_record(tmp_path / "record.json", trainer, {"what": "a test"})
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert record["what"] == "a test" and record["plan"]["steps"] == LOSSES_EVERY + 1
    assert record["losses"] == [[LOSSES_EVERY, round(trainer.record.losses[0][1], 5)]]
    assert Image.open(io.BytesIO((tmp_path / "record.png").read_bytes())).size[0] > 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "record.json", "record.png"]


def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(tmp_path, capsys):
    def interrupted():
        yield from itertools.islice(endless(), 3)
        raise KeyboardInterrupt

    trainer, path = make(), tmp_path / "checkpoint"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(trainer, interrupted(), path)
    assert signal.getsignal(signal.SIGINT) is before
    assert f"Stopped at step 3; --resume {path} goes on." in capsys.readouterr().err
    resumed = make()
    resumed.resume(path)
    assert resumed.step == 3


def test_a_record_survives_its_checkpoint(tmp_path):
    trainer = make()
    trainer.record = TrainingRecord([(50, 1.5)], [{"step": 50, "faces of 2, own": 1.0}], 12.0)
    trainer.save(tmp_path / "checkpoint")
    resumed = make()
    resumed.resume(tmp_path / "checkpoint")
    assert resumed.record == trainer.record


def test_a_full_disk_stops_no_training_and_costs_no_checkpoint(tmp_path, capfd, full_disk):
    trainer, path = make(3), tmp_path / "checkpoint"
    trainer.save(path)
    before = path.read_bytes()
    with full_disk(3000):
        run(trainer, endless(), path)
    assert trainer.step == 3
    assert f"checkpoint: {path} cannot be written (" in capfd.readouterr().err
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]


def test_ctrl_c_on_a_full_disk_says_that_there_is_nothing_to_go_on_from(tmp_path, capfd, full_disk):
    def interrupted():
        yield from itertools.islice(endless(), 2)
        raise KeyboardInterrupt

    with full_disk(3000), pytest.raises(KeyboardInterrupt):
        run(make(), interrupted(), tmp_path / "checkpoint")
    assert "Stopped at step 2; there is no checkpoint." in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("metadata", "kept"), [(None, {}), ({}, {}), ({"version": "2"}, {"version": "2"})])
def test_weights_are_written_with_their_steps(tmp_path, metadata, kept):
    trainer = make(3)
    trainer.step = 2
    write_weights(tmp_path / "a.safetensors", trainer, metadata)
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {**kept, "steps": "2"}
    assert {weight.dtype for weight in load_file(tmp_path / "a.safetensors").values()} == {torch.bfloat16}


def test_a_record_counts_threads_where_they_matter():
    trainer = SimpleNamespace(device="cpu", processes=Processes())
    assert "CPU threads" not in machine_of(trainer)
    assert f", {torch.get_num_threads()} CPU threads, device cpu, Python " in machine_of(trainer, threads=True)
    assert "processes" not in machine_of(trainer)
    trainer.processes = Processes(0, 2)
    assert ", 2 processes, device cpu, " in machine_of(trainer)
