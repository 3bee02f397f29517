import itertools

import numpy as np
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.tiny.codec import normalised
from lumosx_core.tiny.learned import SPREAD, LearnedCodec, initialise_codec
from lumosx_core.tiny.world.cast import Split
from lumosx_core.training.codec_trainer import (
    CHANCE_CLEAN,
    LATENT_FRAMES,
    MOST_NOISE,
    CodecTrainer,
    Sight,
    Sights,
    codec_loss,
    decoded,
    measure_statistics,
    painting_loss,
    pixels,
)
from lumosx_core.training.trainer import TrainingPlan


def halved(pictures):
    return pictures.float().unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).mean((3, 5))


def test_the_same_is_seen_at_both_sizes():
    sight = Sights(0, 3, Split.TRAIN)[0]
    assert sight.clips.shape == (3, 9, 96, 128, 3) and sight.painted_clips.shape == (3, 9, 192, 256, 3)
    assert sight.references.shape == (3, 1, 96, 128, 3) and sight.painted_references.shape == (3, 1, 192, 256, 3)
    for small, large in ((sight.clips, sight.painted_clips), (sight.references, sight.painted_references)):
        assert small.dtype is large.dtype is torch.uint8
        distances = (halved(large)[:, None] - small[None]).abs().mean((2, 3, 4, 5))
        assert (distances.argmin(1) == torch.arange(3)).all() and distances.diagonal().max() < 6


def test_people_move_in_some_clips():
    sight = Sights(0, 8, Split.TRAIN)[1]
    changes = sight.clips.float().diff(dim=1).abs().mean((2, 3, 4))
    assert (changes.amin(1) > 0.1).sum() >= 3


def test_each_number_is_always_the_same_and_a_batch_of_its_own():
    assert torch.equal(Sights(0, 2, Split.TRAIN)[3].clips, Sights(0, 2, Split.TRAIN)[3].clips)
    assert not torch.equal(Sights(0, 2, Split.TRAIN)[3].clips, Sights(0, 2, Split.TRAIN)[4].clips)


def test_edges_and_squares_count_beside_colours():
    truth = torch.zeros(1, 3, 4, 8)
    even, striped = torch.full_like(truth, 0.1), truth.clone()
    striped[..., ::2], striped[..., 1::2] = 0.1, -0.1
    assert painting_loss(truth, truth) == 0
    assert painting_loss(even, truth) == pytest.approx(0.11)
    assert painting_loss(striped, truth) == pytest.approx(0.31)


def sight(seed, size=16):
    draw = np.random.default_rng(seed)

    def videos(frames, zoom):
        shape = (2, frames, zoom * size, zoom * size, 3)
        return torch.from_numpy(np.broadcast_to(draw.integers(0, 255, (2, 1, 1, 1, 3), dtype=np.uint8), shape).copy())

    return Sight(videos(9, 1), videos(9, 2), videos(1, 1), videos(1, 2))


def make(steps=8):
    network = LearnedCodec()
    initialise_codec(network, 0)
    plan = TrainingPlan(steps, rate=0.02, warmup=2, accumulate=2)
    return CodecTrainer(network, plan, torch.float32, torch.device("cpu"))


def endless(first=0):
    return (sight(number) for number in itertools.count(first))


@pytest.mark.slow
def test_the_loss_falls():
    losses = []
    make(30).train(itertools.cycle([sight(0), sight(1)]), lambda step, loss: losses.append(loss))
    assert losses[-1] < 0.5 * losses[0]


def test_threads_give_the_mean_of_the_samples_gradients():
    trainer = make()
    both = [sight(0), sight(1)]
    noises = [tuple(torch.zeros(2, frames, 16, 2, 2) for frames in (LATENT_FRAMES, 1)) for _ in both]
    trainer._noise = lambda sample: noises[0]
    loss = trainer._go_back(both)
    found = [part.grad.clone() for part in trainer._working]
    losses = [
        codec_loss(trainer.network, one, noise, torch.float32, torch.device("cpu"), painting_loss)
        for one, noise in zip(both, noises)
    ]
    expected = torch.autograd.grad(sum(losses) / 2, trainer._working)
    assert loss == pytest.approx(sum(losses).item() / 2, rel=1e-5)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected))


def test_noise_has_one_level_for_a_clip_and_is_none_for_some():
    trainer = make()
    one = Sight(*(torch.zeros(400, 1, side, side, 3, dtype=torch.uint8) for side in (64, 128, 64, 128)))
    clips, references = trainer._noise(one)
    assert clips.shape == (400, LATENT_FRAMES, 16, 8, 8) and references.shape == (400, 1, 16, 8, 8)
    for noise in (clips, references):
        levels = noise.flatten(1).std(1)
        assert abs((levels == 0).float().mean() - CHANCE_CLEAN) < 0.1
        assert MOST_NOISE - 0.05 < levels.max() < MOST_NOISE + 0.05


def test_statistics_give_each_channel_its_spread():
    codec = make().network.requires_grad_(False)
    seen = Sights(0, 2, Split.TRAIN)
    measure_statistics(codec, seen)
    latents = torch.cat([
        normalised(codec.encode(pixels(videos))).transpose(0, 1).flatten(1)
        for videos in (seen[0].clips, seen[0].references)
    ], dim=1)
    assert latents.mean(1).abs().max() < 1e-3
    assert torch.allclose(latents.std(1), torch.tensor(SPREAD), atol=1e-3)


def test_noise_on_latents_changes_what_is_painted_and_none_does_not():
    codec = make().network.requires_grad_(False)
    videos = sight(0).clips
    clean, again, noised = (decoded(codec, videos, level) for level in (0.0, 0.0, 0.3))
    assert torch.equal(clean, again) and not torch.allclose(clean, noised, atol=1e-3)
    assert clean.shape == (2, 3, 9, 32, 32)


def test_a_resumed_training_may_end_at_another_step_but_is_otherwise_the_same(tmp_path):
    whole = make(4)
    whole.train(endless(), lambda step, loss: None)
    stopped = make(20)
    stopped.plan = TrainingPlan(2, rate=0.02, warmup=2, accumulate=2, cooldown=0.0)
    stopped.train(endless(), lambda step, loss: None)
    stopped.plan = make(20).plan
    stopped.save(tmp_path / "checkpoint")
    resumed = make(4)
    resumed.resume(tmp_path / "checkpoint")
    resumed.train(endless(4), lambda step, loss: None)
    assert resumed.step == 4
    for one, other in zip(whole.weights, resumed.weights):
        assert torch.equal(one, other)
    other = CodecTrainer(make().network, TrainingPlan(8, rate=0.5), torch.float32, torch.device("cpu"))
    with pytest.raises(LumosXError, match="other settings"):
        other.resume(tmp_path / "checkpoint")
