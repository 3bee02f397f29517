import itertools

import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.tiny.codec import denormalised, world_codec
from lumosx_core.tiny.decoder import Decoder, initialise_decoder
from lumosx_core.tiny.world.cast import Split
from lumosx_core.training import decoder_trainer
from lumosx_core.training.decoder_trainer import (
    FRAMES,
    MADE_CASTS,
    MADE_SEED,
    MOST_NOISE,
    DecoderTrainer,
    Painting,
    Paintings,
    drawn_clips,
    painting_loss,
)
from lumosx_core.training.examples import encode_clips
from lumosx_core.training.trainer import TrainingPlan


def small_of(painting):
    """What the latents show, RGB [n, 96, 128, 3]."""
    return world_codec().decode_pictures(denormalised(painting.latent[:, :, None]))


def belongs_together(painting):
    """Whether each latent shows its own drawing, as nearly as the block transform can, and none of the others."""
    drawn = painting.truth.float().unflatten(1, (-1, 2)).unflatten(3, (-1, 2)).mean((2, 4)).numpy()
    distances = np.abs(small_of(painting)[:, None] - drawn[None]).mean((2, 3, 4))
    return (np.diag(distances) == distances.min(1)).all() and np.diag(distances).max() < 20


def test_latents_show_what_is_drawn_at_twice_the_size():
    painting = Paintings(0, 8, Split.TRAIN)[0]
    assert painting.latent.shape == (8, 16, 12, 16) and painting.truth.shape == (8, 192, 256, 3)
    assert painting.truth.dtype is torch.uint8 and painting.noise.tolist() == pytest.approx([MOST_NOISE] * 8)
    assert belongs_together(painting)


def test_references_are_learned_too(monkeypatch):
    monkeypatch.setattr(decoder_trainer, "CHANCE_REFERENCE", 1.0)
    painting = Paintings(0, 6, Split.TRAIN)[0]
    assert belongs_together(painting)
    white = (painting.truth == 255).all(-1).float().mean((1, 2))
    assert (white > 0.3).any()


def test_each_number_is_always_the_same_and_a_batch_of_its_own():
    paintings = Paintings(0, 2, Split.TRAIN)
    assert torch.equal(paintings[3].truth, Paintings(0, 2, Split.TRAIN)[3].truth)
    assert not torch.equal(paintings[3].truth, paintings[4].truth)


def test_what_the_model_made_comes_with_its_own_drawing(tmp_path):
    """The made latents are the true ones here, so that the two can be compared."""
    made = []
    for script in range(2):
        drawn, casts, _ = drawn_clips(MADE_SEED, script, Split.TRAIN, MADE_CASTS)
        made.append(encode_clips([drawn] * MADE_CASTS, casts, FRAMES).half().numpy())
    np.save(tmp_path / "made.npy", np.stack(made))
    painting = Paintings(0, 8, Split.TRAIN, tmp_path / "made.npy", {8: 1.0})[1]
    assert len(painting.truth.unique(dim=0)) > 4
    assert painting.noise.max() < MOST_NOISE
    assert belongs_together(painting)
    assert Paintings(0, 8, Split.TRAIN, tmp_path / "made.npy", {8: 1.0})[0].noise.min() > painting.noise.max()


def test_edges_count_beside_colours():
    truth = torch.zeros(1, 3, 4, 8)
    even, striped = torch.full_like(truth, 0.1), truth.clone()
    striped[..., ::2], striped[..., 1::2] = 0.1, -0.1
    assert painting_loss(truth, truth) == 0
    assert painting_loss(even, truth) == pytest.approx(0.1)
    assert painting_loss(striped, truth) == pytest.approx(0.3)


def painting(seed):
    draw = torch.Generator().manual_seed(seed)
    latent = torch.randn(2, 16, 2, 2, generator=draw)
    return Painting(latent, torch.full((2, 32, 32, 3), 128 + seed % 8, dtype=torch.uint8), torch.full((2,), 0.2))


def make(steps=8):
    network = Decoder((8, 8, 8, 8), (1, 0, 0, 0))
    initialise_decoder(network, 0)
    plan = TrainingPlan(steps, rate=0.02, warmup=2, accumulate=2)
    return DecoderTrainer(network, plan, torch.float32, torch.device("cpu"))


def endless(first=0):
    return (painting(number) for number in itertools.count(first))


def test_the_loss_falls():
    losses = []
    make(40).train(itertools.cycle([painting(0), painting(1)]), lambda step, loss: losses.append(loss))
    assert losses[-1] < 0.4 * losses[0]


def test_threads_give_the_gradient_of_all_samples_together():
    trainer = make()
    both = [painting(0), painting(1)]
    quiet = [Painting(one.latent, one.truth, torch.zeros(2)) for one in both]
    loss = trainer._go_back(quiet)
    found = [part.grad.clone() for part in trainer._working]
    for part in trainer._working:
        part.grad = None
    latent, truth = torch.cat([one.latent for one in both]), torch.cat([one.truth for one in both])
    whole = painting_loss(trainer.network(latent), truth.permute(0, 3, 1, 2).float() / 127.5 - 1)
    whole.backward()
    assert loss == pytest.approx(whole.item(), rel=1e-5)
    for part, expected in zip(found, trainer._working):
        assert torch.allclose(part, expected.grad, atol=1e-6)


def test_a_resumed_training_may_end_at_another_step_but_is_otherwise_the_same(tmp_path):
    whole = make(8)
    whole.train(endless(), lambda step, loss: None)
    stopped = make(20)
    stopped.plan = TrainingPlan(3, rate=0.02, warmup=2, accumulate=2, cooldown=0.0)
    stopped.train(endless(), lambda step, loss: None)
    stopped.plan = make(20).plan
    stopped.save(tmp_path / "checkpoint")
    resumed = make(8)
    resumed.resume(tmp_path / "checkpoint")
    resumed.train(endless(6), lambda step, loss: None)
    assert resumed.step == 8
    for one, other in zip(whole.weights, resumed.weights):
        assert torch.equal(one, other)
    other = DecoderTrainer(make().network, TrainingPlan(8, rate=0.5), torch.float32, torch.device("cpu"))
    with pytest.raises(LumosXError, match="other settings"):
        other.resume(tmp_path / "checkpoint")
