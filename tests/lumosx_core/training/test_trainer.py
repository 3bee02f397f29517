import itertools
import os

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.models.lumosx.sequence import Binding
from lumosx_core.models.wan.config import WanConfig
from lumosx_core.models.wan.network import Network, initialise
from lumosx_core.training import trainer as training
from lumosx_core.training.trainer import RelationalTrainer, Sample, TrainingPlan
from tools.weight_files import Runs

BINDING = Binding((), (((1, 3),), ((4, 6),)), (1, 1))


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sample(seed=0):
    references = [draw(2, 16, 1, 4, 4, seed=seed + 10 + number) for number in range(2)]
    latent = torch.cat(references, dim=2)
    return Sample(latent, references, draw(1, 8, 64, seed=1), draw(1, 4, 64, seed=2), BINDING)


def make(steps=20, dtype=torch.float32, **plan):
    network = Network(WanConfig(128, 128, 1, text_dim=64))
    initialise(network, 0)
    return RelationalTrainer(network, TrainingPlan(steps, **plan), dtype, torch.device("cpu"))


def endless():
    return (sample(100 * number) for number in itertools.count())


class Stop(Exception):
    """Ends a training early."""


def stop_at(last):
    def after_step(step, loss):
        if step == last:
            raise Stop

    return after_step


@pytest.mark.slow
def test_the_loss_falls():
    losses = []
    trainer = make(150, warmup=5, rate=3e-3)
    trainer.train(itertools.repeat(sample()), lambda step, loss: losses.append(loss))
    assert trainer.step == len(losses) == 150
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])


def test_a_step_of_several_examples_goes_by_their_mean():
    def gradients(trainer, examples):
        loss = trainer._go_back(examples)
        found = [part.grad.clone() for part in trainer._working if part.grad is not None]
        for part in trainer._working:
            part.grad = None
        return loss, found

    examples = [sample(0), sample(100)]
    one_by_one, together = make(), make()
    (first, own), (second, other) = (gradients(one_by_one, [example]) for example in examples)
    loss, both = gradients(together, examples)
    assert loss == pytest.approx((first + second) / 2)
    for mean, left, right in zip(both, own, other, strict=True):
        torch.testing.assert_close(mean, (left + right) / 2)


def test_layers_with_many_inputs_learn_slower_by_as_much():
    plain, limited = (make(1, warmup=0, weight_decay=0.0, full_rate_inputs=inputs) for inputs in (0, 16))
    before = dict(zip(plain.names, (weight.clone() for weight in plain.weights)))
    for trainer in (plain, limited):
        trainer.train(endless(), lambda step, loss: None)
    for name, fast, slow in zip(plain.names, plain.weights, limited.weights):
        moved, less = fast - before[name], slow - before[name]
        part = min(1.0, 16 / fast.shape[1]) if fast.ndim == 2 else 1.0
        assert torch.allclose(less, moved * part, rtol=1e-3, atol=1e-7), name


@pytest.mark.slow
def test_going_on_is_the_same_as_never_having_stopped(tmp_path):
    whole = make()
    whole.train(endless(), lambda step, loss: None)
    stopped = make()
    with pytest.raises(Stop):
        stopped.train(endless(), stop_at(12))
    stopped.save(tmp_path / "half")
    resumed = make()
    resumed.resume(tmp_path / "half")
    assert resumed.step == 12
    resumed.train(itertools.islice(endless(), 12, None), lambda step, loss: None)
    for one, other in zip(whole.weights + whole.averaged, resumed.weights + resumed.averaged):
        assert torch.equal(one, other)


def test_the_averaged_weights_lag_behind_and_are_lent_out():
    trainer = make(8, decay=0.5)
    before = [part.clone() for part in trainer.weights]
    trainer.train(endless(), lambda step, loss: None)
    moved = [(now - then).norm() for now, then in zip(trainer.weights, before)]
    lagged = [(now - then).norm() for now, then in zip(trainer.averaged, before)]
    assert sum(lagged) < sum(moved)
    working = trainer.network.head.head.weight
    inside = trainer.with_averaged(lambda: {"seen": working.detach().clone()})["seen"]
    assert torch.equal(inside, trainer.state_dict()["head.head.weight"])
    assert torch.equal(working, trainer.weights[trainer.names.index("head.head.weight")])


def test_the_first_averages_forget_the_start_soon():
    """Of a short training the average would else be what it began with."""
    trainer = make(2, warmup=0)
    kept = []

    def after_step(step, loss):
        kept.append(([part.clone() for part in trainer.averaged], [part.clone() for part in trainer.weights]))

    start = [part.clone() for part in trainer.weights]
    trainer.train(endless(), after_step)
    for part in (0.1, 2 / 11):
        averaged, weights = kept.pop(0)
        for before, now, mean in zip(start, weights, averaged, strict=True):
            torch.testing.assert_close(mean, part * before + (1 - part) * now)
        start = averaged


def test_the_rate_rises_stays_and_falls():
    trainer = make(100, warmup=10, cooldown=0.2)
    parts = []
    for step in (0, 9, 50, 79, 90, 99):
        trainer.step = step
        parts.append(round(trainer._rate_part(), 3))
    assert parts == [0.1, 1.0, 1.0, 1.0, 0.5, 0.05]


def test_only_what_asks_for_gradients_is_trained():
    network = Network(WanConfig(128, 128, 1, text_dim=64))
    initialise(network, 0)
    network.requires_grad_(False).head.requires_grad_(True)
    trainer = RelationalTrainer(network, TrainingPlan(3), torch.float32, torch.device("cpu"))
    assert trainer.names and all(name.startswith("head.") for name in trainer.names)
    before = network.blocks[0].ffn[0].weight.clone()
    trainer.train(endless(), lambda step, loss: None)
    assert torch.equal(before, network.blocks[0].ffn[0].weight)


def test_a_checkpoint_of_other_layers_is_one_of_other_settings(tmp_path):
    make().save(tmp_path / "file")
    network = Network(WanConfig(128, 128, 1, text_dim=64)).requires_grad_(False)
    network.head.requires_grad_(True)
    trainer = RelationalTrainer(network, TrainingPlan(20), torch.float32, torch.device("cpu"))
    with pytest.raises(LumosXError, match="a training with other settings"):
        trainer.resume(tmp_path / "file")


def test_the_checkpoint_of_a_finished_training_has_nothing_left_to_do(tmp_path):
    trainer = make(2)
    trainer.train(endless(), lambda step, loss: None)
    trainer.save(tmp_path / "file")
    resumed = make(2)
    resumed.resume(tmp_path / "file")
    resumed.train(iter(()), lambda step, loss: None)
    assert resumed.step == 2 and all(torch.equal(*pair) for pair in zip(resumed.averaged, trainer.averaged))


def test_bf16_computes_and_float32_remembers():
    network = Network(WanConfig(128, 128, 1, text_dim=64))
    initialise(network, 0)
    network.bfloat16().patch_embedding.float()
    trainer = RelationalTrainer(network, TrainingPlan(3), torch.bfloat16, torch.device("cpu"))
    trainer.train(endless(), lambda step, loss: None)
    assert {part.dtype for part in trainer.weights} == {torch.float32}
    assert network.blocks[0].ffn[0].weight.dtype is torch.bfloat16


def test_a_loss_that_is_no_number_stops(tmp_path):
    trainer = make()
    broken = sample()
    broken.latent[0] = float("nan")
    with pytest.raises(LumosXError, match="training: the loss is nan at step 0; use a lower rate"):
        trainer.train(itertools.repeat(broken), lambda step, loss: None)


@pytest.mark.parametrize(("content", "sentence"), [
    (b"nothing", "is not the checkpoint of a training"), (None, r"cannot be read \(No such file"),
])
def test_what_is_no_checkpoint_is_refused(tmp_path, content, sentence):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LumosXError, match=sentence):
        make().resume(path)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    make(rate=1e-3).save(tmp_path / "file")
    with pytest.raises(LumosXError, match="a training with other settings"):
        make(rate=1e-4).resume(tmp_path / "file")


def weights_only(path):
    torch.save({"a": torch.ones(2)}, path)


def one_that_runs_code(path):
    torch.save({"plan": Runs(os.mkdir, (str(path) + "made",))}, path)


@pytest.mark.parametrize(("write", "sentence"), [
    (weights_only, "is not the checkpoint of a training .KeyError"),
    (one_that_runs_code, "loading it would run '.*mkdir'"),
])
def test_other_files_of_torch_are_refused(tmp_path, write, sentence):
    write(tmp_path / "file")
    with pytest.raises(LumosXError, match=f"resume: .*{sentence}"):
        make().resume(tmp_path / "file")
    assert not (tmp_path / "filemade").exists()


@pytest.mark.parametrize("spoil", [
    lambda state: state.update(step="1"), lambda state: state.update(step=-1), lambda state: state["weights"].pop(),
    lambda state: state["averaged"].__setitem__(0, torch.ones(3)), lambda state: state.update(weights=3),
    lambda state: state["optimizer"]["param_groups"].pop(), lambda state: state.update(optimizer=[1]),
    lambda state: state.update(generator=torch.ones(3)), lambda state: state.update(record={}),
    lambda state: state["record"].update(losses=[1]),
], ids=range(10))
def test_a_spoilt_checkpoint_is_refused(tmp_path, spoil):
    make().save(tmp_path / "file")
    state = torch.load(tmp_path / "file", weights_only=True)
    spoil(state)
    torch.save(state, tmp_path / "file")
    with pytest.raises(LumosXError, match="resume: .*file is damaged"):
        make().resume(tmp_path / "file")


@pytest.mark.slow
def test_a_long_record_is_read(tmp_path):
    trainer = make()
    trainer.record.losses = [(step, step / 7) for step in range(300_000)]
    trainer.save(tmp_path / "file")
    resumed = make()
    resumed.resume(tmp_path / "file")
    assert resumed.record.losses == trainer.record.losses


def test_torch_never_opens_a_checkpoint(tmp_path, monkeypatch):
    make().save(tmp_path / "file")
    monkeypatch.setattr(torch, "load", None)
    make().resume(tmp_path / "file")


@pytest.mark.parametrize(("chance", "dropped"), [(0.0, False), (1.0, True)])
def test_words_are_dropped_as_often_as_planned(chance, dropped):
    given = sample()
    for _ in range(3):
        assert make(unconditional=chance)._draw(given)[2] is (given.negative if dropped else given.context)


@pytest.mark.parametrize(("plan", "parts"), [
    ({"warmup": 0, "cooldown": 0.0}, [1.0] * 4), ({"warmup": 2, "cooldown": 0.0}, [0.5, 1.0, 1.0, 1.0]),
    ({"warmup": 1, "cooldown": 0.5}, [1.0, 1.0, 1.0, 0.5]), ({"warmup": 0, "cooldown": 1.0}, [1.0, 0.75, 0.5, 0.25]),
    ({"warmup": 4, "cooldown": 0.1}, [0.25, 0.5, 0.75, 1.0]),
])
def test_the_rate_of_each_step(plan, parts):
    trainer, found = make(4, **plan), []
    for trainer.step in range(4):
        found.append(trainer._rate_part())
    assert found == parts and trainer.about == {}


@pytest.mark.parametrize(("error", "words"), [
    (KeyError("plan"), "(KeyError); leave it out"), (TypeError(), "(TypeError)"),
    (AttributeError(), "(AttributeError)"),
    (RuntimeError(), "(RuntimeError)"), (OSError(5, "odd"), "cannot be read (odd)"),
    (LumosXError("a: no."), "not the checkpoint of a training: a: no."),
])
def test_whatever_a_checkpoint_raises_is_a_sentence(tmp_path, monkeypatch, error, words):
    def fail(*_, **__):
        raise error

    (tmp_path / "checkpoint").write_bytes(b"x")
    monkeypatch.setattr(training, "load_archive", fail)
    with pytest.raises(LumosXError, match="^resume: ") as caught:
        training.read_checkpoint(tmp_path / "checkpoint", TrainingPlan(4), {})
    assert words in str(caught.value)


@pytest.mark.parametrize(("limit", "shapes"), [
    (0, {(1.0, 0.1): 2, (1.0, 0.0): 1}), (4, {(1.0, 0.1): 1, (0.5, 0.1): 1, (1.0, 0.0): 1}),
    (8, {(1.0, 0.1): 2, (1.0, 0.0): 1}), (16, {(1.0, 0.1): 2, (1.0, 0.0): 1}),
])
def test_no_layer_learns_faster_than_the_rate(limit, shapes):
    network = torch.nn.Sequential(torch.nn.Linear(8, 2, bias=False), torch.nn.Linear(4, 3))
    plan = TrainingPlan(1, weight_decay=0.1, full_rate_inputs=limit)
    trainer = training.Trainer(network, plan, torch.float32, torch.device("cpu"))
    groups = {(group["scale"], group["weight_decay"]): len(group["params"]) for group in trainer._parameter_groups()}
    assert groups == shapes
