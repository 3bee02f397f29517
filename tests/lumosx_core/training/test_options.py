"""Options that the commands for users' cases share."""

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.training.options import (
    alpha_of,
    check_device,
    check_files,
    check_numbers,
    check_out,
    check_small_options,
    checkpoint_of,
    dtype_name,
    plan_of,
)

GOOD = {"size": (16, 32), "frames": 1, "rank": 1, "steps": 1, "rate": 1e-9, "alpha": None, "drop_references": 0.0}


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_card_that_is_not_there_is_refused(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_device("cpu")
    with pytest.raises(LumosXError, match="^--device: this PyTorch finds no CUDA card; use cpu"):
        check_device(device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_device(device)


def test_only_named_files_must_exist(tmp_path):
    (tmp_path / "there").touch()
    check_files({"--vae": tmp_path / "there", "--resume": None})
    with pytest.raises(LumosXError, match="^--base: there is no file "):
        check_files({"--resume": None, "--vae": tmp_path / "there", "--base": tmp_path})


@pytest.mark.parametrize(("device", "dtype", "name"), [
    ("cpu", None, "f32"), ("cuda", None, "bf16"), ("cpu", "bf16", "bf16"), ("cuda", "f32", "f32"),
])
def test_the_precision_follows_the_device_unless_it_is_chosen(device, dtype, name):
    assert dtype_name(Namespace(device=device, dtype=dtype)) == name


def test_the_smallest_numbers_that_are_allowed_pass():
    check_numbers(Namespace(**GOOD))
    check_numbers(Namespace(**{**GOOD, "drop_references": 0.999, "alpha": 0.5}))
    assert alpha_of(Namespace(rank=8, alpha=None)) == 8 and alpha_of(Namespace(rank=8, alpha=0.5)) == 0.5
    assert checkpoint_of(Path("a.b.safetensors")) == Path("a.b.checkpoint")


@pytest.mark.parametrize(("steps", "decay", "warmup"), [
    (1, 0.0, 0), (9, 0.0, 0), (10, 0.0, 1), (40, 0.75, 4), (5000, 0.998, 100),
])
def test_a_plan_averages_the_last_tenth_and_warms_up_over_the_first(steps, decay, warmup):
    plan = plan_of(Namespace(steps=steps, rate=1e-4, seed=3, accumulate=None))
    assert plan.decay == pytest.approx(decay) and (plan.steps, plan.rate, plan.seed) == (steps, 1e-4, 3)
    # No layer learns at a lower rate for its size: pairs are thin.
    assert (plan.warmup, plan.full_rate_inputs, plan.accumulate) == (warmup, 0, 1)


@pytest.mark.parametrize(("accumulate", "fits"), [(1, True), (1024, True), (0, False), (1025, False)])
def test_a_step_has_at_least_one_case_and_not_endlessly_many(accumulate, fits):
    options = Namespace(steps=1, rate=1e-4, seed=3, accumulate=accumulate)
    if fits:
        assert plan_of(options).accumulate == accumulate
    else:
        with pytest.raises(LumosXError, match=f"^--accumulate: {accumulate} is not from 1 to 1024; "):
            plan_of(options)


@pytest.mark.parametrize(("change", "sentence"), [
    ({"size": (0, 16)}, "--size: 0"), ({"size": (16, -16)}, "--size: -16"), ({"frames": 0}, "--frames: 0"),
    ({"rank": -1}, "--rank: -1"), ({"rate": 0.0}, "--rate: 0.0"), ({"rate": float("inf")}, "--rate: inf"),
    ({"alpha": -1.0}, "--alpha: -1.0"), ({"drop_references": -0.1}, "--drop-references: -0.1"),
], ids=str)
def test_numbers_beyond_them_are_refused(change, sentence):
    with pytest.raises(LumosXError, match=f"^{sentence} "):
        check_numbers(Namespace(**{**GOOD, **change}))


@pytest.mark.parametrize(("change", "sentence"), [
    ({"size": (8, 16)}, "--size: 8"), ({"size": (16, 24)}, "--size: 24"), ({"frames": 3}, "--frames: 3"),
    ({"rank": 0}, "--rank: 0"), ({"steps": 0}, "--steps: 0"), ({"alpha": 0.0}, "--alpha: 0.0"),
    ({"alpha": float("inf")}, "--alpha: inf"), ({"rate": float("nan")}, "--rate: nan"),
    ({"drop_references": 1.0}, "--drop-references: 1.0"),
], ids=str)
def test_numbers_one_past_their_bounds_are_refused(change, sentence):
    with pytest.raises(LumosXError, match=f"^{sentence} "):
        check_numbers(Namespace(**{**GOOD, **change}))


def test_a_new_file_takes_nobodys_place(tmp_path):
    def check(**options):
        check_out(Namespace(**{"out": tmp_path / "a.safetensors", "overwrite": False, "resume": None, "device": "cpu",
                               **options}))

    check()
    for name in ("a.safetensors", "a.checkpoint"):
        (tmp_path / name).touch()
        with pytest.raises(LumosXError, match="^--out: .* add --overwrite"):
            check()
        check(overwrite=True)
        check(resume=tmp_path / "a.checkpoint")
        (tmp_path / name).unlink()
    for out, words in (
        (tmp_path / "a.pt", "does not end in"), (tmp_path / "gone" / "a.safetensors", "there is no folder"),
    ):
        with pytest.raises(LumosXError, match=f"^--out: .*{words}"):
            check(out=out, overwrite=True)


@pytest.mark.parametrize(("steps", "fits"), [(1, True), (0, False), (-1, False)])
def test_a_small_training_has_a_step(tmp_path, steps, fits):
    options = Namespace(out=tmp_path / "a.safetensors", steps=steps, device="cpu")
    if fits:
        check_small_options(options, 9)
    else:
        with pytest.raises(LumosXError, match=f"^--steps: {steps} is below 1; use 9"):
            check_small_options(options, 9)
