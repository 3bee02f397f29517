"""Clips of the drawn world in which each person is one subject, for the small HunyuanVideo and its adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ..tiny.learned import LearnedCodec
from ..tiny.world.cast import Split
from ..tiny.world.clip import draw_cast
from ..tiny.world.script import Script, with_colours
from ..tiny.world.whole import draw_people, draw_whole_script
from .adapter_cases import CaseEncoder, EncodedText
from .examples import encode_clips, weights_of
from .tiny_run import drawn_aside, fast_encoder

LENGTHS, CHANCES = (1, 3), (0.4, 0.6)
"""Latent frames of a clip, and the chance of each length."""
PEOPLE_WEIGHT = 4.0
"""Weight of an adapter's loss where people are; elsewhere, where no reference tells what is to be seen, it is 1."""
_FIGURE = (-18.0, -88.0, 18.0, 0.0)
"""A box around a whole person, see ``weights_of``."""


@dataclass(frozen=True)
class WholeExample:
    """Clips that share a script.

    Attributes:
        prompts: of each clip, equally many tokens each.
        words: of each subject, in the order of the pictures.
        latent: [batch, 16, frames, h, w], normalised.
        weights: [1, frames, h, w], weights of the loss, which are higher where people are.
        pictures: of each clip, a picture for each subject.
    """

    prompts: list[str]
    words: tuple[str, ...]
    latent: torch.Tensor
    weights: torch.Tensor
    pictures: list[list[Image.Image]]


class WholeExamples(torch.utils.data.Dataset):
    """An endless set of such examples; number ``index`` is always the same.

    Args:
        codec: encodes the clips.
        seed: of everything that is random.
        batch: clips in each example.
        split: of the drawn world.
        lessons: the number of examples, at the start, that are stills, from which a network learns faster; these have
            twice as many clips.
        coloured: how often the prompts name the colours of clothes, other colours for each clip.
    """

    def __init__(
        self, codec: LearnedCodec, seed: int, batch: int, split: Split, lessons: int = 0, coloured: float = 0.0
    ) -> None:
        self._codec, self._seed, self._batch, self._split, self._lessons = codec, seed, batch, split, lessons
        self._coloured = coloured

    def __getitem__(self, index: int) -> WholeExample:
        random = np.random.default_rng([self._seed, index])
        script = draw_whole_script(random)
        frames, batch = int(random.choice(LENGTHS, p=CHANCES)), self._batch
        if index < self._lessons:
            frames, batch = 1, 2 * batch
        named = random.random() < self._coloured
        scripts = [with_colours(random, script) if named else script for _ in range(batch)]
        casts = [draw_cast(random, one, self._split) for one in scripts]
        return WholeExample(
            [one.prompt for one in scripts], words_of(script), encode_clips(self._codec, scripts, casts, frames),
            weights_of(script, frames, _FIGURE, PEOPLE_WEIGHT),
            [list(draw_people(random, script, cast)) for cast in casts],
        )


def words_of(script: Script) -> tuple[str, ...]:
    """The words of each subject, in the order of the pictures."""
    return tuple(script.roles[number].phrase for number in script.subjects)


def prompt_rows(encoder: CaseEncoder, prompts: Sequence[str]) -> EncodedText:
    """Prompts as rows of one text, which has a single row if all are the same."""
    different = prompts[:1] if len(set(prompts)) == 1 else prompts
    return EncodedText.together([EncodedText(*encoder.text(prompt)) for prompt in different])


def whole_examples(
    codec: LearnedCodec, seed: int, batch: int, first: int, lessons: int = 0, coloured: float = 0.0
) -> Iterator[WholeExample]:
    """The training's examples from number ``first`` on, drawn and encoded in a separate process."""
    examples = WholeExamples(fast_encoder(codec), seed, batch, Split.TRAIN, lessons, coloured)
    return iter(drawn_aside(examples, first, 24))
