"""What binds to which words of a prompt, told before any tokenizer has run: for the board, while a user types.

A guess: it reads a prompt as ``find_phrase`` reads letters, by whole words. The tokenizer has the last word: it can
find "hat" at the start of "hats" too, as the release does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .layout import TEXT_LENGTH
from .phrases import Span, nearest_runs
from .prompt_text import MOST_COMBINATIONS, PromptText, read_prompt, read_text
from .relations import TRAINED_ATTRIBUTES, TRAINED_SUBJECTS, Kind

# Words more than these cannot be within 512 tokens, and looking for near ones takes long.
_MOST_WORDS = 1000
_LONGEST_PHRASE = 200
# Characters that are read in all combinations of choices together.
_MOST_READ = 50_000


@dataclass(frozen=True)
class BoardReference:
    """A reference as the board knows it; no picture, and the phrase may be missing still.

    Attributes:
        id: what the page tells it by, given back untouched.
        kind: what its picture shows.
        phrase: as typed.
        occurrence: 0 for every occurrence of the phrase, n for the n-th.
        person: whose it is; None for a background or an object.
        shown: whether a picture is linked.
    """

    id: str
    kind: Kind
    phrase: str
    occurrence: int
    person: int | None
    shown: bool

    @property
    def words(self) -> str:
        """The phrase as ``Reference`` tidies it."""
        return " ".join(self.phrase.split())

    @property
    def bound_words(self) -> tuple[str, int]:
        """As ``Reference`` has them."""
        return self.words.casefold(), self.occurrence


@dataclass
class _Reading:
    """One text that the prompt can become: where each phrase is in it and what it binds, by the reference's index.

    Attributes:
        text: None while no prompt is known.
        places: ranges of ``text.letters`` that read like the phrase.
        bound: those of them that the reference binds.
        claims: what it takes part in, to be compared with others': letters, or its words while no prompt is known.
    """

    text: PromptText | None
    places: list[tuple[Span, ...]] = field(default_factory=list)
    bound: list[tuple[Span, ...]] = field(default_factory=list)
    claims: list[set] = field(default_factory=list)


def read_board(prompt: str | None, references: Sequence[BoardReference]) -> dict[str, Any]:
    """The whole answer for the board, ready for JSON; ranges are UTF-16 offsets into the prompt as it is typed.

    A reference is ``empty`` (no phrase), ``unknown`` (no prompt), ``found``, ``missing``, ``too_few`` (the phrase is
    there, but not that often) or ``sometimes`` (only for some choices of ``{a|b}``). ``count`` is the most often that a
    choice has it. Occurrence 0 binds what the tokenizer will: places that are spelled as the phrase is if there are
    any, else all that read like it.

    ``ambiguous`` is a reference with occurrence 0 and several places, of which one overlaps with a place of a reference
    that is not of the same person: an occurrence number or a longer phrase parts them. Several places that nobody else
    wants are no reason to warn: a prompt that names one person twice binds both, as the release does.

    ``shared_with`` are references of other people that bind some of the same letters; those cancel out. A person
    has no ``own_words`` if other people together claim all that it binds, as ``Scene.warnings`` has it for phrases.

    Raises:
        LumosXError: choices nested too deeply.
    """
    texts, combinations = ([None], 1) if prompt is None else _texts(prompt)
    phrases = [read_text(reference.words) for reference in references]
    readings = [_read(text, references, phrases) for text in texts]
    entries = [_entry(index, references, phrases, readings) for index in range(len(references))]
    people = sorted({reference.person for reference in references if reference.person is not None})
    owned = [{"person": person, "own_words": _own_words(person, references, readings)} for person in people]
    warnings = _warnings(references, people)
    if combinations > len(texts):
        warnings.append({"code": "choices", "count": combinations})
    return {"references": entries, "people": owned, "warnings": warnings}


def _texts(prompt: str) -> tuple[list[PromptText], int]:
    return read_prompt(prompt, min(MOST_COMBINATIONS, max(2, _MOST_READ // (len(prompt) + 1))))


def _read(
    text: PromptText | None, references: Sequence[BoardReference], phrases: Sequence[PromptText]
) -> _Reading:
    reading = _Reading(text)
    for reference, phrase in zip(references, phrases):
        fits = text is not None and len(phrase.units) <= TEXT_LENGTH
        places = text.places(phrase) if fits else ()
        bound = _bound(reference.occurrence, places, text, phrase)
        claims = {position for start, end in bound for position in range(start, end)}
        if text is None and reference.words:
            claims = {reference.bound_words}
        reading.places.append(places)
        reading.bound.append(bound)
        reading.claims.append(claims)
    return reading


def _bound(
    occurrence: int, places: tuple[Span, ...], text: PromptText | None, phrase: PromptText
) -> tuple[Span, ...]:
    if text is None or not places:
        return ()
    if occurrence:
        return places[occurrence - 1:occurrence]
    return text.spelled(places, phrase) or places


def _entry(
    index: int, references: Sequence[BoardReference], phrases: Sequence[PromptText], readings: Sequence[_Reading]
) -> dict[str, Any]:
    reference = references[index]
    status = _status(reference, index, readings)
    ranges = {reading.text.typed(place) for reading in readings for place in reading.bound[index]}
    return {
        "id": reference.id,
        "status": status,
        "ranges": [list(place) for place in sorted(ranges)],
        "count": max(len(reading.places[index]) for reading in readings),
        "nearest": _nearest(readings[0].text, phrases[index]) if status == "missing" else [],
        "ambiguous": any(_ambiguous(index, references, reading) for reading in readings),
        "shared_with": [
            other.id for position, other in enumerate(references)
            if _other_person(reference, other)
            and any(reading.claims[index] & reading.claims[position] for reading in readings)
        ],
    }


def _status(reference: BoardReference, index: int, readings: Sequence[_Reading]) -> str:
    if not reference.words:
        return "empty"
    if readings[0].text is None:
        return "unknown"
    bound = [bool(reading.bound[index]) for reading in readings]
    if any(bound):
        return "found" if all(bound) else "sometimes"
    return "too_few" if any(reading.places[index] for reading in readings) else "missing"


def _nearest(text: PromptText, phrase: PromptText) -> list[str]:
    return nearest_runs(text.units[:_MOST_WORDS], phrase.units) if len(phrase.plain) <= _LONGEST_PHRASE else []


def _other_person(one: BoardReference, other: BoardReference) -> bool:
    return one.person is not None and other.person is not None and one.person != other.person


def _ambiguous(index: int, references: Sequence[BoardReference], reading: _Reading) -> bool:
    own = references[index]
    if own.occurrence or len(reading.bound[index]) < 2:
        return False
    return any(
        reading.claims[index] & reading.claims[position]
        for position, other in enumerate(references)
        if position != index and (own.person is None or other.person != own.person)
    )


def _own_words(person: int, references: Sequence[BoardReference], readings: Sequence[_Reading]) -> bool:
    for reading in readings:
        claims = {True: set(), False: set()}
        for reference, claimed in zip(references, reading.claims):
            if reference.person is not None:
                claims[reference.person == person] |= claimed
        if claims[True] and claims[True] <= claims[False]:
            return False
    return True


def _warnings(references: Sequence[BoardReference], people: Sequence[int]) -> list[dict[str, Any]]:
    """What is allowed but probably not meant of the board as a whole, as ``Scene.warnings`` says of a scene."""
    found: list[dict[str, Any]] = []
    if len(people) > TRAINED_SUBJECTS:
        found.append({"code": "too_many_people", "count": len(people)})
    # An object under a person's words is a full body, which shows the face.
    objects = {reference.bound_words for reference in references if reference.kind is Kind.OBJECT and reference.shown}
    for person in people:
        own = [reference for reference in references if reference.person == person]
        shown = [reference.kind for reference in own if reference.shown]
        if Kind.FACE not in shown and own[0].bound_words not in objects:
            found.append({"code": "no_face", "person": person})
        attributes = shown.count(Kind.ATTRIBUTE)
        if attributes > TRAINED_ATTRIBUTES:
            found.append({"code": "too_many_attributes", "person": person, "count": attributes})
    return found
