"""Who wears what: references, subjects and scenes as plain data, checked when they are built."""

from __future__ import annotations

import enum
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

    Raises:
        LumosXError: an empty phrase, a missing or misshapen image, a negative occurrence.
    """

    kind: Kind
    phrase: str
    image: torch.Tensor | None
    occurrence: int = 0
    source: str = ""

    def __post_init__(self):
        object.__setattr__(self, "phrase", " ".join(self.phrase.split()))
        object.__setattr__(self, "source", self.source or self.kind.value)
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


@dataclass(frozen=True, eq=False)
class Subject:
    """A person: a face and what belongs to it.

    Attributes:
        face: the face, or None when only attributes are given.
        attributes: clothes and things of this person, in order.

    Raises:
        LumosXError: no image at all, or a reference of the wrong kind.
    """

    face: Reference | None
    attributes: tuple[Reference, ...] = ()

    def __post_init__(self):
        if self.face is not None and self.face.kind is not Kind.FACE:
            raise _misplaced(self.face, Kind.FACE)
        wrong = [reference for reference in self.attributes if reference.kind is not Kind.ATTRIBUTE]
        if wrong:
            raise _misplaced(wrong[0], Kind.ATTRIBUTE)
        if not self.references:
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
        return self.words[0].phrase


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that a video is conditioned on besides its prompt.

    Attributes:
        background: the background, if any.
        objects: stand-alone things, in order.
        subjects: people, in order.

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
        if not self.references:
            raise LumosXError("relations: there is no reference; link at least one subject, object or background.")

    @property
    def non_human(self) -> tuple[Reference, ...]:
        """References outside any group, in token order: background, then objects."""
        return (() if self.background is None else (self.background,)) + self.objects

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every picture in token order: background, objects, then subject by subject, face before attributes."""
        return self.non_human + tuple(picture for subject in self.subjects for picture in subject.references)

    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant, one sentence each."""
        found = []
        if len(self.subjects) > TRAINED_SUBJECTS:
            found.append(
                f"There are {len(self.subjects)} people; the model was trained on at most {TRAINED_SUBJECTS}, "
                "so likeness may suffer."
            )
        for subject in self.subjects:
            found += _subject_warnings(subject)
        return tuple(found + self._shared_phrase_warnings())

    def _shared_phrase_warnings(self) -> list[str]:
        own = [{(word.phrase.casefold(), word.occurrence) for word in subject.words} for subject in self.subjects]
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


def _misplaced(reference: Reference, place: Kind) -> LumosXError:
    return LumosXError(
        f"{reference.source}: this reference has kind {reference.kind.value} but stands in the place of kind "
        f"{place.value}; give it the kind of its place."
    )


def _subject_warnings(subject: Subject) -> list[str]:
    found = []
    if subject.face is None or subject.face.image is None:
        found.append(f"Subject \"{subject.name}\" has no face image; the video invents the face.")
    if len(subject.attributes) > TRAINED_ATTRIBUTES:
        found.append(
            f"Subject \"{subject.name}\" has {len(subject.attributes)} attributes; the model was trained on at most "
            f"{TRAINED_ATTRIBUTES}, so some may be missing or mixed."
        )
    return found
