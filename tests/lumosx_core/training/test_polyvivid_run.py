"""An adapter trained on a small real case, with ComfyUI's own text encoder and a small HunyuanVideo."""

import argparse
import dataclasses
import itertools
import json
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.polyvivid_training import SubjectsSide
from lumosx_core.host.weights.tiny import load_tiny_vae
from lumosx_core.models.polyvivid.adapter import PolyVividAdapter
from lumosx_core.models.polyvivid.checkpoint import read_adapter
from lumosx_core.models.polyvivid.config import AdapterConfig
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast
from lumosx_core.tiny.world.script import draw_script
from lumosx_core.training import polyvivid_run
from lumosx_core.training.__main__ import main
from lumosx_core.training.adapter_cases import adapter_samples, encode_adapter_case
from lumosx_core.training.adapter_trainer import AdapterTrainer
from lumosx_core.training.cases import TargetSize, read_training_cases
from lumosx_core.training.hunyuan_base import check_hunyuan_file, read_hunyuan
from lumosx_core.training.polyvivid_run import train_adapter
from lumosx_core.training.trainer import TrainingPlan
from lumosx_core.training.world_cases import write_world_case
from lumosx_core.weights.opening import open_weights
from support.hunyuan_files import SMALL, small_network, write_base
from support.polyvivid_models import TOKENIZER, small_clip, small_vision
from tools.llama_tokens import tokenizer_folder

STEPS, SIDE = 4, 64


class Remembering(SubjectsSide):
    """Encodes each text once for all tests."""

    def __init__(self, *models):
        super().__init__(*models)
        self._texts = {}

    def text(self, prompt, words=(), features=()):
        key = prompt, tuple(words)
        if key not in self._texts:
            self._texts[key] = super().text(prompt, words, features)
        return self._texts[key]


def test_the_help_says_what_is_left_out_of_the_papers_recipe(capsys):
    with pytest.raises(SystemExit):
        main(["polyvivid", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "1,000 steps of each stage at reduced size" in said and "the batch of 256" in said


@pytest.fixture(scope="module")
def encoder():
    try:
        folder = tokenizer_folder()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKENIZER, str(folder))
        return Remembering(small_clip(), small_vision(), load_tiny_vae())


@pytest.fixture(scope="module")
def case_folder(tmp_path_factory):
    """One person in a coat at a place."""
    folder, random = tmp_path_factory.mktemp("polyvivid_cases"), np.random.default_rng(0)
    script = dataclasses.replace(draw_script(random, 1, drop=False), thing="")
    role = dataclasses.replace(script.roles[0], wears=script.roles[0].wears[:1])
    script = dataclasses.replace(script, roles=(role,))
    write_world_case(folder / "one", script, draw_cast(random, script, Split.TRAIN), 1)
    return folder


@pytest.fixture(scope="module")
def hunyuan(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("hunyuan") / "base.safetensors", small_network())


@pytest.fixture(scope="module")
def encoded(case_folder, encoder):
    (case,) = read_training_cases(case_folder)
    return encode_adapter_case(case, encoder, TargetSize(64, 48, 5), SIDE)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Options for files that have what tells each encoder; ComfyUI's loaders know these models in one size only."""
    folder, options = tmp_path_factory.mktemp("encoders"), []
    for name, (tensor, usual) in polyvivid_run._ENCODERS.items():
        save_file({tensor: torch.zeros(1)}, folder / usual)
        options += [f"--{name.replace('_', '-')}", str(folder / usual)]
    return options


@pytest.fixture
def train(case_folder, hunyuan, files, encoder, tmp_path, monkeypatch):
    """train(*more) runs a short training of adapter.safetensors; what is given later counts."""
    monkeypatch.setattr(polyvivid_run, "_load", lambda options: encoder)

    def run(*more, out=tmp_path / "adapter.safetensors"):
        commands = argparse.ArgumentParser().add_subparsers()
        polyvivid_run.add_command(commands)
        options = commands.choices["polyvivid"].parse_args([
            str(case_folder), "--base", str(hunyuan), "--out", str(out), *files,
            "--size", "64", "48", "--frames", "5", "--picture-side", str(SIDE),
            "--rank", "2", "--steps", str(STEPS), "--device", "cpu", "--rate", "1e-3", *map(str, more),
        ])
        return train_adapter(options)

    return run


def read(path):
    with open_weights(path) as source:
        stored = read_adapter(source)
        return stored.config, {name: tensor.clone() for name, tensor in stored.tensors.items()}


@pytest.mark.slow
def test_an_adapter_a_record_and_a_plot(train, tmp_path):
    said = train("--alpha", 3)
    assert said == f"Trained in 0 minutes: {tmp_path / 'adapter.safetensors'}"
    config, tensors = read(tmp_path / "adapter.safetensors")
    assert config == AdapterConfig.for_base(SMALL, 2, 3.0, ref_size=SIDE)
    assert all(tensors[f"double_blocks.{layer}.inject.fc.weight"].abs().max() > 0 for layer in (0, 1))
    record = json.loads((tmp_path / "adapter.json").read_text(encoding="utf-8"))
    assert (record["cases"], record["single_steps"], record["rank"]) == (["one"], STEPS // 2, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter.json", "adapter.png", "adapter.safetensors"]


@pytest.mark.slow
def test_a_stopped_and_resumed_training_ends_as_one_that_ran_through(train, tmp_path, monkeypatch):
    whole = tmp_path / "whole.safetensors"
    train(out=whole)
    made = polyvivid_run.adapter_samples

    def pressing(*arguments):
        for number, sample in enumerate(made(*arguments)):
            if number == 1:
                signal.raise_signal(signal.SIGINT)
            yield sample

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(polyvivid_run, "adapter_samples", pressing)
        train()
    checkpoint = tmp_path / "adapter.checkpoint"
    assert checkpoint.is_file() and not (tmp_path / "adapter.safetensors").exists()
    with pytest.raises(LumosXError, match="^resume: .* comes from a training with other settings"):
        train("--resume", checkpoint, "--single-steps", 1)
    train("--resume", checkpoint)
    first, second = read(whole)[1], read(tmp_path / "adapter.safetensors")[1]
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def trainer_of(hunyuan, recompute=False, steps=12):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        adapter = PolyVividAdapter(AdapterConfig.for_base(SMALL, 2, ref_size=SIDE))
    plan = TrainingPlan(steps, 3e-3, warmup=1, decay=0.0)
    base = read_hunyuan(hunyuan, torch.float32)
    return AdapterTrainer(base, adapter, plan, torch.float32, torch.device("cpu"), recompute=recompute)


@pytest.mark.slow
def test_it_learns_and_leaves_the_base_alone(hunyuan, encoded):
    trainer = trainer_of(hunyuan)
    before = {name: tensor.clone() for name, tensor in trainer.base.state_dict().items()}
    sample = encoded.sample(np.random.default_rng(0), False, 0.0)

    def loss():
        trainer._generator.manual_seed(5)
        with torch.no_grad():
            return trainer._loss_of(sample, *trainer._chance(sample)).item()

    first = loss()
    trainer.train(itertools.repeat(sample), lambda step, loss: None)
    assert loss() < 0.9 * first
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.base.state_dict().items())
    assert not any(part.requires_grad for part in trainer.base.parameters())


@pytest.mark.slow
def test_saving_memory_changes_no_gradient(hunyuan, encoded):
    sample = encoded.sample(np.random.default_rng(0), False, 0.0)
    gradients = []
    for recompute in (False, True):
        trainer = trainer_of(hunyuan, recompute)
        trainer._go_back([sample])
        gradients.append([part.grad for part in trainer._working])
    assert all(torch.allclose(*pair, atol=1e-7) for pair in zip(*gradients))


def test_first_one_subject_alone_then_all(encoded):
    assert len(encoded.subjects) == 3
    drawn = list(itertools.islice(adapter_samples([encoded], 0, 0.0, 5, 0), 8))
    assert [len(sample.subjects) for sample in drawn] == [1] * 5 + [3] * 3
    assert [len(sample.text.layout.image_grids) for sample in drawn] == [1] * 5 + [3] * 3
    again = list(itertools.islice(adapter_samples([encoded], 0, 0.0, 5, 4), 4))
    assert all(torch.equal(a.subjects[0], b.subjects[0]) for a, b in zip(drawn[4:], again))
    for sample in drawn:
        count = sum(torch.equal(sample.subjects[0], one) for one in encoded.subjects)
        assert count == 1 and sample.text.context.shape[1] == sample.text.layout.tokens
        assert sample.negative.layout.tokens == sample.negative.context.shape[1]


def test_lines_and_pictures_are_left_out_by_chance(encoded):
    drawn = [encoded.sample(np.random.default_rng(seed), False, 0.25) for seed in range(200)]
    fates = [
        (sample.text.layout.image_grids[0] is None, torch.equal(sample.subjects[0], encoded.white)) for sample in drawn
    ]
    shares = {fate: fates.count(fate) / len(fates) for fate in itertools.product((False, True), repeat=2)}
    assert all(0.15 < share < 0.35 for share in shares.values())


@pytest.mark.parametrize(("more", "sentence"), [
    (("--picture-side", 60), "--picture-side: 60 is not a multiple of 16"),
    (("--single-steps", 9), "--single-steps: 9 is not from 0 to 4"),
    (("--drop-references", 0.5), "--drop-references: 0.5 is above 0.3"),
    (("--drop-references", 0.3, "--rank", 1024, "--guidance", "nan"), "--guidance: nan"),
    (("--rank", 5000), "--rank: 5000 is above 1024"),
    (("--guidance", "nan"), "--guidance: nan"),
    (("--llava", "gone.safetensors"), "--llava: there is no file gone.safetensors"),
    (("--size", 50, 48), "--size: 50"),
], ids=str)
def test_a_wrong_option_ends_in_a_sentence(train, more, sentence):
    with pytest.raises(LumosXError) as caught:
        train(*more)
    assert sentence in str(caught.value)


def test_another_base_is_refused(base, hunyuan, tmp_path):
    assert check_hunyuan_file(hunyuan) == SMALL
    with pytest.raises(LumosXError, match="^--base: .* is not a HunyuanVideo"):
        check_hunyuan_file(base)


def test_files_that_are_no_encoders_are_refused_at_once(train, hunyuan):
    """ComfyUI loads them, and leaves all weights to chance."""
    usual_names = {"--clip-l": "clip_l", "--llava": "llava_llama3", "--vision": "vision", "--vae": "vae"}
    for option, usual in usual_names.items():
        with pytest.raises(LumosXError, match=rf"^{option}: .* has no .*; give .*{usual}.*\.safetensors"):
            train(option, hunyuan)


def test_the_command_line_knows_the_command(case_folder, hunyuan, files, tmp_path, capsys, comfyui_dir):
    arguments = [
        "polyvivid", str(case_folder), "--base", str(tmp_path / "gone.safetensors"), "--out",
        str(tmp_path / "adapter.safetensors"), "--device", "cpu", "--comfyui", str(comfyui_dir), *files,
    ]
    assert main(arguments) == 1
    assert "gone.safetensors: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(("change", "name"), [
    ({"picture_side": 16}, None), ({"picture_side": 0}, "picture-side"), ({"picture_side": 24}, "picture-side"),
    ({"rank": polyvivid_run.MOST_RANK}, None), ({"rank": polyvivid_run.MOST_RANK + 1}, "rank"),
    ({"drop_references": polyvivid_run._MOST_DROPPED}, None), ({"drop_references": 0.301}, "drop-references"),
    ({"guidance": 0.0}, None), ({"guidance": -0.1}, "guidance"), ({"guidance": float("inf")}, "guidance"),
    ({"single_steps": 0}, None), ({"single_steps": 4}, None), ({"single_steps": 5}, "single-steps"),
    ({"single_steps": -1}, "single-steps"),
], ids=str)
def test_options_are_taken_exactly_up_to_their_bounds(monkeypatch, change, name):
    for check in ("check_out", "check_files"):
        monkeypatch.setattr(polyvivid_run, check, lambda *arguments: None)
    options = argparse.Namespace(**{
        "size": (16, 32), "frames": 5, "rank": 1, "steps": 4, "rate": 1e-4, "alpha": None, "drop_references": 0.0,
        "picture_side": 384, "guidance": 1.0, "single_steps": 2, "resume": None,
        **dict.fromkeys(polyvivid_run._ENCODERS), **change,
    })
    if name is None:
        assert polyvivid_run._check(options) is None
    else:
        with pytest.raises(LumosXError, match=f"^--{name}: "):
            polyvivid_run._check(options)
