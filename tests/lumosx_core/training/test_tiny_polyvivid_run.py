"""The small HunyuanVideo and its adapter, trained for a few steps by their commands."""

import argparse
import itertools
import json

import pytest
import torch
from safetensors.torch import load_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning import polyvivid_training
from lumosx_core.models.hunyuan.double_block import Stream
from lumosx_core.models.hunyuan.network import HunyuanNetwork
from lumosx_core.models.polyvivid.checkpoint import read_adapter
from lumosx_core.models.polyvivid.positions import TextLayout
from lumosx_core.models.rotary import rotary_table
from lumosx_core.tiny.hunyuan import SIZE, adapter_config
from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.world.cast import Split
from lumosx_core.training import tiny_hunyuan_run, tiny_polyvivid_run, whole_check, whole_examples
from lumosx_core.training.ablations import ABLATIONS
from lumosx_core.training.adapter_cases import AdapterSample, EncodedText
from lumosx_core.training.hunyuan_base import check_hunyuan_file, read_hunyuan
from lumosx_core.training.hunyuan_trainer import TextTrainer
from lumosx_core.training.running import base_sha256
from lumosx_core.training.trainer import TrainingPlan
from lumosx_core.weights.opening import open_weights
from support.hunyuan_files import small_network, write_base
from support.tiny_hunyuan import encoders, write_small_hunyuan


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_small_hunyuan(tmp_path_factory.mktemp("base") / "base.safetensors")


@pytest.fixture(scope="module")
def side():
    return polyvivid_training.SubjectsSide(*encoders())


@pytest.fixture
def train(side, monkeypatch):
    """train(module, *arguments): its command on few clips, without the time that loading the encoders takes."""
    monkeypatch.setattr(polyvivid_training, "SubjectsSide", lambda *_: side)
    for name, made in zip(("load_llava_clip", "load_llava_vision", "load_hunyuan_vae"), encoders()):
        monkeypatch.setattr(f"lumosx_core.host.weights.tiny_hunyuan.{name}", lambda made=made: made)
    for module in (tiny_hunyuan_run, tiny_polyvivid_run):
        monkeypatch.setattr(module, "CLIPS", 1)
        monkeypatch.setattr(module, "BLOCK", 2)
    monkeypatch.setattr(whole_check, "SCRIPTS", 1)
    monkeypatch.setattr(whole_check, "CASTS", 2)
    monkeypatch.setattr(whole_check, "STEPS", 2)

    def run(module, *arguments):
        commands = argparse.ArgumentParser().add_subparsers()
        module.add_command(commands)
        (command,) = commands.choices.values()
        options = command.parse_args([*map(str, arguments)])
        return options.run(options)

    return run


def test_a_base_is_a_hunyuan_video_with_its_record(train, tmp_path):
    out = tmp_path / "base.safetensors"
    train(tiny_hunyuan_run, "--out", out, "--steps", 2)
    assert check_hunyuan_file(out) == SIZE
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert record["command"] == "python dev.py train tiny-hunyuan" and record["plan"]["steps"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"base.safetensors", "base.json", "base.png"}
    first = HunyuanNetwork(SIZE)
    tiny_hunyuan_run.initialise(first, tiny_hunyuan_run.WEIGHTS_SEED)
    assert not torch.equal(load_file(out)["final_layer.linear.weight"].float(), first.final_layer.linear.weight)


def test_a_picture_first_reads_the_words_near_it_in_time():
    network = HunyuanNetwork(SIZE)
    tiny_hunyuan_run.initialise(network, 0)
    texts = torch.cat([torch.arange(60.0)[:, None], torch.zeros(60, 2)], dim=1)
    picture = torch.tensor([[50.0, row, column] for row in range(-3, 3) for column in range(-3, 3)])
    tables = [rotary_table(ids, SIZE.axes_dim, SIZE.theta, torch.device("cpu")) for ids in (picture, texts)]
    tokens = torch.randn(4, 36, SIZE.hidden_size), torch.randn(4, 60, SIZE.hidden_size)
    for block in network.double_blocks:
        projected = []
        for name, x, table in zip(("img", "txt"), tokens, tables):
            stream = Stream.of(block, name)
            projected.append(stream.project(x, stream.modulation(torch.zeros(4, SIZE.hidden_size))[0], table))
        (q, _, _), (_, k, _) = projected
        logits = (q @ k.transpose(-1, -2)).mean((0, 1)) * SIZE.head_dim**-0.5
        assert logits[41:50].mean() > logits[:30].mean() + 1


@pytest.mark.parametrize("ablation", [
    "full", *(pytest.param(name, marks=pytest.mark.slow) for name in ("no-fusion", "concatenation")),
])
def test_an_adapter_or_a_merged_base_with_its_record(train, tmp_path, base, ablation):
    out = tmp_path / "adapter.safetensors"
    train(tiny_polyvivid_run, "--base", base, "--out", out, "--steps", 1, "--ablation", ablation)
    record = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert (record["ablation"], record["base_sha256"]) == (ablation, base_sha256(base))
    assert 0 <= record["checks"][0]["people of 2, own"] <= 1
    if ABLATIONS[ablation].concatenated:
        assert check_hunyuan_file(out) == SIZE
        before, after = load_file(base), load_file(out)
        assert before.keys() == after.keys()
    else:
        with open_weights(out) as source:
            assert read_adapter(source).config == adapter_config()


def test_the_weights_of_all_are_about_as_many(base):
    counts = []
    for name in ("full", "concatenation"):
        options = argparse.Namespace(base=base, steps=1, device="cpu", ablation=name)
        trainer = tiny_polyvivid_run._trainer(options, ABLATIONS[name])
        counts.append(sum(weight.numel() for weight in trainer.weights))
    assert counts[1] == pytest.approx(counts[0], rel=0.03)


def test_merged_loras_compute_what_the_layers_beside_them_do(base):
    from lumosx_core.training.concatenation_trainer import ConcatenationTrainer

    network = read_hunyuan(base, torch.float32)
    trainer = ConcatenationTrainer(network, 2, 0, TrainingPlan(1), torch.float32, torch.device("cpu"))
    for name, weight, averaged in zip(trainer.names, trainer._working, trainer.averaged):
        if name.endswith("lora_B.weight"):
            averaged.copy_(torch.randn_like(averaged) * 0.1)
            weight.data.copy_(averaged)
    plain = HunyuanNetwork(SIZE)
    plain.load_state_dict(trainer.merged())
    inputs = (
        torch.randn(1, 16, 1, 4, 4), torch.tensor([500.0]), torch.randn(1, 5, SIZE.context_in_dim), torch.randn(1, 768)
    )
    with torch.no_grad():
        torch.testing.assert_close(plain(*inputs), trainer.network(*inputs), rtol=1e-4, atol=1e-4)


def test_rows_have_pictures_and_texts_of_their_own(side):
    scenes = whole_check.WholeScenes.draw([1, 2], Split.TRAIN, 2)
    both = tiny_polyvivid_run.SubjectEncoder(side)(scenes.example)
    assert both.text.context.shape[0] == 2 and [len(one) for one in both.subjects] == [2, 2]
    start = both.text.layout.text[0]
    assert torch.equal(both.text.context[0, :start], both.text.context[1, :start])
    assert not torch.equal(both.text.context[0, start:], both.text.context[1, start:])
    one = tiny_polyvivid_run.SubjectEncoder(side)(scenes.example, only=1)
    assert len(one.subjects) == 1 and torch.equal(one.subjects[0], both.subjects[1])


def test_each_clip_of_the_base_names_other_colours_in_as_many_tokens(side):
    codec = load_codec()
    coloured = [whole_examples.WholeExamples(codec, 1, 9, Split.TRAIN, coloured=1.0)[index] for index in range(3)]
    for example in coloured:
        assert len(set(example.prompts)) > 1
        assert len(whole_examples.prompt_rows(side, example.prompts).context) == 9
    plain = whole_examples.WholeExamples(codec, 1, 2, Split.TRAIN)[0]
    assert len(whole_examples.prompt_rows(side, plain.prompts).context) == 1


def test_an_error_counts_by_its_weight(base):
    network = read_hunyuan(base, torch.float32).requires_grad_(True)
    trainer = TextTrainer(network, TrainingPlan(1), torch.float32, torch.device("cpu"))
    text = EncodedText(torch.randn(1, 5, SIZE.context_in_dim), torch.randn(1, 768), TextLayout((), ()))
    latent, noise, sigma = torch.randn(2, 16, 1, 4, 4), torch.randn(2, 16, 1, 4, 4), torch.tensor([0.3, 0.8])

    def loss(weights):
        return trainer._loss_of(AdapterSample(latent, (), text, text, weights), sigma, noise, text).item()

    left = torch.zeros(1, 1, 4, 4)
    left[..., :2] = 1.0
    with torch.no_grad():
        parts = loss(left), loss(1 - left)
        assert loss(None) == pytest.approx(sum(parts) / 2, rel=1e-5) and parts[0] != pytest.approx(parts[1], rel=1e-3)
        assert loss(1 + 2 * left) == pytest.approx(0.75 * parts[0] + 0.25 * parts[1], rel=1e-5)


def test_what_is_left_out_is_not_there(side):
    example = whole_check.WholeScenes.draw([1, 2], Split.TRAIN, 1).example
    encode = tiny_polyvivid_run.SubjectEncoder(side)
    without = tiny_polyvivid_run.SubjectEncoder(side, fusion=False)(example)
    for sample in (encode(example, no_lines=True), without):
        assert sample.text.layout.image_grids == (None, None)
        assert sample.text.layout.tokens == sample.text.context.shape[1]
    white = encode(example, no_pictures=True).subjects
    assert torch.equal(white[0], white[1]) and not torch.equal(white[0], encode(example).subjects[0])


def test_single_subjects_come_first_and_a_resumed_training_goes_on_with_the_same_clips(side, monkeypatch):
    monkeypatch.setattr(tiny_polyvivid_run, "CLIPS", 1)
    monkeypatch.setattr(tiny_polyvivid_run, "BLOCK", 2)
    monkeypatch.setattr(tiny_polyvivid_run, "TIMES", 3)
    encode = tiny_polyvivid_run.SubjectEncoder(side)

    def drawn(first, count):
        return [*itertools.islice(tiny_polyvivid_run.subject_samples(first, 2, encode), count)]

    samples = drawn(0, 24)
    counts = [len(sample.subjects) for sample in samples]
    assert counts[:2] == [1, 1] and 2 in counts[2:]
    # The fourth step begins a new block, so nothing before it is drawn again.
    for again, before in zip(drawn(3, 2), samples[3 * tiny_polyvivid_run.SCRIPTS:]):
        assert torch.equal(again.latent, before.latent) and torch.equal(again.text.context, before.text.context)


def test_another_base_is_refused(train, tmp_path):
    other = write_base(tmp_path / "other.safetensors", small_network())
    with pytest.raises(LumosXError, match="^--base: .* is not the small HunyuanVideo"):
        train(tiny_polyvivid_run, "--base", other, "--out", tmp_path / "a.safetensors")
    with pytest.raises(LumosXError, match="^--base: there is no file"):
        train(tiny_polyvivid_run, "--base", tmp_path / "gone", "--out", tmp_path / "a.safetensors")
