"""The token sequence of one run: order, groups, positions and text weights (paper section 3, "R2PE", "CSAM", "MCAM").

``[ video frames | background, objects | subject 0's images | subject 1's images | … ]``; every reference is one latent
frame of ``height * width`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...scene.binding import BoundPrompt
from ...scene.influence import FULL, Influence
from ...scene.phrases import Span
from ..wan.config import UMT5


@dataclass(frozen=True)
class BoundWord:
    """One of a scene's words without its picture: small, immutable and comparable.

    Attributes:
        spans: its token spans.
        person: index of the subject that it belongs to; None for a background or an object.
        shown: whether it has a picture.
        influence: how strongly it acts, and in which steps.
    """

    spans: tuple[Span, ...]
    person: int | None
    shown: bool
    influence: Influence = FULL


def bound_words(bound: BoundPrompt) -> tuple[BoundWord, ...]:
    """Those of a scene in a prompt, in token order."""
    owners: list[int | None] = [None for _ in bound.scene.non_human]
    owners += [index for index, subject in enumerate(bound.scene.subjects) for _ in subject.words]
    return tuple(
        BoundWord(bound.spans_of(word), owner, word.image is not None, word.influence)
        for word, owner in zip(bound.scene.words, owners)
    )


@dataclass(frozen=True)
class Binding:
    """What binds references to words, without pictures: small, immutable and comparable.

    Attributes:
        non_human_spans: the token spans of each background or object reference.
        subject_spans: the token spans of each subject, all its phrases together.
        subject_images: how many reference images each subject has; one of words only has none.
        strengths: what the video gives each reference is multiplied by; empty if that is 1 for all of them.
    """

    non_human_spans: tuple[tuple[Span, ...], ...]
    subject_spans: tuple[tuple[Span, ...], ...]
    subject_images: tuple[int, ...]
    strengths: tuple[float, ...] = ()

    @classmethod
    def of(cls, bound: BoundPrompt) -> Binding:
        """What binds the references of a scene to a prompt."""
        return cls.of_words(bound_words(bound))

    @classmethod
    def of_words(cls, words: Sequence[BoundWord]) -> Binding:
        """What binds references to a prompt. Words without a picture count where they belong to a person.

        Args:
            words: in token order.
        """
        people: dict[int, list[BoundWord]] = {}
        for word in words:
            if word.person is not None:
                people.setdefault(word.person, []).append(word)
        groups = list(people.values())
        non_human = [word for word in words if word.person is None and word.shown]
        pictures = [word for word in (*non_human, *(word for group in groups for word in group)) if word.shown]
        strengths = tuple(word.influence.strength for word in pictures)
        return cls(
            tuple(word.spans for word in non_human),
            tuple(tuple(span for word in group for span in word.spans) for group in groups),
            tuple(sum(word.shown for word in group) for group in groups),
            strengths if any(strength != 1 for strength in strengths) else (),
        )

    @property
    def references(self) -> int:
        """How many reference images there are."""
        return len(self.non_human_spans) + sum(self.subject_images)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """Images of each attention group: every non-human reference alone, then each subject that has images."""
        return (1,) * len(self.non_human_spans) + tuple(filter(None, self.subject_images))

    def text_weights(self, text_length: int = UMT5.length) -> torch.Tensor:
        """[references, text_length] float32: how strongly each reference is drawn to each text token.

        A non-human reference has 1 on its phrase. A subject has its own words minus the mean of the other subjects'
        (in [-1, 1]); all its images share them, and words that everybody shares cancel out.
        """
        masks = torch.zeros(len(self.non_human_spans) + len(self.subject_spans), text_length)
        for mask, spans in zip(masks, self.non_human_spans + self.subject_spans):
            for start, end in spans:
                mask[start:end] = 1
        non_human, people = masks.split([len(self.non_human_spans), len(self.subject_spans)])
        if len(people) > 1:
            people = people - (people.sum(0) - people) / (len(people) - 1)
        owners = [subject for subject, images in enumerate(self.subject_images) for _ in range(images)]
        return torch.cat([non_human, people[owners]])


@dataclass(frozen=True)
class SequenceLayout:
    """Everything there is to know about the sequence of one forward.

    Attributes:
        frames: latent frames of the video.
        height: token rows of a frame.
        width: token columns of a frame.
        binding: what the references are bound to.
    """

    frames: int
    height: int
    width: int
    binding: Binding

    @property
    def frame_tokens(self) -> int:
        """Tokens of one frame or reference."""
        return self.height * self.width

    @property
    def video_tokens(self) -> int:
        """Tokens of the video; they come first."""
        return self.frames * self.frame_tokens

    @property
    def tokens(self) -> int:
        """Tokens of the whole sequence."""
        return self.video_tokens + self.binding.references * self.frame_tokens

    @property
    def groups(self) -> tuple[Span, ...]:
        """CSAM: the token range of each group of references that attend to each other and to nothing else."""
        ranges, start = [], self.video_tokens
        for images in self.binding.group_sizes:
            end = start + images * self.frame_tokens
            ranges.append((start, end))
            start = end
        return tuple(ranges)

    @property
    def group_calls(self) -> tuple[tuple[int, int, int], ...]:
        """The groups as (start, how many, tokens of each): neighbours of one size can share a batched call."""
        calls: list[tuple[int, int, int]] = []
        for start, end in self.groups:
            tokens = end - start
            if calls and calls[-1][2] == tokens:
                first, groups, _ = calls.pop()
                calls.append((first, groups + 1, tokens))
            else:
                calls.append((start, 1, tokens))
        return tuple(calls)

    def reference_range(self, reference: int) -> Span:
        """The token range of one reference image."""
        start = self.video_tokens + reference * self.frame_tokens
        return start, start + self.frame_tokens

    def positions(self, relational: bool = True) -> torch.Tensor:
        """R2PE: [tokens, 3] int64 (t, y, x) for the rotary embedding.

        All images of a group share the next free t; the i-th is moved along the diagonal by (i*height, i*width).
        With ``relational`` off every reference has a t of its own and is not moved, as a frame would be.
        """
        grid = torch.cartesian_prod(torch.arange(1), torch.arange(self.height), torch.arange(self.width))
        offsets = [(frame, 0, 0) for frame in range(self.frames)]
        if relational:
            for group, images in enumerate(self.binding.group_sizes):
                offsets += [
                    (self.frames + group, image * self.height, image * self.width) for image in range(images)
                ]
        else:
            offsets += [(self.frames + reference, 0, 0) for reference in range(self.binding.references)]
        return (torch.tensor(offsets)[:, None, :] + grid[None]).reshape(-1, 3)

    def pooled_cells(self, pool: int = 8) -> torch.Tensor:
        """MCAM: [frame_tokens] int64, the pooled cell whose bias each token of a reference gets.

        The release repeats the cells over the *padded* grid, flattens it row by row and cuts it to the first
        height*width rows. If width is not a multiple of ``pool`` the rows drift; the weights were trained so.
        """
        columns = -(-self.width // pool)
        index = torch.arange(self.frame_tokens)
        row = index // (columns * pool)
        column = index % (columns * pool)
        return (row // pool) * columns + column // pool
