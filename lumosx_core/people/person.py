"""A person that is kept, and how people become a scene and come out of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from ..cases.description import CaseReference
from ..errors import LumosXError
from ..scene.relations import Reference, Scene, Subject

MOST_VIEWS = 64
"""Further pictures of one person."""
LONGEST_NOTE = 10_000
"""Letters of a note."""


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody to be used in several scenes.

    Attributes:
        subject: face, attributes and full body with their words.
        views: further pictures of the same person, each [1, H, W, 3] in [0, 1]; no scene uses them by itself.
        note: anything its user wants to remember.
    """

    subject: Subject
    views: tuple[torch.Tensor, ...] = ()
    note: str = ""

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every picture with words: face, attributes, full body."""
        body = self.subject.full_body
        return self.subject.references + (() if body is None else (body,))


def people_of(scene: Scene) -> tuple[Subject, ...]:
    """The people of a scene, each with the full body that shares its words with nobody else.

    A full body without such an owner is a person of its own, behind the others. ``Scene.of_people`` undoes it, up to
    the place of full bodies among the objects, which is behind them.
    """
    bodies: dict[int, Reference] = {}
    alone = []
    for body in scene.full_bodies:
        owner = scene.owner_of(body)
        if owner is None or owner in bodies:
            alone.append(Subject(None, full_body=body))
        else:
            bodies[owner] = body
    owners = (dataclasses.replace(one, full_body=bodies.get(index)) for index, one in enumerate(scene.subjects))
    return (*owners, *alone)


def person_of(scene: Scene, number: int) -> Subject:
    """One of ``people_of``, counted from 1.

    Raises:
        LumosXError: there are not as many.
    """
    people = people_of(scene)
    if not 1 <= number <= len(people):
        found = "nobody" if not people else f"{len(people)} {'person' if len(people) == 1 else 'people'}"
        raise LumosXError(f"number: the relations hold {found}, so there is no person {number}; choose another number.")
    return people[number - 1]


Named = TypeVar("Named", Reference, CaseReference)


@dataclass(frozen=True)
class OtherWords:
    """What somebody is called in one prompt, in place of the words that are saved.

    Attributes:
        phrase: for face and full body; empty for the words they have.
        occurrence: of these words in the prompt; where they stay, 0 leaves it as it is.
        attribute_phrases: a line for each attribute in order; an empty one, and those that are missing, change nothing.
    """

    phrase: str = ""
    occurrence: int = 0
    attribute_phrases: str = ""

    @property
    def lines(self) -> list[str]:
        """The attributes' words, without empty lines at the end."""
        return [" ".join(line.split()) for line in self.attribute_phrases.rstrip().splitlines()]

    def of_person(self, reference: Named) -> Named:
        """A face or a full body under these words."""
        if not self.phrase.strip() and not self.occurrence:
            return reference
        return dataclasses.replace(
            reference, phrase=self.phrase.strip() or reference.phrase, occurrence=self.occurrence
        )

    def of_attributes(self, attributes: Sequence[Named]) -> tuple[Named, ...]:
        """Attributes under these words; words that are too many are left out."""
        words = (*self.lines, *[""] * len(attributes))
        pairs = zip(attributes, words)
        return tuple(dataclasses.replace(one, phrase=new, occurrence=0) if new else one for one, new in pairs)


def called(subject: Subject, words: OtherWords) -> Subject:
    """The same person under other words.

    Raises:
        LumosXError: more phrases than attributes, or words for somebody who has only attributes.
    """
    if len(words.lines) > len(subject.attributes):
        raise LumosXError(
            f"attribute_phrases: there are {len(words.lines)} lines, but the person has {len(subject.attributes)} "
            "attributes; remove lines."
        )
    face, body = subject.face, subject.full_body
    if (words.phrase.strip() or words.occurrence) and face is None and body is None:
        raise LumosXError(
            "phrase: this person has no face and no full body that could get words; clear it, and set occurrence to 0."
        )
    return Subject(
        None if face is None else words.of_person(face),
        words.of_attributes(subject.attributes),
        None if body is None else words.of_person(body),
    )
