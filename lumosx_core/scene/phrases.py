"""Phrase to token spans, on the tokens that the text encoder really sees."""

from __future__ import annotations

import functools
import re
import textwrap
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from ..errors import LumosXError
from .korean import has_particle, is_korean
from .likeness import STOP_WORDS, is_comparable, likeness

Span = tuple[int, int]
"""Half-open token range [start, end)."""
Letter = tuple[str, int, int]
"""A character, the first token that spells it, and the token after the last."""

MOST_COMPARED = 2_000_000
"""Pairs of letters that are compared when the words nearest to a phrase are looked for: about a tenth of a second."""
MOST_WORDS_COMPARED = 600
"""Words of a prompt among which the nearest are looked for; no prompt of 512 tokens has more."""
LONGEST_COMPARED = 12
"""Words of a phrase for which others are suggested."""
MOST_SUGGESTED = 3
# Likeness above which words are suggested, from 0 to 1; the second for scripts whose words are single letters here.
_LEAST_LIKENESS, _LEAST_OF_LETTERS = 0.5, 0.7
# What the word that names the thing counts, and one such as "on"; every other word counts 1.
_HEAD_WEIGHT, _STOP_WEIGHT = 2.0, 0.25
# What is left of the likeness when one word stands for a phrase of several.
_ONE_FOR_SEVERAL = 0.6
# Runs of words that are tried, best first, until enough of them can be suggested.
_MOST_TRIED = 50

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_WORD_SPACE = "\u2581"
# Scripts written without spaces between words: every letter is a unit of its own.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f]"
)


@dataclass(frozen=True)
class Tokens:
    """A tokenised text without its end and padding tokens.

    Attributes:
        ids: token ids; None for a token that is not a word, such as a textual-inversion embedding.
        pieces: the sentencepiece piece of each id, e.g. "\u2581white" or "<0xE4>".
    """

    ids: tuple[int | None, ...]
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class PhraseMatch:
    """Where a phrase was found.

    Attributes:
        spans: token ranges, in prompt order.
        exact: True where the token ids agree as the release demands, False where only the letters do.
    """

    spans: tuple[Span, ...]
    exact: bool


@dataclass(frozen=True)
class Unit:
    """A word, an emoji or one letter of a script without spaces, and the tokens that spell it."""

    text: str
    start: int
    end: int


def exact_spans(prompt_ids: Sequence[int | None], phrase_ids: Sequence[int | None]) -> tuple[Span, ...]:
    """Every occurrence of one id sequence in another, overlapping ones too; none for an empty phrase.

    None stands for an embedding, and any two of those can be different: a phrase that holds one is nowhere.
    """
    if None in phrase_ids:
        return ()
    return tuple((start, start + len(phrase_ids)) for start in occurrences(prompt_ids, phrase_ids))


def find_phrase(prompt: Tokens, phrase: Tokens, occurrence: int = 0, source: str = "phrase") -> PhraseMatch:
    """Find a phrase in a prompt: by token ids as the release does, else by its letters.

    The second way ignores case, punctuation and white space, and finds phrases inside text without spaces. It matches
    whole words only, apart from Korean particles after the last, and marks every token that holds a part of them.

    Args:
        occurrence: 0 for all, n for the n-th only; whoever counts does not mind case, so neither does this.
        source: what messages call the phrase.

    Raises:
        LumosXError: the phrase is not there, or not that often.
    """
    return find_phrases(prompt, [(phrase, occurrence, source)])[0]


def find_phrases(prompt: Tokens, phrases: Sequence[tuple[Tokens, int, str]]) -> list[PhraseMatch]:
    """Find every phrase of a scene, each with its occurrence and source, as ``find_phrase`` does.

    Raises:
        LumosXError: a phrase is not there, or not that often; the words that it suggests are free.
    """
    text = token_units(prompt)
    places = [PhrasePlaces.of(prompt, text, phrase, occurrence) for phrase, occurrence, _ in phrases]
    matches = []
    for index, (phrase, occurrence, source) in enumerate(phrases):
        own = places[index]
        words = textwrap.shorten(_plain_text(phrase), 80, placeholder=" …")
        if not own.all:
            taken = claimed_units(text, chain.from_iterable(other.claimed for other in places))
            raise LumosXError(
                f"{source}: \"{words}\" is not in the prompt; {_advice(text, token_units(phrase), taken, occurrence)}"
            )
        if not own.bound:
            times = "once" if len(own.all) == 1 else f"{len(own.all)} times"
            raise LumosXError(
                f"{source}: occurrence {occurrence} of \"{words}\" was chosen, but the prompt has it {times}; use a "
                "smaller number, or 0 for all."
            )
        matches.append(PhraseMatch(own.bound, own.bound[0] in own.exact))
    return matches


@dataclass(frozen=True)
class PhrasePlaces:
    """Where a phrase is in a prompt.

    Attributes:
        exact: where the token ids agree.
        all: every place, as whoever reads the prompt counts them.
        bound: those that the asked occurrence binds.
    """

    exact: tuple[Span, ...]
    all: tuple[Span, ...]
    bound: tuple[Span, ...]

    @classmethod
    def of(cls, prompt: Tokens, text: Sequence[Unit], phrase: Tokens, occurrence: int) -> PhrasePlaces:
        """Look for a phrase in a prompt, of which ``text`` has the words."""
        # Empty brackets leave a token for a space, which nothing that a user sees would be bound by.
        exact = exact_spans(prompt.ids, phrase.ids) if _plain_text(phrase) else ()
        letters = unit_spans(text, token_units(phrase))
        # An occurrence that the ids find too keeps the tokens that the release would mark.
        every = tuple(next((span for span in exact if _overlap(span, place)), place) for place in letters) or exact
        return cls(exact, every, bound_places(occurrence, exact, letters, every))

    @property
    def claimed(self) -> tuple[Span, ...]:
        """What is not suggested to another phrase, also where the asked occurrence is not there."""
        return self.bound or self.all


def bound_places(
    occurrence: int, exact: tuple[Span, ...], letters: tuple[Span, ...], every: tuple[Span, ...]
) -> tuple[Span, ...]:
    """The places that a reference binds.

    Args:
        occurrence: 0 for all, n for the n-th of ``every``.
        exact: those that are spelled as the phrase is; if there are any, occurrence 0 binds them alone.
        letters: those that read like the phrase.
        every: the places as they are counted.
    """
    return every[occurrence - 1:occurrence] if occurrence else exact or letters


def marked_text(prompt: Tokens, spans: Sequence[Span]) -> str:
    """The words of the prompt that spans cover, for reports."""
    return " … ".join(_plain_text(Tokens(prompt.ids[start:end], prompt.pieces[start:end])) for start, end in spans)


@functools.lru_cache(maxsize=1 << 12)
def _reading(character: str) -> tuple[str, bool, bool]:
    """A character as words have it, whether it parts words, and whether it is a word of its own."""
    category = unicodedata.category(character)
    parts = category[0] not in "LNM" and category != "So"
    alone = not parts and (category == "So" or _UNSPACED.match(character) is not None)
    return unicodedata.normalize("NFKC", character).casefold(), parts, alone


def read_units(letters: Iterable[Letter]) -> list[Unit]:
    """The words of a text, from its characters; case is folded, punctuation and white space only part words."""
    units: list[Unit] = []
    word: list[str] = []
    first = last = 0

    def close() -> None:
        if word:
            units.append(Unit("".join(word), first, last))
            word.clear()

    for character, start, end in letters:
        plain, parts, alone = _reading(character)
        if parts or alone:
            close()
        if parts:
            continue
        first = first if word else start
        word.append(plain)
        last = end
        if alone:
            close()
    close()
    return units


def token_units(tokens: Tokens) -> list[Unit]:
    """The words of a tokenised text."""
    return read_units(_letters(tokens))


def unit_spans(text: Sequence[Unit], phrase: Sequence[Unit]) -> tuple[Span, ...]:
    """Every place where the words of a phrase follow each other in a text; none for a phrase without words."""
    starts = phrase_starts([unit.text for unit in text], [unit.text for unit in phrase])
    return tuple((text[start].start, text[start + len(phrase) - 1].end) for start in starts)


def phrase_starts(text: Sequence[str], phrase: Sequence[str], most: int | None = None) -> list[int]:
    """Where the words of a phrase begin in those of a text; the last may have a Korean particle written onto it there.

    Args:
        most: no more than so many are looked for.
    """
    if phrase and is_korean(phrase[-1]):
        same = {word for word in set(text) if has_particle(word, phrase[-1])}
        text = [phrase[-1] if word in same else word for word in text] if same else text
    return occurrences(text, phrase, most)


def occurrences(text: Sequence[Hashable], wanted: Sequence[Hashable], most: int | None = None) -> list[int]:
    """Where a sequence begins in another, overlapping places too, in time linear in both (Knuth, Morris and Pratt).

    Args:
        most: no more than so many are looked for.
    """
    length = len(wanted)
    if not 0 < length <= len(text):
        return []
    # How many of the first items of ``wanted`` are still matched when the one after this many differs.
    shorter, matched = [0], 0
    for item in wanted[1:]:
        while matched and item != wanted[matched]:
            matched = shorter[matched - 1]
        matched += item == wanted[matched]
        shorter.append(matched)
    found, matched, position = [], 0, 0
    try:
        while len(found) != most:
            if not matched:
                position = text.index(wanted[0], position)
            item = text[position]
            while matched and item != wanted[matched]:
                matched = shorter[matched - 1]
            matched += item == wanted[matched]
            position += 1
            if matched == length:
                found.append(position - length)
                matched = shorter[-1]
    except (IndexError, ValueError):
        # The text is at its end.
        pass
    return found


def claimed_units(text: Sequence[Unit], spans: Iterable[Span]) -> frozenset[int]:
    """The indices of the words that ranges cover, wholly or in part."""
    marks = bytearray(text[-1].end if text else 0)
    for start, end in spans:
        marks[start:end] = b"\1" * len(marks[start:end])
    return frozenset(index for index, unit in enumerate(text) if any(marks[unit.start:unit.end]))


def nearest_runs(
    texts: Sequence[Sequence[Unit]],
    phrase: Sequence[Unit],
    taken: Sequence[frozenset[int]] = (),
    occurrence: int = 0,
    most: int = MOST_COMPARED,
) -> list[str]:
    """Up to ``MOST_SUGGESTED`` runs of words that a prompt has and that are like a phrase, the best first.

    Whichever is used instead of the phrase binds, and what makes it like the phrase is not all taken. None begins or
    ends with a stop word, and all are so much like the phrase that they can be meant: there may be nothing to suggest.
    A phrase of more than ``LONGEST_COMPARED`` words has no nearest.

    Args:
        texts: the words of each text that the prompt can become; only the first ``MOST_WORDS_COMPARED`` are looked at.
        taken: for each text, the indices of words that references bind.
        occurrence: of the phrase, as for ``find_phrase``.
        most: pairs of letters that are compared; of a text that would need more, only the beginning is looked at.
    """
    wanted = _without_outer_stops([unit.text for unit in phrase])
    if not texts or not 0 < len(wanted) <= LONGEST_COMPARED:
        return []
    words = [[unit.text for unit in text] for text in texts]
    taken = taken or [frozenset()] * len(texts)
    degrees = _degrees(words[0][:MOST_WORDS_COMPARED], wanted, most)
    found: list[str] = []
    shown: set[int] = set()
    for run in _alike(words[0][:MOST_WORDS_COMPARED], wanted, degrees)[:_MOST_TRIED]:
        telling = [index for index, word in enumerate(run) if word in degrees and word not in STOP_WORDS]
        starts = [phrase_starts(known, run) for known in words]
        binds = all(len(own) >= max(1, occurrence) for own in starts)
        is_free = all(
            any(start + index not in claimed for index in telling)
            for own, claimed in zip(starts, taken) for start in own
        )
        own = {start + index for start in starts[0] for index in range(len(run))}
        if binds and is_free and not own & shown and (text := _written(run)):
            found.append(text)
            shown |= own
        if len(found) == MOST_SUGGESTED:
            break
    return found


def _written(run: Sequence[str]) -> str | None:
    """Words as typed, or None if typing them gives other words: a sign such as "½" stands for several."""
    text = run[0]
    for before, word in pairwise(run):
        together = _UNSPACED.match(before[-1]) and _UNSPACED.match(word)
        text += word if together else f" {word}"
    return text if [unit.text for unit in read_units((letter, 0, 0) for letter in text)] == list(run) else None


def _without_outer_stops(words: Sequence[str]) -> list[str]:
    kept = [index for index, word in enumerate(words) if word not in STOP_WORDS]
    return list(words[kept[0]:kept[-1] + 1]) if kept else []


def _alike(
    words: Sequence[str], wanted: Sequence[str], degrees: dict[str, dict[str, float]]
) -> list[tuple[str, ...]]:
    """The runs of words that are enough like a phrase without outer stop words, the best first."""
    length, head = len(wanted), wanted[_head(wanted)]
    is_spaced = not any(_UNSPACED.match(word) for word in wanted)
    scores: dict[tuple[str, ...], float] = {}
    for size in {length - 1, length, length + 1} - {0}:
        for start in range(len(words) - size + 1):
            run = tuple(words[start:start + size])
            if run in scores or STOP_WORDS.intersection((run[0], run[-1])) or not any(word in degrees for word in run):
                continue
            scores[run] = _run_likeness(run, wanted, degrees, is_spaced)
    if length > 1 and is_spaced:
        for word, known in degrees.items():
            score = _ONE_FOR_SEVERAL * known.get(head, 0.0)
            scores[(word,)] = score if word not in STOP_WORDS else 0.0
    least = _LEAST_LIKENESS if is_spaced else _LEAST_OF_LETTERS
    # Sorting keeps the order of the prompt.
    return sorted((run for run in scores if scores[run] > least), key=lambda run: -scores[run])


def _degrees(words: Sequence[str], wanted: Sequence[str], most: int) -> dict[str, dict[str, float]]:
    """How similar each word of a text is to those of the phrase, if it is at all."""
    degrees: dict[str, dict[str, float]] = {}
    for word in dict.fromkeys(words):
        for own in dict.fromkeys(wanted):
            if own != word and is_comparable(own, word):
                most -= len(own) * len(word)
                if most < 0:
                    return degrees
            if degree := likeness(own, word):
                degrees.setdefault(word, {})[own] = degree
    return degrees


def _run_likeness(
    run: Sequence[str], wanted: Sequence[str], degrees: dict[str, dict[str, float]], is_spaced: bool
) -> float:
    """How much of the phrase a run covers and how much of the run is covered, as their harmonic mean."""
    ours, theirs = _weights(wanted, is_spaced), _weights(run, is_spaced)
    left = set(range(len(run)))
    covered = covering = 0.0
    for own, weight in zip(wanted, ours):
        best = max(left, key=lambda index: (degrees.get(run[index], {}).get(own, 0.0), -index), default=None)
        degree = 0.0 if best is None else degrees.get(run[best], {}).get(own, 0.0)
        if best is not None and degree:
            left.discard(best)
            covered += weight * degree
            covering += theirs[best] * degree
    recall, precision = covered / sum(ours), covering / sum(theirs)
    return 2 * recall * precision / (recall + precision) if covered else 0.0


def _weights(words: Sequence[str], is_spaced: bool) -> list[float]:
    head = _head(words) if is_spaced else -1
    return [
        _STOP_WEIGHT if word in STOP_WORDS else _HEAD_WEIGHT if index == head else 1.0
        for index, word in enumerate(words)
    ]


def _head(words: Sequence[str]) -> int:
    """The word that names the thing, which in "old man on the left" is the last before the first stop word."""
    stops = (index for index, word in enumerate(words) if word in STOP_WORDS)
    return next(stops, len(words)) - 1


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _letters(tokens: Tokens) -> list[Letter]:
    """The characters of a text; byte pieces are joined to the characters they spell."""
    data, owners = bytearray(), []
    for index, piece in enumerate(tokens.pieces):
        byte = _BYTE_PIECE.fullmatch(piece)
        spelled = bytes([int(byte.group(1), 16)]) if byte else piece.replace(_WORD_SPACE, " ").encode("utf-8")
        data += spelled
        owners += [index] * len(spelled)
    letters, position = [], 0
    for character in data.decode("utf-8", "surrogateescape"):
        end = position + len(character.encode("utf-8", "surrogateescape"))
        letters.append((character, owners[position], owners[end - 1] + 1))
        position = end
    return letters


def _plain_text(tokens: Tokens) -> str:
    return "".join(letter[0] for letter in _letters(tokens)).encode("utf-8", "replace").decode("utf-8").strip()


def _advice(text: Sequence[Unit], phrase: Sequence[Unit], taken: frozenset[int], occurrence: int) -> str:
    close = nearest_runs([text], phrase, [taken], occurrence)
    if not close:
        return "nothing in it is similar, so add these words to the prompt."
    nearest = ", ".join(f"\"{run}\"" for run in close)
    return f"the nearest words in it are {nearest}: use one of these, or add your words to the prompt."
