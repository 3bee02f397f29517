"""Questions about a scene for vision-language models: which words name which picture, or a prompt with all phrases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..errors import LumosXError
from .prompt import read_text
from .relations import Kind, Reference, Scene

FIND_PHRASES, WRITE_PROMPT = "find the phrases in the prompt", "write a prompt with all phrases"
TASKS = (FIND_PHRASES, WRITE_PROMPT)
MOST_PICTURES = 24
"""Of one question; on a sheet of more, models no longer see what each shows."""
LONGEST_PROMPT = 8_000
"""Letters of a prompt, or of what a written one is about."""

_PHRASES_FORM = """\
Answer with JSON only. "number" is the picture, "person" the person it belongs to or null, "words" the words of the \
prompt. An example for another video, "A girl with a red scarf feeds a goat.":
{"pictures": [{"number": 1, "person": null, "words": "goat"}, {"number": 2, "person": 1, "words": "girl"}, \
{"number": 3, "person": 1, "words": "red scarf"}]}"""
_PHRASES_RULES = """\
For every picture, copy from the prompt the words that name what it shows, letter by letter and as they stand there, \
without "a" or "the". Take as few words as tell it apart from the other pictures: no two pictures have the same words. \
If only the same words name two pictures, add "which": 1 for the first place of these words in the prompt, 2 for the \
second."""
_PROMPT_FORM = """\
Answer with JSON only. An example for another video, with the phrases "girl" and "red scarf":
{"prompt": "A girl with a red scarf walks over a meadow and laughs."}"""
_PROMPT_RULES = """\
Write the prompt of the video, in one paragraph of 40 to 120 words: who is seen, where, and what happens. Every phrase \
stands in it exactly once, letter by letter. Whoever a thing belongs to wears or holds it. Give nobody other clothes \
or colours than the pictures show."""


@dataclass(frozen=True, eq=False)
class NumberedPicture:
    """A picture in a question.

    Attributes:
        number: from 1 on, in token order.
        reference: whose picture is shown.
        person: whose it is, from 1 on; None for what belongs to nobody.
        named: every reference that takes the same words: a person's face and full body.
    """

    number: int
    reference: Reference
    person: int | None
    named: tuple[Reference, ...]

    @property
    def shows(self) -> str:
        """What a question and messages call it."""
        if self.reference.kind is Kind.ATTRIBUTE:
            return f"clothes or thing of person {self.person}"
        if self.reference.kind is Kind.FACE:
            return f"face of person {self.person}"
        if self.reference.full_body:
            return "a whole person" if self.person is None else f"whole person {self.person}"
        return self.reference.kind.value


@dataclass(frozen=True, eq=False)
class Question:
    """What was asked about a scene, for whoever reads the answer.

    Attributes:
        scene: with pictures.
        task: one of ``TASKS``.
        prompt: whose words are looked for, or what a written prompt is to be about; white space is tidied, as the
            encoder does it.

    Raises:
        LumosXError: no picture or too many, no prompt to look in, or one that is too long or that no tokenizer takes.
    """

    scene: Scene
    task: str
    prompt: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", " ".join(self.prompt.split()))
        if not self.pictures:
            raise LumosXError("relations: the scene has no picture to ask about; link a picture.")
        if len(self.pictures) > MOST_PICTURES:
            raise LumosXError(
                f"relations: {len(self.pictures)} pictures are too many for one question; ask about {MOST_PICTURES} "
                "or fewer."
            )
        if len(self.prompt) > LONGEST_PROMPT:
            raise LumosXError(
                f"prompt: {len(self.prompt)} letters are too many for a question; use {LONGEST_PROMPT} or fewer."
            )
        if self.task == FIND_PHRASES and not read_text(self.prompt).units:
            raise LumosXError("prompt: it has no words; type the prompt in which the pictures' words are to be found.")

    @cached_property
    def pictures(self) -> tuple[NumberedPicture, ...]:
        """The pictures with their numbers."""
        return _numbered(self.scene)

    def text(self, as_sheet: bool) -> str:
        """The question in plain words, with the form of the answer.

        Args:
            as_sheet: whether the pictures come as one sheet with numbers, or one by one.
        """
        how = "This picture shows" if as_sheet else "These pictures are"
        lines = [f"{how} numbered references for a video:"]
        is_search = self.task == FIND_PHRASES
        for each in self.pictures:
            phrase = "" if is_search else f", phrase \"{each.reference.phrase}\""
            lines.append(f"{each.number}: {each.shows}{phrase}")
        if is_search:
            return "\n".join([*lines, _PHRASES_RULES, _PHRASES_FORM, "The prompt:", self.prompt])
        shown = {word for each in self.pictures for word in each.named}
        lines += [f"Without a picture: phrase \"{word.phrase}\"" for word in self.scene.words if word not in shown]
        wish = ["What the video is about:", self.prompt] if self.prompt else []
        return "\n".join([*lines, _PROMPT_RULES, _PROMPT_FORM, *wish])


def _numbered(scene: Scene) -> tuple[NumberedPicture, ...]:
    """What is asked about, once each: a full body takes the words of its person, as the person takes its words."""
    owners: dict[Reference, int] = {}
    for number, subject in enumerate(scene.subjects, 1):
        for word in subject.words:
            owners.setdefault(word, number)
    groups: dict[Reference, list[Reference]] = {}
    for word in scene.words:
        index = scene.owner_of(word) if word.full_body else None
        named = word if index is None else scene.subjects[index].words[0]
        group = groups.setdefault(named, [named])
        if word not in group:
            group.append(word)
    made = []
    for named, group in groups.items():
        shown = next((word for word in group if word.image is not None), None)
        if shown is not None:
            made.append(NumberedPicture(len(made) + 1, shown, owners.get(named), tuple(group)))
    return tuple(made)
