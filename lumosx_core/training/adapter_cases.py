"""Case folders as samples for a PolyVivid adapter: one subject alone, or all of a case together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from ..cases import load_case
from ..errors import LumosXError
from ..media import pil_from_tensor
from ..models.polyvivid.positions import TextLayout
from ..models.polyvivid.subjects import subjects_of
from .cases import TargetSize, TrainingCase, read_target

FPS = 24
"""What HunyuanVideo was trained at."""


@dataclass(frozen=True)
class EncodedText:
    """A text stream [rows, tokens, hidden], its pooled text [rows, width], and its layout."""

    context: torch.Tensor
    pooled: torch.Tensor
    layout: TextLayout

    @classmethod
    def together(cls, texts: Sequence[EncodedText]) -> EncodedText:
        """Texts of the same layout as the rows of one."""
        return cls(
            torch.cat([one.context for one in texts]), torch.cat([one.pooled for one in texts]), texts[0].layout
        )

    def for_subjects(self, count: int) -> EncodedText:
        """The same; a text that does not mention its subjects gets the layout for so many."""
        if self.layout.text:
            return self
        return EncodedText(self.context, self.pooled, TextLayout.without_images(self.context.shape[1], count))


@dataclass(frozen=True)
class AdapterSample:
    """The arguments of one forward.

    Attributes:
        latent: of the target, [rows, 16, frames, h, w].
        subjects: a latent for each subject, [1 or rows, 16, 1, h, w].
        text: of the prompt, with or without the subjects' lines.
        negative: of an empty prompt.
        weights: of the loss, [1, frames, h, w]; None for the same everywhere.
    """

    latent: torch.Tensor
    subjects: tuple[torch.Tensor, ...]
    text: EncodedText
    negative: EncodedText
    weights: torch.Tensor | None = None


@dataclass(frozen=True)
class EncodedAdapterCase:
    """A case that needs no encoders any more.

    Attributes:
        latent: of the target.
        subjects: a latent for each subject.
        white: the latent of a white picture.
        together: the prompt with all subjects.
        alone: the prompt with each subject alone.
        plain: the prompt without any.
        negative: an empty prompt.
    """

    latent: torch.Tensor
    subjects: tuple[torch.Tensor, ...]
    white: torch.Tensor
    together: EncodedText
    alone: tuple[EncodedText, ...]
    plain: EncodedText
    negative: EncodedText

    def sample(self, random: np.random.Generator, single: bool, drop: float) -> AdapterSample:
        """The case with all subjects or with one by chance.

        Args:
            single: one subject alone.
            drop: the chance to leave out the subjects' lines, the same to leave out their pictures, and again the same
                for both.
        """
        one = int(random.integers(len(self.subjects)))
        subjects, text = ((self.subjects[one],), self.alone[one]) if single else (self.subjects, self.together)
        no_lines, no_pictures = left_out(random, drop)
        if no_lines:
            text = self.plain
        if no_pictures:
            subjects = (self.white,) * len(subjects)
        count = len(subjects)
        return AdapterSample(self.latent, subjects, text.for_subjects(count), self.negative.for_subjects(count))


def left_out(random: np.random.Generator, drop: float) -> tuple[bool, bool]:
    """Whether to leave out the subjects' lines, and their pictures: either alone or both, with chance ``drop`` each."""
    fate = random.random()
    return fate < drop or 2 * drop <= fate < 3 * drop, drop <= fate < 3 * drop


class CaseEncoder(Protocol):
    """What encodes: ``host.conditioning.polyvivid_training.SubjectsSide``."""

    def features(self, picture: Image.Image) -> torch.Tensor:
        """What stands for ``<image>``."""

    def text(
        self, prompt: str, words: Sequence[str] = (), features: Sequence[torch.Tensor] = ()
    ) -> tuple[torch.Tensor, torch.Tensor, TextLayout]:
        """Text stream, pooled text and layout."""

    def picture(self, picture: Image.Image, side: int) -> torch.Tensor:
        """A subject's latent."""

    def video(self, frames: torch.Tensor) -> torch.Tensor:
        """A target's latent."""


def encode_adapter_case(case: TrainingCase, encoder: CaseEncoder, size: TargetSize, side: int) -> EncodedAdapterCase:
    """Target, subjects and texts of a case.

    Raises:
        LumosXError: it has no picture, the target cannot be read, or a word spells a control token.
    """
    read = load_case(case.folder)
    try:
        subjects = subjects_of(read.scene)
        pictures = [pil_from_tensor(one.image) for one in subjects]
        words, features = [one.word for one in subjects], [encoder.features(picture) for picture in pictures]
        together = EncodedText(*encoder.text(read.prompt, words, features))
        alone = tuple(
            EncodedText(*encoder.text(read.prompt, [word], [seen])) for word, seen in zip(words, features)
        )
    except LumosXError as error:
        raise LumosXError(f"case: {case.folder.name}: {error}") from error
    return EncodedAdapterCase(
        encoder.video(read_target(case.target, size, FPS)), tuple(encoder.picture(one, side) for one in pictures),
        encoder.picture(Image.new("RGB", (side, side), "white"), side), together, alone,
        EncodedText(*encoder.text(read.prompt)), EncodedText(*encoder.text("")),
    )


def adapter_samples(
    cases: Sequence[EncodedAdapterCase], seed: int, drop: float, single_steps: int, first: int
) -> Iterator[AdapterSample]:
    """Samples without end from number ``first`` on: all cases in an order by chance, then again in another.

    Args:
        single_steps: the first so many show one subject alone.
    """
    for index in itertools.count(first):
        turn, place = divmod(index, len(cases))
        order = np.random.default_rng([seed, turn]).permutation(len(cases))
        random = np.random.default_rng([seed, turn, place])
        yield cases[order[place]].sample(random, index < single_steps, drop)
