"""Who wears what: references, subjects and scenes as plain data, checked when they are built."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch

from ..errors import LumosXError
from ..media.sketch import Sketch
from .influence import FULL, Influence
from .verdict import CheckedReference, Finding, bits_of, find

LONGEST_PHRASE = 2_000
"""Letters; a prompt of 512 tokens has about as many in all."""


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
        image: [1, H, W, 3], values in [0, 1]. None: only the words count, as when a picture is bypassed to compare.
        occurrence: 0 binds every occurrence of the phrase in the prompt, n only the n-th.
        source: the node input it came from, named in messages; its kind by default.
        full_body: an object that is a whole person, under the person's words.
        influence: how strongly it acts, and in which steps.

    Raises:
        LumosXError: an empty phrase or one longer than ``LONGEST_PHRASE``, a misshapen image, a negative occurrence, a
            full body that is not an object or has no image, or a strength or steps out of range.
    """

    kind: Kind
    phrase: str
    image: torch.Tensor | None
    occurrence: int = 0
    source: str = ""
    full_body: bool = False
    influence: Influence = FULL

    def __post_init__(self) -> None:
        object.__setattr__(self, "phrase", " ".join(self.phrase.split()))
        object.__setattr__(self, "source", self.source or self.kind.value)
        if self.full_body and self.kind is not Kind.OBJECT:
            raise _misplaced(self, Kind.OBJECT)
        if not self.phrase:
            raise LumosXError(
                f"{self.source}: the phrase is empty; type the words of the prompt that this picture shows."
            )
        if len(self.phrase) > LONGEST_PHRASE:
            raise LumosXError(
                f"{self.source}: the phrase has {len(self.phrase)} letters, more than fit in a prompt; type a few "
                "words of the prompt."
            )
        self.influence.check(self.source)
        if self.occurrence < 0:
            raise LumosXError(f"{self.source}: occurrence {self.occurrence} is below 0; use 0 for all, or 1, 2, 3 ….")
        if self.image is None:
            if self.full_body:
                raise LumosXError(f"{self.source}: no image for \"{self.phrase}\"; link one, or clear the phrase.")
        elif self.image.ndim != 4 or self.image.shape[0] != 1 or self.image.shape[3] != 3:
            shape = tuple(self.image.shape)
            raise LumosXError(
                f"{self.source}: the image has shape {shape}; link one RGB picture, (1, height, width, 3)."
            )

    @property
    def bound_words(self) -> tuple[str, int]:
        """What it binds to, the same for references that no prompt can distinguish."""
        return self.phrase.casefold(), self.occurrence

    @cached_property
    def sketch(self) -> Sketch | None:
        """What its picture shows in short; None without one."""
        return None if self.image is None else Sketch.of(self.image)


@dataclass(frozen=True, eq=False)
class Subject:
    """A person: a face and what belongs to it.

    Attributes:
        face: the face, or None when there are only attributes.
        attributes: clothes and things of this person, in order.
        full_body: the whole person, for a scene to take as a stand-alone reference (see ``Scene.of_people``).

    Raises:
        LumosXError: neither a picture nor words, or a reference of the wrong kind.
    """

    face: Reference | None
    attributes: tuple[Reference, ...] = ()
    full_body: Reference | None = None

    def __post_init__(self) -> None:
        if self.face is not None and self.face.kind is not Kind.FACE:
            raise _misplaced(self.face, Kind.FACE)
        wrong = [reference for reference in self.attributes if reference.kind is not Kind.ATTRIBUTE]
        if wrong:
            raise _misplaced(wrong[0], Kind.ATTRIBUTE)
        if self.full_body is not None and not self.full_body.full_body:
            raise LumosXError(f"{self.full_body.source}: this reference is not a full body; mark it as one.")
        if not self.words and self.full_body is None:
            raise LumosXError("subject: it is empty; link a face image or at least one attribute.")

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
        return next(word for word in (*self.words, self.full_body) if word is not None).phrase


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that a video is conditioned on besides its prompt.

    Attributes:
        background: the background, if any.
        objects: stand-alone things and full bodies, in order.
        subjects: people who form a group of pictures, in order; none carries a full body.

    Raises:
        LumosXError: nothing at all, or a reference of the wrong kind.
    """

    background: Reference | None = None
    objects: tuple[Reference, ...] = ()
    subjects: tuple[Subject, ...] = ()

    def __post_init__(self) -> None:
        if self.background is not None and self.background.kind is not Kind.BACKGROUND:
            raise _misplaced(self.background, Kind.BACKGROUND)
        wrong = [reference for reference in self.objects if reference.kind is not Kind.OBJECT]
        if wrong:
            raise _misplaced(wrong[0], Kind.OBJECT)
        bodies = [subject.full_body for subject in self.subjects if subject.full_body is not None]
        if bodies:
            raise LumosXError(f"{bodies[0].source}: a full body does not belong to a group; put it among the objects.")
        if not self.words:
            raise LumosXError("relations: there is no reference; link at least one subject, object or background.")

    @classmethod
    def of_people(
        cls, background: Reference | None, objects: Iterable[Reference], people: Iterable[Subject]
    ) -> Scene:
        """A scene in which full bodies follow the objects and people with anything else form groups."""
        people = tuple(people)
        bodies = (person.full_body for person in people if person.full_body is not None)
        groups = (dataclasses.replace(person, full_body=None) for person in people if _forms_group(person))
        return cls(background, (*objects, *bodies), tuple(groups))

    @property
    def non_human(self) -> tuple[Reference, ...]:
        """What is outside any group, in token order: background, then objects; one may have no picture."""
        return (() if self.background is None else (self.background,)) + self.objects

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every picture in token order: background, objects, then subject by subject, face before attributes."""
        return tuple(word for word in self.words if word.image is not None)

    @property
    def full_bodies(self) -> tuple[Reference, ...]:
        """The objects that are whole people."""
        return tuple(reference for reference in self.objects if reference.full_body)

    def owner_of(self, full_body: Reference) -> int | None:
        """The index of the subject that a full body shares its words with, if there is exactly one."""
        words = full_body.bound_words
        found = [index for index, subject in enumerate(self.subjects) if subject.words[0].bound_words == words]
        return found[0] if len(found) == 1 else None

    @property
    def words(self) -> tuple[Reference, ...]:
        """Everything that has a phrase, in token order, whether or not it has a picture."""
        return self.non_human + tuple(word for subject in self.subjects for word in subject.words)

    def findings(
        self, spans_of: Callable[[Reference], Iterable[tuple[int, int]]] | None = None,
        frame: tuple[int, int] | None = None,
    ) -> list[Finding]:
        """What is allowed but probably not meant; the indices of a finding's words are those of ``words``.

        Args:
            spans_of: the tokens that a reference binds to; until they are known, equal phrases share all their words.
            frame: width and height of the video in pixels, if known.
        """
        if spans_of is None and frame is None:
            return list(self._unbound_findings)
        return self._find(spans_of, frame)

    @cached_property
    def _unbound_findings(self) -> tuple[Finding, ...]:
        """The findings before any prompt is known, for whoever asks first and everybody after."""
        return tuple(self._find(None, None))

    def _find(
        self, spans_of: Callable[[Reference], Iterable[tuple[int, int]]] | None, frame: tuple[int, int] | None
    ) -> list[Finding]:
        # By place: one person who is linked twice is two people with equal references.
        owners = [None for _ in self.non_human]
        owners += [index for index, subject in enumerate(self.subjects) for _ in subject.words]
        phrases = {bound: 1 << index for index, bound in enumerate({word.bound_words for word in self.words})}

        def word_of(reference: Reference, owner: int | None) -> CheckedReference:
            spans = None if spans_of is None else tuple(spans_of(reference))
            return CheckedReference(
                kind=reference.kind.value,
                phrase=reference.phrase,
                bound_words=reference.bound_words,
                person=owner,
                shown=reference.image is not None,
                full_body=reference.full_body,
                claims=(phrases[reference.bound_words] if spans is None else bits_of(spans),),
                places=(1 if spans is None else len(spans),),
                sketch=reference.sketch,
            )

        return find([word_of(*pair) for pair in zip(self.words, owners)], frame)

    def warnings(self) -> tuple[str, ...]:
        """The sentences of ``findings`` before any prompt is known."""
        return tuple(finding.text for finding in self.findings())


def _forms_group(person: Subject) -> bool:
    """Words alone form one too, unless they are only those of a full body."""
    return bool(person.references or person.attributes or person.words and person.full_body is None)


def _misplaced(reference: Reference, place: Kind) -> LumosXError:
    return LumosXError(
        f"{reference.source}: this reference has kind {reference.kind.value} but is used as {place.value}; give it "
        "that kind."
    )
