"""A conditioning reduced to one person of its scene, for a video that shows nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ...errors import LumosXError
from ...models.lumosx.sequence import Binding
from ...scene.relations import Reference, Scene
from ..socket import BINDING, OWN, REFERENCES, held_conditions
from .encodings import Encodings
from .entries import with_references
from .pictures import SAME, WHITE, ZERO, reference_latents, unconditional_latents
from .scene import log_warnings
from .video_size import VideoSize

# What belongs to a part of the whole picture, of which the new video shows another part.
_PLACED = ("area", "mask")


@dataclass(frozen=True, eq=False)
class WholeScene:
    """A scene and what LumosX Relational Encode made of it.

    Attributes:
        scene: the relations.
        positive, negative: CONDITIONINGs.

    Raises:
        LumosXError: a positive without references, or with those of another scene.
    """

    scene: Scene
    positive: list
    negative: list

    def __post_init__(self) -> None:
        binding = _binding(self.positive)
        if binding is None:
            raise LumosXError(
                "positive: it has no LumosX references; link the positive output of LumosX Relational Encode."
            )
        own = tuple(len(subject.references) for subject in self.scene.subjects)
        if binding.subject_images != own or binding.references != len(self.scene.references):
            raise LumosXError(
                "relations: they have other people than positive; link the relations that are linked to LumosX "
                "Relational Encode."
            )

    def of_person(self, person: int, face: Reference, vae: Any, size: VideoSize) -> tuple[list, list]:
        """Positive and negative with the face of one subject as their only reference.

        The texts keep all words but those that name somebody else. The face is there in every step.

        Args:
            person: number of the subject, from 0.
            face: its face, with a picture.
            vae: of the model.
            size: of the video to sample.
        """
        encodings = Encodings(False)
        latents = reference_latents(encodings, vae, (face,), size)
        without = unconditional_latents(encodings, vae, latents, size, self._unconditional())
        positive, binding = _placed_nowhere(self.positive, "positive"), _binding(self.positive)
        assert binding is not None
        own = _binding_of(binding, person)
        positive = [[_without_others(text, binding, person), options] for text, options in positive]
        negative = _placed_nowhere(self.negative, "negative")
        bound = _binding(self.negative) is not None
        return with_references(positive, latents, own), with_references(negative, without, own) if bound else negative

    def _unconditional(self) -> str:
        """Which references the negative was given."""
        shown, unseen = _references(self.positive), _references(self.negative)
        if not unseen or all(torch.equal(one, other) for one, other in zip(shown, unseen)):
            return SAME
        return ZERO if not any(one.any() for one in unseen) else WHITE


def _binding_of(binding: Binding, person: int) -> Binding:
    """That of a subject's face alone, with all words of the subject."""
    place = len(binding.non_human_spans) + sum(binding.subject_images[:person])
    strengths = binding.strengths[place:place + 1]
    return Binding((), (binding.subject_spans[person],), (1,), strengths if any(one != 1 for one in strengths) else ())


def _without_others(text: torch.Tensor, binding: Binding, person: int) -> torch.Tensor:
    """A text's embedding [b, tokens, d] in which words of other people alone are zero, as padding is."""
    own = _covered(text.shape[1], binding.subject_spans[person:person + 1])
    others = _covered(text.shape[1], binding.subject_spans[:person] + binding.subject_spans[person + 1:])
    return text.masked_fill((others & ~own).to(text.device)[None, :, None], 0)


def _covered(tokens: int, people: tuple) -> torch.Tensor:
    covered = torch.zeros(tokens, dtype=torch.bool)
    for spans in people:
        for start, end in spans:
            covered[start:end] = True
    return covered


def _placed_nowhere(conditioning: list, name: str) -> list:
    """The entries for the whole picture, without what LumosX Relational Encode added to them."""
    kept = [pair for pair in conditioning if not any(option in pair[1] for option in _PLACED)]
    if len(kept) < len(conditioning):
        log_warnings([f"{name}: texts with an area or a mask are not used to repair faces, since a face is sampled "
                      "without the rest of the picture."])
    return [
        [text, {**options, "model_conds": {
            key: value for key, value in options.get("model_conds", {}).items() if key not in OWN
        }}] for text, options in kept
    ]


def _binding(conditioning: list) -> Binding | None:
    held = held_conditions(conditioning)
    return held[BINDING].cond if held else None


def _references(conditioning: list) -> list[torch.Tensor]:
    held = held_conditions(conditioning)
    return held[REFERENCES].cond if held else []
