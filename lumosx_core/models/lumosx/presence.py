"""Which references are in the sequence in which part of the sampling: a binding for each set of them.

A step looks as it would with a scene that has no other references: other tokens, other positions, other word weights.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from ...scene.binding import BoundPrompt
from .sequence import Binding, BoundWord, bound_words

Present = tuple[bool, ...]
"""For each word of a scene in token order, whether it and its picture are there."""


@dataclass(frozen=True)
class Presence:
    """When the references of a scene are there.

    Attributes:
        words: of the scene, in token order.
    """

    words: tuple[BoundWord, ...]

    @classmethod
    def of(cls, bound: BoundPrompt) -> Presence:
        """That of a scene in a prompt."""
        return cls(bound_words(bound))

    @property
    def is_limited(self) -> bool:
        """Whether anything is absent from some step."""
        return any(word.influence.is_limited for word in self.words)

    def at(self, sigma: float, sigma_of: Callable[[float], float]) -> Present:
        """What is there at a noise level; where one word ends and another begins, both are, as in ComfyUI.

        Args:
            sigma: the noise level.
            sigma_of: the noise level of a share of the sampling in [0, 1], from much noise to little.
        """
        influences = (word.influence for word in self.words)
        return tuple(sigma_of(each.end) <= sigma <= sigma_of(each.start) for each in influences)

    def binding(self, present: Present) -> Binding:
        """What binds the references that are there."""
        return _bind(self.words, present)[0]

    def pictures(self, present: Present) -> tuple[int, ...]:
        """The places, among all pictures of the scene in token order, of those that are there."""
        return _bind(self.words, present)[1]


# A run asks the same few questions in every step.
@functools.lru_cache(maxsize=64)
def _bind(words: tuple[BoundWord, ...], present: Present) -> tuple[Binding, tuple[int, ...]]:
    there = {index for index, is_there in enumerate(present) if is_there}
    pictures = [index for index, word in enumerate(words) if word.shown]
    return (
        Binding.of_words([words[index] for index in sorted(there)]),
        tuple(place for place, index in enumerate(pictures) if index in there),
    )
