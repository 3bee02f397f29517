"""A person that is kept, and how people become a scene and come out of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch

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


def called(
    subject: Subject, phrase: str = "", occurrence: int = 0, attribute_phrases: Iterable[str] = ()
) -> Subject:
    """The same person under other words.

    Args:
        phrase: for face and full body; empty for the words they have.
        occurrence: of these words in the prompt; 0 leaves it where the words stay, else it means all.
        attribute_phrases: one for each attribute in order; an empty one, and those that are missing, change nothing.

    Raises:
        LumosXError: more phrases than attributes, or an occurrence or words for somebody who has only attributes.
    """
    phrases = [" ".join(one.split()) for one in attribute_phrases]
    while phrases and not phrases[-1]:
        phrases.pop()
    if len(phrases) > len(subject.attributes):
        raise LumosXError(
            f"attribute_phrases: there are {len(phrases)} lines, but the person has {len(subject.attributes)} "
            "attributes; remove lines."
        )
    named = phrase.strip() or occurrence
    if named and subject.face is None and subject.full_body is None:
        raise LumosXError(
            "phrase: this person has no face and no full body that could get words; clear it, and set occurrence to 0."
        )

    def own(reference: Reference | None) -> Reference | None:
        if reference is None or not named:
            return reference
        return dataclasses.replace(reference, phrase=phrase.strip() or reference.phrase, occurrence=occurrence)

    worn = tuple(
        dataclasses.replace(one, phrase=words, occurrence=0) if words else one
        for one, words in zip(subject.attributes, (*phrases, *[""] * len(subject.attributes)))
    )
    return Subject(own(subject.face), worn, own(subject.full_body))
