"""What one step of training looks at, and where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ..media import letterbox
from ..models.lumosx.sequence import Binding
from ..scene.binding import Tokenizer, bind_prompt
from ..scene.relations import Scene
from ..tiny.codec import BlockTransformCodec, normalised, world_codec
from ..tiny.world.cast import Split
from ..tiny.world.clip import Cast, draw_cast, draw_frames, draw_references
from ..tiny.world.relations import scene_of
from ..tiny.world.scenery import HEIGHT, WIDTH
from ..tiny.world.script import Script, draw_lesson, draw_script, reworded

Tokenise = Tokenizer
Encode = Callable[[str], torch.Tensor]

LENGTHS = (1, 3, 5)
"""Latent frames of a clip of the drawn world, and how often each length comes."""
CHANCES = (0.3, 0.4, 0.3)
CHANCE_OF_EXCHANGE = 0.25
"""How often two people change places: more than in the world, since it is the hardest to learn."""


@dataclass(frozen=True)
class Example:
    """Clips that share a binding.

    Attributes:
        latent: [batch, 16, frames, height, width], normalised.
        references: in token order, each [batch, 16, 1, height, width], normalised.
        prompts: the text of each clip; their tokens are equally many.
        scenes: whose words bind in each; the pictures do not matter.
    """

    latent: torch.Tensor
    references: list[torch.Tensor]
    prompts: list[str]
    scenes: list[Scene]


def bind(scene: Scene, prompt: str, tokenise: Tokenise) -> Binding:
    """The binding that LumosX Relational Encode would make.

    Raises:
        LumosXError: a phrase that is not in the prompt.
    """
    return Binding.of(bind_prompt(tokenise, scene, prompt))


def encode_pictures(codec: BlockTransformCodec, pictures: list[Image.Image]) -> torch.Tensor:
    """Normalised latents [n, 16, 1, h, w] of pictures of one size."""
    return normalised(codec.encode_pictures(pictures))


def encode_clips(scripts: list[Script], casts: list[Cast], frames: int) -> torch.Tensor:
    """The latent, as ``Example`` has it, of scripts and who plays each."""
    codec = world_codec()
    clips = [encode_pictures(codec, draw_frames(script, cast, frames)) for script, cast in zip(scripts, casts)]
    return torch.cat([clip.transpose(0, 2) for clip in clips])


def encode_references(random: np.random.Generator, scripts: list[Script], casts: list[Cast]) -> list[torch.Tensor]:
    """The references, as ``Example`` has them, of scripts that show the same kinds, in views by chance."""
    codec = world_codec()
    seen = [
        encode_pictures(
            codec, [letterbox(picture, WIDTH, HEIGHT) for _, picture in draw_references(random, script, cast)]
        )
        for script, cast in zip(scripts, casts)
    ]
    return list(torch.stack(seen, dim=1))


class WorldExamples(torch.utils.data.Dataset):
    """Clips of the drawn world without end: number ``index`` is the same one whenever it is asked for.

    Args:
        seed: of everything.
        batch: clips of each example.
        split: which world.
        lessons: how many of the first examples are stills of easy scripts.
    """

    def __init__(self, seed: int, batch: int, split: Split, lessons: int = 0):
        self._seed, self._batch, self._split, self._lessons = seed, batch, split, lessons

    def __getitem__(self, index: int) -> Example:
        random = np.random.default_rng([self._seed, index])
        scripts, frames = self._scripts(index, random)
        casts = [draw_cast(random, script, self._split) for script in scripts]
        return Example(
            encode_clips(scripts, casts, frames), encode_references(random, scripts, casts),
            [script.prompt for script in scripts], [scene_of(script) for script in scripts],
        )

    def _scripts(self, index: int, random: np.random.Generator) -> tuple[list[Script], int]:
        """One for each clip, and their latent frames."""
        if index < self._lessons:
            script, frames = draw_lesson(random), 1
        else:
            script = draw_script(random, chance_of_exchange=CHANCE_OF_EXCHANGE)
            # Nobody can change places in a still.
            lengths, chances = (LENGTHS[1:], None) if script.exchange else (LENGTHS, CHANCES)
            frames = int(random.choice(lengths, p=chances))
        return [script, *(reworded(random, script) for _ in range(self._batch - 1))], frames
