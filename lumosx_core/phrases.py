"""Phrase to token spans, on the tokens that the text encoder really sees."""

from __future__ import annotations

import difflib
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import LumosXError

Span = tuple[int, int]
"""Half-open token range [start, end)."""
Letter = tuple[str, int, int]
"""A character, the first token that spells it, and the token after the last."""

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
    """Every occurrence of one id sequence in another, overlapping ones too; none for an empty phrase."""
    length = len(phrase_ids)
    if not length:
        return ()
    wanted = tuple(phrase_ids)
    starts = range(len(prompt_ids) - length + 1)
    return tuple((start, start + length) for start in starts if tuple(prompt_ids[start:start + length]) == wanted)


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


def read_units(letters: Iterable[Letter]) -> list[Unit]:
    """The words of a text, from its characters; case is folded, punctuation and white space only part words."""
    units: list[Unit] = []
    inside_word = False
    for character, start, end in letters:
        plain = unicodedata.normalize("NFKC", character).casefold()
        category = unicodedata.category(character)
        if category[0] not in "LNM" and category != "So":
            inside_word = False
        elif category == "So" or _UNSPACED.match(character):
            units.append(Unit(plain, start, end))
            inside_word = False
        elif inside_word:
            last = units[-1]
            units[-1] = Unit(last.text + plain, last.start, end)
        else:
            units.append(Unit(plain, start, end))
            inside_word = True
    return units


def token_units(tokens: Tokens) -> list[Unit]:
    """The words of a tokenised text."""
    return read_units(_letters(tokens))


def unit_spans(text: Sequence[Unit], phrase: Sequence[Unit]) -> tuple[Span, ...]:
    """Every place where the words of a phrase follow each other in a text; none for a phrase without words."""
    wanted = [unit.text for unit in phrase]
    length = len(wanted)
    if not length:
        return ()
    found = []
    for first in range(len(text) - length + 1):
        window = text[first:first + length]
        if [unit.text for unit in window] == wanted:
            found.append((window[0].start, window[-1].end))
    return tuple(found)


def nearest_runs(text: Sequence[Unit], phrase: Sequence[Unit]) -> list[str]:
    """Up to three runs of words that look most like the phrase, as many words at a time as it has."""
    words, wanted = [unit.text for unit in text], [unit.text for unit in phrase]
    length = max(1, len(wanted))
    runs = {" ".join(words[start:start + length]) for start in range(max(1, len(words) - length + 1))} - {""}
    return difflib.get_close_matches(" ".join(wanted), sorted(runs), n=3, cutoff=0.3)


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
