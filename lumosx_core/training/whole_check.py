"""How often each person of a sampled clip looks most like their own picture, on scenes that training never uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch

from ..models.wan.config import WAN21_LATENT
from ..sampling.solvers import FlowSchedule, solve
from ..tiny.codec import FRAMES_PER_LATENT, Codec
from ..tiny.world.cast import Split
from ..tiny.world.clip import Cast, draw_cast
from ..tiny.world.measure import PlaceMatch, measure_people
from ..tiny.world.scenery import HEIGHT, WIDTH
from ..tiny.world.script import Script
from ..tiny.world.whole import draw_people, draw_whole_script
from .adapter_cases import AdapterSample
from .checking import decode_frames
from .hunyuan_trainer import HunyuanTrainer
from .whole_examples import WholeExample, words_of

STEPS, SHIFT = 10, 5.0
SCRIPTS, CASTS, FRAMES = 4, 6, 3

EncodeExample = Callable[[WholeExample], AdapterSample]


@dataclass(frozen=True)
class WholeScenes:
    """Scenes that share a script.

    Attributes:
        script: of all scenes.
        casts: the people of each scene.
        example: the scenes as a training example, without a latent.
    """

    script: Script
    casts: list[Cast]
    example: WholeExample

    @classmethod
    def draw(cls, seed: list[int], split: Split, casts: int, people: int = 2) -> WholeScenes:
        """Draw scenes of a split, ``casts`` in number; the latent of their example is empty."""
        random = np.random.default_rng(seed)
        script = draw_whole_script(random, people)
        drawn = [draw_cast(random, script, split) for _ in range(casts)]
        pictures = [list(draw_people(random, script, cast)) for cast in drawn]
        shape = WAN21_LATENT.shape(WIDTH, HEIGHT, WAN21_LATENT.video_frames(FRAMES), casts)
        return cls(script, drawn, WholeExample(
            [script.prompt] * casts, words_of(script), torch.zeros(shape), torch.ones(1, *shape[2:]), pictures,
        ))


def people_in(script: Script, cast: Cast, latent: torch.Tensor, codec: Codec) -> tuple[PlaceMatch, ...]:
    """Whom each person looks like, in the last video frame of each latent frame of a normalised latent."""
    video = decode_frames(latent, codec)
    seen = range(0, len(video), FRAMES_PER_LATENT)
    return measure_people(script, cast, video[seen], seen, len(video))


class WholeCheck:
    """Samples scenes of two people of the validation world when called, without guidance.

    Args:
        trainer: whose network is sampled.
        codec: of its latents.
        encode: makes a sample of an example.
    """

    def __init__(self, trainer: HunyuanTrainer, codec: Codec, encode: EncodeExample) -> None:
        self._trainer, self._codec = trainer, codec
        self._scenes = [WholeScenes.draw([98, number], Split.VALIDATION, CASTS) for number in range(SCRIPTS)]
        self._samples = [encode(scenes.example) for scenes in self._scenes]

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        own = []
        for scenes, sample in zip(self._scenes, self._samples):
            for cast, latent in zip(scenes.casts, self.latents(sample)):
                own += [place.is_own for place in people_in(scenes.script, cast, latent, self._codec)]
        return {"people of 2, own": fmean(own)}

    def latents(self, sample: AdapterSample) -> torch.Tensor:
        """The normalised latents that the network makes from noise."""
        trainer, schedule, rows = self._trainer, FlowSchedule.build(STEPS, SHIFT), len(sample.latent)

        def denoise(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:
            times = torch.full((rows,), float(timestep), device=trainer.device)
            return x - sigma * trainer.predict(x, times, sample.subjects, sample.text)

        noise = torch.randn(sample.latent.shape, generator=torch.Generator().manual_seed(5)).to(trainer.device)
        return solve(denoise, noise, schedule.sigmas, schedule).cpu()
