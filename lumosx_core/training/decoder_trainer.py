"""The loss of the learned decoder, and the drawn world as it sees it: latents, and what was drawn at twice the size."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..media import letterbox
from ..tiny.codec import world_codec
from ..tiny.world.cast import Split
from ..tiny.world.clip import Cast, draw_cast, draw_frame, draw_references
from ..tiny.world.scenery import HEIGHT, WIDTH, draw_place
from ..tiny.world.script import Script, draw_script
from .examples import CHANCE_OF_EXCHANGE, encode_pictures
from .muon import Muon
from .trainer import Trainer

ZOOM = 2
"""Painted pixels of a side for each that was encoded."""
MADE_SEED, MADE_CASTS = 12, 4
"""Of the world that the transformer makes, and its casts of each script."""
FRAMES = 3
"""Latent frames of the clips that pictures are taken from."""
CHANCE_REFERENCE = 0.06
"""How often a true picture is a reference."""
MOST_NOISE = 0.4
"""Highest standard deviation of the noise on true latents; the transformer's own get a quarter."""


@dataclass(frozen=True)
class Painting:
    """Pictures to learn from.

    Attributes:
        latent: [n, 16, h, w], normalised.
        truth: RGB [n, 16 h, 16 w, 3], uint8.
        noise: [n], highest standard deviation of what is added to each latent.
    """

    latent: torch.Tensor
    truth: torch.Tensor
    noise: torch.Tensor


def drawn_clips(seed: int, index: int, split: Split, casts: int = 1) -> tuple[Script, list[Cast], np.random.Generator]:
    """Script ``index`` of a world with some casts, and the chance that goes on from them."""
    random = np.random.default_rng([seed, index])
    script = draw_script(random, chance_of_exchange=CHANCE_OF_EXCHANGE)
    return script, [draw_cast(random, script, split) for _ in range(casts)], random


class Paintings(torch.utils.data.Dataset):
    """Pictures of the drawn world without end: number ``index`` is the same one whenever it is asked for.

    Args:
        seed: of everything.
        batch: pictures of each.
        split: which world.
        made: file of ``write_made``; without it all latents are true.
        chances: how often a picture is one of ``made``, by the first picture from which this holds; 0 before.
    """

    def __init__(
        self, seed: int, batch: int, split: Split, made: Path | None = None, chances: Mapping[int, float] | None = None
    ) -> None:
        self._seed, self._batch, self._split, self._chances = seed, batch, split, chances or {}
        self._made = None if made is None else np.load(made, mmap_mode="r")

    def __getitem__(self, index: int) -> Painting:
        pairs = [self._pair(index * self._batch + number) for number in range(self._batch)]
        latents, truths, noises = zip(*pairs)
        return Painting(torch.stack(latents), torch.from_numpy(np.stack(truths)), torch.tensor(noises))

    def _pair(self, number: int) -> tuple[torch.Tensor, np.ndarray, float]:
        random = np.random.default_rng([self._seed, 1, number])
        chance = max(((first, chance) for first, chance in self._chances.items() if first <= number), default=(0, 0))[1]
        if self._made is not None and random.random() < chance:
            clip, number, frame = (int(random.integers(size)) for size in (len(self._made), MADE_CASTS, FRAMES))
            script, casts, _ = drawn_clips(MADE_SEED, clip, self._split, MADE_CASTS)
            latent = torch.from_numpy(self._made[clip, number, :, frame].astype(np.float32))
            return latent, np.asarray(_drawn(script, casts[number], frame, ZOOM)), MOST_NOISE / 4
        script, (cast,), random = drawn_clips(self._seed, number, self._split)
        if random.random() < CHANCE_REFERENCE:
            pictures = [picture for _, picture in draw_references(random, script, cast, 2 * ZOOM)]
            picture = pictures[int(random.integers(len(pictures)))]
            small, large = (letterbox(picture, zoom * WIDTH, zoom * HEIGHT) for zoom in (1, ZOOM))
        else:
            frame = int(random.integers(FRAMES))
            small, large = (_drawn(script, cast, frame, zoom) for zoom in (1, ZOOM))
        return encode_pictures(world_codec(), [small])[0, :, 0], np.asarray(large), MOST_NOISE


def _drawn(script: Script, cast: Cast, frame: int, zoom: int) -> Image.Image:
    return draw_frame(script, cast, draw_place(script.place, cast.surroundings, zoom), frame, FRAMES, zoom)


class DecoderTrainer(Trainer):
    """Trains a decoder on ``Painting``s.

    A resumed training may end sooner or later than was planned, and average over fewer or more steps.
    """

    may_change = ("steps", "decay")

    def _make_optimizer(self) -> torch.optim.Optimizer:
        return Muon(self._parameter_groups(), self.plan.rate, weight_decay=self.plan.weight_decay)

    def _go_back(self, samples: list[Painting]) -> float:
        """Each sample in a thread of its own: on a busy machine, threads that share each layer mostly wait."""
        noised = [(self._noised(sample), sample.truth) for sample in samples]
        with ThreadPoolExecutor(len(samples)) as pool:
            losses, gradients = zip(*pool.map(lambda pair: self._gradients(*pair), noised))
        for part, *of_samples in zip(self._working, *gradients):
            part.grad = torch.stack(of_samples).mean(0)
        return sum(losses) / len(losses)

    def _noised(self, sample: Painting) -> torch.Tensor:
        spread = torch.rand(len(sample.noise), generator=self._generator) * sample.noise
        noise = torch.randn(sample.latent.shape, generator=self._generator)
        latent = (sample.latent + spread.view(-1, 1, 1, 1) * noise).to(self.device, self.dtype)
        return latent.contiguous(memory_format=torch.channels_last)

    def _gradients(self, latent: torch.Tensor, truth: torch.Tensor) -> tuple[float, tuple[torch.Tensor, ...]]:
        wanted = truth.to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        loss = painting_loss(self.network(latent).float(), wanted)
        return loss.item(), torch.autograd.grad(loss, self._working)


def painting_loss(painted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean difference of colours plus those of steps between neighbours, which keeps edges sharp; [n, 3, H, W]."""
    error = painted - truth
    return error.abs().mean() + error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
