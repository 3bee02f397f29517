"""Phrase to token spans, on the tokens that the text encoder really sees."""

from __future__ import annotations

import difflib
import functools
import re
import textwrap
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from .errors import LumosXError

Span = tuple[int, int]
"""Half-open token range [start, end)."""
Letter = tuple[str, int, int]
"""A character, the first token that spells it, and the token after the last."""

MOST_COMPARED = 2_000_000
"""Pairs of letters that are compared when the words nearest to a phrase are looked for: about a tenth of a second."""

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_WORD_SPACE = "\u2581"
# Scripts written without spaces between words: every letter is a unit of its own.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003134f]"
)


@dataclass(frozen=True)
class Tokens:
    """A tokenised text without its end and padding tokens.

    Attributes:
        ids: token ids; None for a token that is no word, such as a textual-inversion embedding.
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
    whole words only, and marks every token that holds a part of them.

    Args:
        occurrence: 0 for all, n for the n-th only; whoever counts does not mind case, so neither does this.
        source: what messages call the phrase.

    Raises:
        LumosXError: the phrase is not there, or not that often.
    """
    exact, letters = exact_spans(prompt.ids, phrase.ids), _letter_spans(prompt, phrase)
    words = textwrap.shorten(_plain_text(phrase), 80, placeholder=" …")
    if not exact and not letters:
        raise LumosXError(f"{source}: \"{words}\" is not in the prompt; {_advice(prompt, phrase)}")
    if occurrence == 0:
        return PhraseMatch(exact or letters, bool(exact))
    # An occurrence that the ids find too keeps the tokens that the release would mark.
    places = [next((span for span in exact if _overlap(span, place)), place) for place in letters] or list(exact)
    if occurrence > len(places):
        times = "once" if len(places) == 1 else f"{len(places)} times"
        raise LumosXError(
            f"{source}: occurrence {occurrence} of \"{words}\" was asked for, but the prompt has it {times}; "
            "use a smaller number, or 0 for all."
        )
    chosen = places[occurrence - 1]
    return PhraseMatch((chosen,), chosen in exact)


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
    starts = occurrences([unit.text for unit in text], [unit.text for unit in phrase])
    return tuple((text[start].start, text[start + len(phrase) - 1].end) for start in starts)


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


def nearest_runs(text: Sequence[Unit], phrase: Sequence[Unit], most: int = MOST_COMPARED) -> list[str]:
    """Up to three runs of words that look most like the phrase, as many words at a time as it has.

    Comparing takes as long as both have letters, multiplied: of a long text only its beginning is looked at, so that no
    more than ``most`` pairs of letters are compared, and a phrase that is too long for one comparison has no nearest.
    """
    words, wanted = [unit.text for unit in text], [unit.text for unit in phrase]
    length, plain = max(1, len(wanted)), " ".join(wanted)
    runs: dict[str, None] = {}
    for start in range(max(1, len(words) - length + 1)):
        if most < len(plain):
            break
        run = " ".join(words[start:start + length])
        if run and run not in runs:
            most -= len(run) * len(plain)
            if most >= 0:
                runs[run] = None
    return difflib.get_close_matches(plain, sorted(runs), n=3, cutoff=0.3)


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _letter_spans(prompt: Tokens, phrase: Tokens) -> tuple[Span, ...]:
    return unit_spans(token_units(prompt), token_units(phrase))


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


def _advice(prompt: Tokens, phrase: Tokens) -> str:
    close = nearest_runs(token_units(prompt), token_units(phrase))
    if not close:
        return "use words that the prompt contains, or add these to it."
    nearest = ", ".join(f"\"{run}\"" for run in close)
    return f"the nearest words there are {nearest}: use words that the prompt contains, or add these to it."
