"""Who wears what: references, subjects and scenes as plain data, checked when they are built."""

from __future__ import annotations

import dataclasses
import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from .errors import LumosXError

TRAINED_SUBJECTS = 3
TRAINED_ATTRIBUTES = 3


class Kind(enum.Enum):
    """What a reference image shows."""

    BACKGROUND = "background"
    OBJECT = "object"
    FACE = "face"
    ATTRIBUTE = "attribute"


@dataclass(frozen=True, eq=False)
class Reference:
    """One picture and the words of the prompt that it stands for.

    Attributes:
        kind: what the picture shows.
        phrase: words that occur in the prompt, e.g. "white jacket". White space is tidied.
        image: [1, H, W, 3], values in [0, 1]. None only for a face: the words bind, nothing is shown.
        occurrence: 0 binds every occurrence of the phrase in the prompt, n only the n-th.
        source: the node input it came from, named in messages; its kind if nothing is given.
        full_body: an object that is a whole person, given under the person's words.

    Raises:
        LumosXError: an empty phrase, a missing or misshapen image, a negative occurrence, or a full body that is no
            object.
    """

    kind: Kind
    phrase: str
    image: torch.Tensor | None
    occurrence: int = 0
    source: str = ""
    full_body: bool = False

    def __post_init__(self):
        object.__setattr__(self, "phrase", " ".join(self.phrase.split()))
        object.__setattr__(self, "source", self.source or self.kind.value)
        if self.full_body and self.kind is not Kind.OBJECT:
            raise _misplaced(self, Kind.OBJECT)
        if not self.phrase:
            raise LumosXError(
                f"{self.source}: the phrase is empty; type the words of the prompt that this picture shows."
            )
        if self.occurrence < 0:
            raise LumosXError(f"{self.source}: occurrence {self.occurrence} is below 0; use 0 for all, or 1, 2, 3 ….")
        if self.image is None:
            if self.kind is not Kind.FACE:
                raise LumosXError(f"{self.source}: no image for \"{self.phrase}\"; link one, or clear the phrase.")
        elif self.image.ndim != 4 or self.image.shape[0] != 1 or self.image.shape[3] != 3:
            shape = tuple(self.image.shape)
            raise LumosXError(
                f"{self.source}: the image has shape {shape}; link one RGB picture, (1, height, width, 3)."
            )

    @property
    def bound_words(self) -> tuple[str, int]:
        """What it binds to, the same for references that no prompt can tell apart."""
        return self.phrase.casefold(), self.occurrence


@dataclass(frozen=True, eq=False)
class Subject:
    """A person: a face and what belongs to it.

    Attributes:
        face: the face, or None when only attributes are given.
        attributes: clothes and things of this person, in order.
        full_body: the whole person, for a scene to take as a stand-alone reference (see ``Scene.of_people``).

    Raises:
        LumosXError: no image at all, or a reference of the wrong kind.
    """

    face: Reference | None
    attributes: tuple[Reference, ...] = ()
    full_body: Reference | None = None

    def __post_init__(self):
        if self.face is not None and self.face.kind is not Kind.FACE:
            raise _misplaced(self.face, Kind.FACE)
        wrong = [reference for reference in self.attributes if reference.kind is not Kind.ATTRIBUTE]
        if wrong:
            raise _misplaced(wrong[0], Kind.ATTRIBUTE)
        if self.full_body is not None and not self.full_body.full_body:
            raise LumosXError(f"{self.full_body.source}: this reference is no full body; mark it as one.")
        if not self.references and self.full_body is None:
            source = self.face.source if self.face is not None else "subject"
            raise LumosXError(f"{source}: a subject has no picture; link a face image or at least one attribute.")

    @property
    def words(self) -> tuple[Reference, ...]:
        """Everything that names this person in the prompt: face first, then attributes."""
        return (() if self.face is None else (self.face,)) + self.attributes

    @property
    def references(self) -> tuple[Reference, ...]:
        """The pictures of this person: face first, then attributes."""
        return tuple(word for word in self.words if word.image is not None)

    @property
    def name(self) -> str:
        """How reports call this person."""
        return (*self.words, self.full_body)[0].phrase


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that a video is conditioned on besides its prompt.

    Attributes:
        background: the background, if any.
        objects: stand-alone things and full bodies, in order.
        subjects: people who form a group of pictures, in order; none carries a full body.

    Raises:
        LumosXError: no reference at all, or a reference of the wrong kind.
    """

    background: Reference | None = None
    objects: tuple[Reference, ...] = ()
    subjects: tuple[Subject, ...] = ()

    def __post_init__(self):
        if self.background is not None and self.background.kind is not Kind.BACKGROUND:
            raise _misplaced(self.background, Kind.BACKGROUND)
        wrong = [reference for reference in self.objects if reference.kind is not Kind.OBJECT]
        if wrong:
            raise _misplaced(wrong[0], Kind.OBJECT)
        bodies = [subject.full_body for subject in self.subjects if subject.full_body is not None]
        if bodies:
            raise LumosXError(f"{bodies[0].source}: a full body is no part of a group; put it among the objects.")
        if not self.references:
            raise LumosXError("relations: there is no reference; link at least one subject, object or background.")

    @classmethod
    def of_people(
        cls, background: Reference | None, objects: Iterable[Reference], people: Iterable[Subject]
    ) -> Scene:
        """A scene in which full bodies follow the objects and only people with other pictures form groups."""
        people = tuple(people)
        bodies = (person.full_body for person in people if person.full_body is not None)
        groups = (dataclasses.replace(person, full_body=None) for person in people if person.references)
        return cls(background, (*objects, *bodies), tuple(groups))

    @property
    def non_human(self) -> tuple[Reference, ...]:
        """References outside any group, in token order: background, then objects."""
        return (() if self.background is None else (self.background,)) + self.objects

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every picture in token order: background, objects, then subject by subject, face before attributes."""
        return self.non_human + tuple(picture for subject in self.subjects for picture in subject.references)

    @property
    def full_bodies(self) -> tuple[Reference, ...]:
        """The objects that are whole people."""
        return tuple(reference for reference in self.objects if reference.full_body)

    def owner_of(self, full_body: Reference) -> int | None:
        """The index of the subject that a full body shares its words with, if there is exactly one."""
        words = full_body.bound_words
        found = [index for index, subject in enumerate(self.subjects) if subject.words[0].bound_words == words]
        return found[0] if len(found) == 1 else None

    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant, one sentence each."""
        found = []
        named = {subject.words[0].bound_words for subject in self.subjects}
        people = len(self.subjects) + sum(body.bound_words not in named for body in self.full_bodies)
        if people > TRAINED_SUBJECTS:
            found.append(
                f"There are {people} people; the model was trained on at most {TRAINED_SUBJECTS}, "
                "so likeness may suffer."
            )
        bodies = {body.bound_words for body in self.full_bodies}
        for subject in self.subjects:
            found += _subject_warnings(subject, shown=subject.words[0].bound_words in bodies)
        return tuple(found + self._shared_phrase_warnings() + self._full_body_warnings())

    def _shared_phrase_warnings(self) -> list[str]:
        own = [{word.bound_words for word in subject.words} for subject in self.subjects]
        found = []
        for index, phrases in enumerate(own):
            others = set().union(*(other for position, other in enumerate(own) if position != index))
            if phrases <= others:
                found.append(
                    f"Subject {index + 1} (\"{self.subjects[index].name}\") has no words of its own: words shared with "
                    "another person cancel out, so nothing tells them apart; use a phrase such as \"man on the left\", "
                    "an occurrence number, or an attribute."
                )
        return found

    def _full_body_warnings(self) -> list[str]:
        named = {subject.words[0].bound_words for subject in self.subjects}
        count = Counter(body.bound_words for body in self.full_bodies)
        # One warning for each words, under the phrase as it was typed.
        found = []
        for words, phrase in {body.bound_words: body.phrase for body in self.full_bodies}.items():
            if words in named:
                found.append(
                    f"\"{phrase}\" names a full body and a subject with pictures of its own; in training a person came "
                    "either as a full body or as face and attributes, so link one of the two."
                )
            if count[words] > 1:
                found.append(
                    f"\"{phrase}\" names {count[words]} full bodies, so nothing tells them apart; use a phrase such as "
                    "\"man on the left\" or an occurrence number."
                )
        return found


def _misplaced(reference: Reference, place: Kind) -> LumosXError:
    return LumosXError(
        f"{reference.source}: this reference has kind {reference.kind.value} but stands in the place of kind "
        f"{place.value}; give it the kind of its place."
    )


def _subject_warnings(subject: Subject, shown: bool) -> list[str]:
    """``shown``: a full body shows this person's face."""
    found = []
    if not shown and (subject.face is None or subject.face.image is None):
        found.append(f"Subject \"{subject.name}\" has no face image; the video invents the face.")
    if len(subject.attributes) > TRAINED_ATTRIBUTES:
        found.append(
            f"Subject \"{subject.name}\" has {len(subject.attributes)} attributes; the model was trained on at most "
            f"{TRAINED_ATTRIBUTES}, so some may be missing or mixed."
        )
    return found
