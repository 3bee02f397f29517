"""The loss of the learned codec, and the drawn world as it sees it: short clips and references, at both sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from ..media import letterbox
from ..tiny.codec import FRAMES_PER_LATENT, denormalised, normalised
from ..tiny.learned import SPREAD, LearnedCodec, groups_of
from ..tiny.world.cast import Split
from ..tiny.world.clip import draw_cast, draw_frames, draw_references
from ..tiny.world.scenery import HEIGHT, WIDTH
from ..tiny.world.script import draw_script
from .examples import CHANCE_OF_EXCHANGE
from .muon import Muon
from .trainer import Trainer

ZOOM = 2
"""Painted pixels of a side for each that is encoded."""
LATENT_FRAMES = 3
"""Of each clip; one more latent frame is a reference."""
LENGTHS = (9, 17, 33)
"""Frames of the clips that they are taken from."""
MOST_NOISE, CHANCE_CLEAN = 0.25, 0.3
"""Highest standard deviation of the noise on latents, and how often a clip has none."""


Compare = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Sight:
    """What the codec learns from at once.

    Attributes:
        clips: RGB [n, F, 96, 128, 3], uint8, as they are encoded.
        painted_clips: the same at twice the size.
        references, painted_references: the same with one frame each.
    """

    clips: torch.Tensor
    painted_clips: torch.Tensor
    references: torch.Tensor
    painted_references: torch.Tensor


class Sights(torch.utils.data.Dataset):
    """An endless set of drawn clips: number ``index`` is always the same one.

    Args:
        seed: of everything.
        batch: clips of each.
        split: which world.
    """

    def __init__(self, seed: int, batch: int, split: Split) -> None:
        self._seed, self._batch, self._split = seed, batch, split

    def __getitem__(self, index: int) -> Sight:
        drawn = [self._draw(index * self._batch + number) for number in range(self._batch)]
        return Sight(*(torch.from_numpy(np.stack(pictures)) for pictures in zip(*drawn)))

    def _draw(self, number: int) -> tuple[np.ndarray, ...]:
        random = np.random.default_rng([self._seed, number])
        script = draw_script(random, chance_of_exchange=CHANCE_OF_EXCHANGE)
        cast, length = draw_cast(random, script, self._split), int(random.choice(LENGTHS))
        count = FRAMES_PER_LATENT * (LATENT_FRAMES - 1) + 1
        first = int(random.integers(length - count + 1))
        chosen = range(first, first + count)
        clips = [
            np.stack([np.asarray(one) for one in draw_frames(script, cast, length, zoom, chosen)])
            for zoom in (1, ZOOM)
        ]
        pictures = [picture for _, picture in draw_references(random, script, cast, 2 * ZOOM)]
        picture = pictures[int(random.integers(len(pictures)))]
        references = [np.asarray(letterbox(picture, zoom * WIDTH, zoom * HEIGHT))[None] for zoom in (1, ZOOM)]
        return *clips, *references


def painting_loss(painted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean difference of colours, its square, and the difference of steps between neighbours, which keeps edges sharp.

    Both are [n, channels, H, W].
    """
    error = painted - truth
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + F.mse_loss(painted, truth) + edges


class CodecTrainer(Trainer[LearnedCodec, Sight]):
    """Trains a ``LearnedCodec`` on ``Sight``s; its statistics are those of the batch until ``measured_statistics``."""

    may_change = ("steps", "decay", "cooldown")
    """A resumed training may end sooner or later than was planned, and average over fewer or more steps."""

    compare: Compare = staticmethod(painting_loss)

    def compile_loss(self) -> None:
        """Let the loss be compiled; needs a C++ compiler."""
        self.compare = torch.compile(painting_loss, dynamic=False)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        return Muon(self._parameter_groups(), self.plan.rate, weight_decay=self.plan.weight_decay)

    threads = 2

    def _go_back(self, samples: list[Sight]) -> float:
        return self._go_back_from([
            partial(codec_loss, self.network, sample, self._noise(sample), self.dtype, self.device, self.compare)
            for sample in samples
        ])

    def _noise(self, sample: Sight) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise for the latents of clips and references, one level for each clip."""
        height, width = (side // 8 for side in sample.clips.shape[2:4])
        found = []
        for pictures, frames in ((sample.clips, LATENT_FRAMES), (sample.references, 1)):
            count = len(pictures)
            level = MOST_NOISE * torch.rand(count, generator=self._generator)
            level *= (torch.rand(count, generator=self._generator) >= CHANCE_CLEAN).float()
            noise = torch.randn((count, frames, 16, height, width), generator=self._generator)
            found.append(level.view(-1, 1, 1, 1, 1) * noise)
        return found[0], found[1]


def codec_loss(
    codec: LearnedCodec, sample: Sight, noise: tuple[torch.Tensor, torch.Tensor], dtype: torch.dtype,
    device: torch.device, compare: Compare,
) -> torch.Tensor:
    """How far what is painted of noised latents is from what was drawn."""
    groups = [_groups(pictures.to(device)) for pictures in (sample.clips, sample.references)]
    features = codec.encoder(_near(torch.cat([group.flatten(0, 1) for group in groups]), dtype)).float()
    mean, std = features.mean((0, 2, 3), keepdim=True), features.std((0, 2, 3), keepdim=True)
    latents = (features - mean) / std * torch.tensor(SPREAD, device=device).view(-1, 1, 1)
    latents = latents + torch.cat([one.flatten(0, 1) for one in noise]).to(latents)
    before = torch.arange(len(latents), device=device) - (~_is_first(groups, device)).long()
    painted = codec.decoder(_near(latents[before], dtype), _near(latents, dtype)).float()
    drawn = (_groups(one.to(device)) for one in (sample.painted_clips, sample.painted_references))
    return compare(painted, torch.cat([one.flatten(0, 1) for one in drawn]))


def _is_first(groups: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    """Which of the latent frames, one clip after another, have none before them."""
    return torch.cat([
        (torch.arange(group.shape[1], device=device) == 0).repeat(group.shape[0]) for group in groups
    ])


def pixels(videos: torch.Tensor) -> torch.Tensor:
    """[n, 3, F, H, W] in -1..1 of uint8 [n, F, H, W, 3]."""
    return videos.permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def _groups(videos: torch.Tensor) -> torch.Tensor:
    return groups_of(pixels(videos))


def _near(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return tensor.to(dtype).contiguous(memory_format=torch.channels_last)


def measure_statistics(codec: LearnedCodec, sights: Sights, count: int = 1) -> None:
    """Set the codec's mean and deviation of each channel to those of ``count`` sights."""
    with torch.no_grad():
        features = torch.cat([
            codec.encoder(_groups(pictures).flatten(0, 1))
            for sight in map(sights.__getitem__, range(count)) for pictures in (sight.clips, sight.references)
        ])
        codec.mean.copy_(features.mean((0, 2, 3)))
        codec.std.copy_(features.std((0, 2, 3)) / torch.tensor(SPREAD))


def decoded(codec: LearnedCodec, videos: torch.Tensor, noise: float) -> torch.Tensor:
    """What a codec paints of uint8 videos [n, F, H, W, 3] whose latents get noise: [n, 3, F, 2 H, 2 W]."""
    with torch.no_grad():
        latent = normalised(codec.encode(pixels(videos)))
        latent = latent + noise * torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
        return codec.decode(denormalised(latent))
