"""What binds to which words of a prompt, before any tokenizer has run: for the board, while a user types.

It reads a prompt as ``find_phrase`` reads letters, by whole words, and says nothing for sure that only the tokenizer
can know: that can find "hat" at the start of "hats" too, as the release does, and it alone can count tokens.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from ..errors import LumosXError
from ..media.sketch import Sketch
from .phrases import MOST_COMPARED, Span, bound_places, claimed_units, nearest_runs
from .prompt import MOST_COMBINATIONS, PromptText, read_prompt, read_text
from .relations import Kind
from .verdict import CheckedReference, bits_of, find
from .view import finding_view

SECONDS = 2.0
"""After which a board goes without an answer."""
# Characters that are read in all combinations of choices together.
_MOST_READ = 50_000
# More places than any prompt of 512 tokens has; what is found beyond them is not counted.
_MOST_PLACES = 1024
# How many missing phrases get words to take instead.
_MOST_NEAREST = 8
# Marks of one phrase, and of all, that are shown.
_MOST_MARKS, _MOST_MARKS_TOGETHER = 200, 2000

_LATIN, _RARE = re.compile(r"[A-Za-z]+"), re.compile(r"[^A-Za-z\s\x00-\x1f]")

ERROR, WARNING = "error", "warning"
# These stop the run; everything else is a warning.
_STOPS = frozenset({"empty", "nothing", "missing", "too_few", "too_long"})


class Deadline:
    """Time that is left for an answer; work that nobody waits for any more ends too.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._end = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() > self._end

    def drop(self) -> None:
        """Nobody waits any more."""
        self._end = 0.0

    def check(self) -> None:
        """To be called within every loop that can take long.

        Raises:
            LumosXError: the time is over.
        """
        if self.is_over:
            raise LumosXError(
                f"board: the prompt and the phrases take more than {SECONDS:g} seconds to compare; shorten them. They "
                "are checked when the node runs."
            )


@dataclass(frozen=True)
class BoardReference:
    """A reference as the board knows it; the phrase may be missing still.

    Attributes:
        id: the page's own name for it, returned as it is.
        kind: what its picture shows.
        phrase: as typed; None where it comes from a node that cannot be read.
        occurrence: 0 for every occurrence of the phrase, n for the n-th.
        person: whose it is; None for a background or an object.
        shown: whether a picture is linked.
        full_body: an object that is a whole person.
        sketch: its picture, where the page knows the file.
        link: where its picture comes from, the same for one picture that is linked twice.
    """

    id: str
    kind: Kind
    phrase: str | None
    occurrence: int
    person: int | None
    shown: bool
    full_body: bool = False
    sketch: Sketch | None = None
    link: str | None = None

    @property
    def words(self) -> str:
        """The phrase as ``Reference`` tidies it."""
        return " ".join((self.phrase or "").split())

    @property
    def bound_words(self) -> tuple[str, int]:
        """As ``Reference`` has them; what cannot be read is nobody else's."""
        if self.phrase is None:
            return f"\0{self.id if self.person is None else self.person}", self.occurrence
        return self.words.casefold(), self.occurrence


@dataclass
class _Matches:
    """Where a phrase is in each text that the prompt can become, as ranges of that text's letters.

    Attributes:
        places: those that read like the phrase.
        bound: those of them that the reference binds.
        perhaps: for each text, whether the tokenizer could find the phrase where no whole words are those of it.
    """

    places: list[tuple[Span, ...]] = field(default_factory=list)
    bound: list[tuple[Span, ...]] = field(default_factory=list)
    perhaps: list[bool] = field(default_factory=list)


def read_board(
    prompt: str | None,
    references: Sequence[BoardReference],
    settled: bool = False,
    frame: tuple[int, int] | None = None,
    deadline: Deadline | None = None,
    most_tokens: int | None = None,
) -> dict[str, Any]:
    """The whole answer for the board, ready for JSON; ranges are UTF-16 offsets into the prompt as it is typed.

    ``references`` has each with its ``status``: ``empty`` (no phrase), ``unknown`` (no prompt, or a phrase that cannot
    be read), ``found``, ``missing``, ``too_few`` (the phrase is there, but not that often), ``sometimes`` (only for
    some choices of ``{a|b}``) or ``perhaps`` (the tokenizer decides). ``count`` is the most often that a choice has it.
    Occurrence 0 binds what the tokenizer will: places that are spelled as the phrase is if there are any, else all that
    read like it.

    ``problems`` is the verdict: each with its ``level``, ``code`` and ``values`` and the ids of the references and the
    indices of the people that it is about. An error is what stops the run. Warnings are those of the encoder, see
    ``verdict.find``, and what cannot be known before it has run.

    Args:
        settled: the prompt reaches the node as it is, comments and braces included, since it comes from another node.
        frame: width and height of the video in pixels, if known.
        most_tokens: of a text that the encoder reads; None leaves the length of the prompt alone.

    Raises:
        LumosXError: what the encoder will refuse of the prompt or a phrase as a whole, choices nested too deeply, or
            the time is over.
    """
    deadline = deadline or Deadline()
    texts, combinations = ([], 1) if prompt is None else _texts(prompt, settled)
    deadline.check()
    phrases = [read_text(each.words, f"the words \"{each.words[:40]}\"") for each in references]
    matches = [_match(*pair, texts, deadline) for pair in zip(references, phrases)]
    read_all = combinations <= max(1, len(texts))
    statuses = [_status(each, found, read_all) for each, found in zip(references, matches)]
    nearest = _nearest(texts, phrases, references, matches, statuses, deadline)
    entries = _entries(references, statuses, matches, texts)
    problems = []
    for own in zip(references, entries, nearest):
        problems += _own_problems(*own)
    problems += _prompt_problems(texts, combinations, read_all, most_tokens)
    deadline.check()
    problems += _shared_problems(references, phrases, matches, texts, frame)
    return {"references": entries, "problems": problems}


def _texts(prompt: str, settled: bool) -> tuple[list[PromptText], int]:
    if settled:
        return [read_text(prompt)], 1
    return read_prompt(prompt, min(MOST_COMBINATIONS, max(2, _MOST_READ // (len(prompt) + 1))))


def _match(
    reference: BoardReference, phrase: PromptText, texts: Sequence[PromptText], deadline: Deadline
) -> _Matches:
    found = _Matches()
    for text in texts:
        deadline.check()
        places = text.places(phrase, _MOST_PLACES)
        found.places.append(places)
        found.bound.append(_bound(reference.occurrence, places, text, phrase))
        found.perhaps.append(not places and _begins_a_word(text, phrase) or _beyond(reference.occurrence, places))
    return found


def _bound(occurrence: int, places: tuple[Span, ...], text: PromptText, phrase: PromptText) -> tuple[Span, ...]:
    exact = () if occurrence else text.spelled(places, phrase)
    return bound_places(occurrence, exact, places, places)


def _beyond(occurrence: int, places: tuple[Span, ...]) -> bool:
    """Whether the wanted occurrence is beyond the point where counting stopped."""
    return len(places) == _MOST_PLACES < occurrence


def _begins_a_word(text: PromptText, phrase: PromptText) -> bool:
    """Whether the phrase is spelled in the text from the beginning of a word on, so that token ids could be found."""
    return bool(phrase.spelling) and f" {phrase.spelling}" in f" {text.spelling}"


def _status(reference: BoardReference, found: _Matches, read_all: bool) -> str:
    if reference.phrase is None:
        return "unknown"
    if not reference.words:
        return "empty"
    if not found.places:
        return "unknown"
    bound = [bool(spans) for spans in found.bound]
    if all(bound):
        return "found"
    if any(bound):
        return "sometimes"
    if any(found.perhaps):
        return "perhaps"
    if not read_all:
        return "sometimes"
    return "too_few" if any(found.places) else "missing"


def _nearest(
    texts: Sequence[PromptText],
    phrases: Sequence[PromptText],
    references: Sequence[BoardReference],
    matches: Sequence[_Matches],
    statuses: Sequence[str],
    deadline: Deadline,
) -> list[list[str]]:
    """For the first missing phrases the words to take instead."""
    if "missing" not in statuses:
        return [[] for _ in phrases]
    left, found = _MOST_NEAREST, []
    units, taken = [text.units for text in texts], []
    for index, text in enumerate(units):
        deadline.check()
        # Nothing else is to use the places of an occurrence that is not there, either.
        claims = (each.bound[index] or each.places[index] for each in matches)
        taken.append(claimed_units(text, chain.from_iterable(claims)))
    for reference, phrase, status in zip(references, phrases, statuses):
        deadline.check()
        near = status == "missing" and left > 0
        left -= near
        most = MOST_COMPARED // _MOST_NEAREST
        found.append(nearest_runs(units, phrase.units, taken, reference.occurrence, most) if near else [])
    return found


def _entries(
    references: Sequence[BoardReference], statuses: Sequence[str], matches: Sequence[_Matches],
    texts: Sequence[PromptText],
) -> list[dict[str, Any]]:
    marks = _MOST_MARKS_TOGETHER
    entries = []
    for reference, status, found in zip(references, statuses, matches):
        ranges = sorted({text.typed(place) for text, bound in zip(texts, found.bound) for place in bound})
        ranges = [list(each) for each in ranges[:min(marks, _MOST_MARKS)]]
        marks -= len(ranges)
        count = max(map(len, found.places), default=0)
        entries.append({"id": reference.id, "status": status, "ranges": ranges, "count": count})
    return entries


def _own_problems(reference: BoardReference, entry: dict[str, Any], nearest: list[str]) -> list[dict[str, Any]]:
    """What is wrong with one reference alone."""
    found = []
    status = entry["status"]
    if status == "empty":
        if reference.shown:
            return [_problem("empty", [reference.id])]
        return [_problem("nothing", [reference.id])] if reference.kind in (Kind.OBJECT, Kind.BACKGROUND) else []
    if status not in ("found", "unknown"):
        values = {"missing": {"nearest": nearest}, "too_few": {"count": entry["count"], "number": reference.occurrence}}
        found.append(_problem(status, [reference.id], values.get(status, {})))
    return found


def _prompt_problems(
    texts: Sequence[PromptText], combinations: int, read_all: bool, most_tokens: int | None
) -> list[dict[str, Any]]:
    """What is wrong with the prompt, or cannot be known of it."""
    found = []
    if not read_all:
        found.append(_problem("choices", values={"count": combinations}))
    if most_tokens is None:
        return found
    least, likely = zip(*map(_tokens, texts)) if texts else ([], [])
    if any(count > most_tokens for count in least):
        # Other choices can be short enough.
        code = "too_long" if all(count > most_tokens for count in least) and read_all else "perhaps_too_long"
        found.append(_problem(code, values={"count": max(least), "limit": most_tokens}))
    elif any(count > most_tokens for count in likely):
        found.append(_problem("perhaps_too_long", values={"count": max(likely), "limit": most_tokens}))
    return found


def _tokens(text: PromptText) -> tuple[int, int]:
    """How many tokens a text has at least and rather at most, with the end token.

    No token of UMT5 reaches over a space. A Latin word has one token for two letters where it is rare, which a long
    text is at most about half of; everything else has at most about one for each character.
    """
    pieces = len(text.plain.replace("\0", " ").split())
    rare, words = len(_RARE.findall(text.plain)), sum(map(_most_pieces, _LATIN.findall(text.plain)))
    return pieces + 1, words + rare + 1


def _most_pieces(word: str) -> int:
    return -(-len(word) * 11 // 20)


def _shared_problems(
    references: Sequence[BoardReference],
    phrases: Sequence[PromptText],
    matches: Sequence[_Matches],
    texts: Sequence[PromptText],
    frame: tuple[int, int] | None,
) -> list[dict[str, Any]]:
    """The encoder's own warnings, from letters instead of tokens; from phrases alone while no prompt is known."""
    bits = {bound: 1 << index for index, bound in enumerate({each.bound_words for each in references})}
    words = []
    for reference, found in zip(references, matches):
        claims = tuple(map(bits_of, found.bound))
        if not texts:
            claims = (bits[reference.bound_words] if reference.words else 0,)
        words.append(CheckedReference(
            kind=reference.kind.value,
            phrase=reference.words,
            bound_words=reference.bound_words,
            person=None if reference.kind is Kind.OBJECT else reference.person,
            shown=reference.shown,
            full_body=reference.full_body,
            claims=claims,
            places=tuple(map(len, found.bound)) or (0,),
            sketch=reference.sketch,
            link=reference.link,
        ))
    problems = []
    for finding in map(finding_view, find(words, frame)):
        ids = [references[index].id for index in finding["words"]]
        problems.append(_leveled(WARNING, finding["code"], ids, finding["values"], finding["people"]))
    return problems


def _problem(
    code: str, ids: Sequence[str] = (), values: dict[str, Any] | None = None, people: Sequence[int] = ()
) -> dict[str, Any]:
    return _leveled(ERROR if code in _STOPS else WARNING, code, ids, values, people)


def _leveled(
    level: str, code: str, ids: Sequence[str], values: dict[str, Any] | None, people: Sequence[int]
) -> dict[str, Any]:
    return {"level": level, "code": code, "references": list(ids), "people": list(people), "values": values or {}}
