"""The subjects of a scene: PolyVivid knows one word and one picture for each, and no groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...errors import LumosXError
from ...scene.phrases import nearest_runs
from ...scene.prompt import read_text
from ...scene.relations import Kind, Reference, Scene
from .template import TRAINED_POSITIONS, TemplateTokens

USUAL_SUBJECTS = 3
"""More than the paper shows."""


@dataclass(frozen=True, eq=False)
class PictureSubject:
    """One subject.

    Attributes:
        word: what stands in its line of the template.
        reference: the words of the prompt and the picture that it comes from.
        person: whom it belongs to, for an attribute.
    """

    word: str
    reference: Reference
    person: str = ""

    @property
    def image(self) -> torch.Tensor:
        """[1, H, W, 3] in [0, 1]."""
        if self.reference.image is None:
            raise ValueError(f"{self.reference.source} has no picture")
        return self.reference.image


def subjects_of(scene: Scene | None) -> tuple[PictureSubject, ...]:
    """A subject for each picture: people with what is theirs, then objects, then the background.

    An attribute becomes a subject of its own, under its words and those of its person: two people may wear a red hat.
    There may be any number; ``tokenize_template`` refuses what is longer than the text encoder can take.
    """
    if scene is None:
        return ()
    found = []
    for subject in scene.subjects:
        for reference in subject.references:
            owner = subject.face.phrase if reference.kind is Kind.ATTRIBUTE and subject.face is not None else ""
            word = f"{reference.phrase} of the {owner}" if owner else reference.phrase
            found.append(PictureSubject(word, reference, owner))
    backgrounds = () if scene.background is None else (scene.background,)
    found += [PictureSubject(one.phrase, one) for one in (*scene.objects, *backgrounds) if one.image is not None]
    return tuple(found)


def check_words(prompt: str, scene: Scene | None) -> None:
    """Refuse words that the prompt does not have; the model reads pictures by them.

    Raises:
        LumosXError: names the input and the nearest words.
    """
    text = read_text(prompt)
    for reference in () if scene is None else scene.words:
        phrase = read_text(reference.phrase, reference.source)
        if text.places(phrase, 1):
            continue
        near = ", ".join(f"\"{one}\"" for one in nearest_runs([text.units], phrase.units))
        advice = f"the nearest words are {near}" if near else "write it there"
        raise LumosXError(f"{reference.source}: \"{reference.phrase}\" is not in the prompt; {advice}.")


def warnings_of(
    scene: Scene | None, subjects: Sequence[PictureSubject], tokens: TemplateTokens | None = None
) -> list[str]:
    """What a scene asks for that PolyVivid or its text encoder does not know, a sentence each.

    Args:
        tokens: of the prompt with these subjects; None without subjects.
    """
    found = []
    if tokens is not None and tokens.positions > TRAINED_POSITIONS:
        found.append(
            f"The text takes {tokens.positions} positions of the text encoder, which was trained with at most "
            f"{TRAINED_POSITIONS}; how well it reads more is unknown."
        )
    if len(subjects) > USUAL_SUBJECTS:
        found.append(f"There are {len(subjects)} subjects; the paper shows at most {USUAL_SUBJECTS}.")
    for reference in () if scene is None else scene.words:
        if reference.occurrence:
            found.append(
                f"{reference.source}: occurrence {reference.occurrence} of \"{reference.phrase}\" has no effect, since "
                "PolyVivid knows words and no places; use words that occur once."
            )
        if reference.influence.text:
            found.append(
                f"{reference.source}: {reference.influence.text} of \"{reference.phrase}\" has no effect, since "
                "PolyVivid uses every subject in full; for all of them together, LumosX PolyVivid has a strength and "
                "steps."
            )
        if reference.image is None and (reference.kind is not Kind.FACE or _is_unseen(reference, scene)):
            found.append(f"{reference.source}: \"{reference.phrase}\" has no picture, so its words alone count.")
    return found


def _is_unseen(face: Reference, scene: Scene | None) -> bool:
    """Whether a face is that of a person without any picture."""
    return any(subject.face is face and not subject.references for subject in scene.subjects) if scene else False


def subjects_report(subjects: Sequence[PictureSubject], tokens: TemplateTokens | None, warnings: Sequence[str]) -> str:
    """Each subject with its line, and where its words and its picture lie in the text stream."""
    if tokens is None:
        return "No subjects: the prompt is encoded as ComfyUI does.\n" + _warning_lines(warnings)
    lines = [
        f"{len(subjects)} subjects, {tokens.length} text tokens, {tokens.text_spans[0][1]} of them up to the first "
        "picture. No public weights of PolyVivid are known."
    ]
    for number, (subject, span) in enumerate(zip(subjects, tokens.image_spans), start=1):
        lines.append(
            f"{number}. \"The {subject.word} looks like <image {number}>\": picture at tokens {span[0]} to "
            f"{span[1] - 1} ({subject.reference.source})"
        )
        if subject.person:
            lines.append(
                f"   PolyVivid knows no groups: \"{subject.reference.phrase}\" of \"{subject.person}\" is a subject of "
                "its own, under both words."
            )
    return "\n".join(lines) + "\n" + _warning_lines(warnings)


def _warning_lines(warnings: Sequence[str]) -> str:
    return "\n".join(f"- **Warning:** {warning}" for warning in warnings)
