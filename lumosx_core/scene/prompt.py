"""Read a typed prompt as ComfyUI and the tokenizer do; every character keeps its position in the typed text.

Steps, in their order: the page strips comments and settles choices ({a|b|c}), the encoder cleans the text, and the
tokenizer takes weights ("(red hat:1.2)") and embeddings out.
"""

from __future__ import annotations

import html
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ..errors import LumosXError
from .phrases import Letter, Span, Unit, phrase_starts, read_units

NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，"
    "画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
"""Wan2.1's standard negative prompt, which LumosX was sampled with."""

MOST_COMBINATIONS = 64
DEEPEST_CHOICE = 32
_STRAIGHT_QUOTES = {ord(quote): "'" for quote in "\u02bc\u2018\u2019\u201a\u201b"} | {
    ord(quote): '"' for quote in "\u201c\u201d\u201e\u201f"
}
_STRAIGHT = {chr(quote): plain for quote, plain in _STRAIGHT_QUOTES.items()}

# As in the page's own expression; a line ends where JavaScript says so.
_LINE_COMMENT = re.compile(r"//[^\n\r\u2028\u2029]*")
# What is not closed takes the rest of the text, so that the text is not searched to its end again and again.
_COMMENT = re.compile(rf"/\*[\s\S]*?\*/|{_LINE_COMMENT.pattern}|(?P<open>/\*[\s\S]*)")
_ENTITY = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
# Python refuses to read thousands of digits, be they zeros or the number of no character.
_LEADING_ZEROS, _NO_CHARACTER = re.compile(r"&#0+(?=[0-9])"), re.compile(r"&#[1-9][0-9]{7,};?")
_EMBEDDING = re.compile(r"(?:(?<=\s)|(?<=\x00)|^)embedding:([^\s<\[\x00]*)")
# Only later versions of ComfyUI end a name there.
_EMBEDDING_AND_BRACKET = re.compile(r"((?:(?<=[\s(])|^)embedding:[^\s<\[]+)([<\[]?)")
# Characters that take two places in UTF-16.
_WIDE = re.compile("[\U00010000-\U0010ffff]")
# A separator of words that is not a character of the text: the end of a weighted piece.
_PART = "\0"
# Escaped brackets, which stand for themselves.
_BRACKETS = {"(": "\1", ")": "\2"}
DEEPEST_WEIGHT = 32
# Far above any useful weight; with infinity or NaN the whole video would be NaN.
LARGEST_WEIGHT = 1000
# Those of Unicode's stream-safe format (UAX 15). Sorting many more takes Unicode's normalisation minutes.
MOST_MARKS = 30
# Counting ends here: more than anybody reads, and a number that a page can read.
_MANY = 10**6
_HANGUL_PARTS = range(0x1160, 0x1200)


@dataclass(frozen=True)
class PromptText:
    """A text as the tokenizer sees it.

    Attributes:
        letters: its characters with the UTF-16 range that each was typed in.
    """

    letters: tuple[Letter, ...]

    @cached_property
    def units(self) -> list[Unit]:
        """Its words; starts and ends count ``letters``."""
        return read_units((letter[0], index, index + 1) for index, letter in enumerate(self.letters))

    @cached_property
    def words(self) -> list[str]:
        """The words alone."""
        return [unit.text for unit in self.units]

    @cached_property
    def plain(self) -> str:
        """Its characters."""
        return _spelling(self.letters)

    @cached_property
    def spelling(self) -> str:
        """Its characters in the forms that tokenizers know, its parts a space apart."""
        plain = unicodedata.normalize("NFKC", self.plain).replace(_PART, " ")
        for bracket, escaped in _BRACKETS.items():
            plain = plain.replace(escaped, bracket)
        return " ".join(plain.split())

    def places(self, phrase: PromptText, most: int | None = None) -> tuple[Span, ...]:
        """Where a phrase's words are, as ranges of ``letters``; counted as ``find_phrase`` counts.

        Args:
            most: no more than so many are looked for.
        """
        units, length = self.units, len(phrase.units)
        starts = phrase_starts(self.words, phrase.words, most)
        return tuple((units[start].start, units[start + length - 1].end) for start in starts)

    def spelled(self, places: Iterable[Span], phrase: PromptText) -> tuple[Span, ...]:
        """Those places at which the phrase stands letter by letter, so that its token ids will be found there."""
        wanted, text = phrase.plain.strip(f" {_PART}"), self.plain
        before = phrase.plain.index(wanted) if wanted else 0
        found = []
        for start, end in places:
            first = start - (phrase.units[0].start - before)
            stop = first + len(wanted)
            free = first <= 0 or text[first - 1] in f" {_PART}"
            if free and text[max(first, 0):stop] == wanted and not _goes_on(text, stop):
                found.append((start, end))
        return tuple(found)

    def typed(self, place: Span) -> Span:
        """The UTF-16 range of the typed text that a range of ``letters`` comes from."""
        letters = self.letters[place[0]:place[1]]
        return min(letter[1] for letter in letters), max(letter[2] for letter in letters)


def read_text(text: str, source: str = "prompt") -> PromptText:
    """A text as it reaches the node: cleaned, weights and embeddings taken out.

    Args:
        source: the input that it comes from, for messages.

    Raises:
        LumosXError: what the tokenizer has no answer to: brackets more than ``DEEPEST_WEIGHT`` deep, a weight that is
            infinite, not a number or above ``LARGEST_WEIGHT``, an embedding without a name, or more than ``MOST_MARKS``
            accents on one letter.
    """
    return _read(_typed_letters(text), source)


def read_prompt(text: str, most: int = MOST_COMBINATIONS) -> tuple[list[PromptText], int]:
    """A prompt as typed into the node: the texts that its choices can give, and their number.

    Where there are more than ``most``, so many are made, in which every choice takes its options in turn.

    Raises:
        LumosXError: choices inside choices more than ``DEEPEST_CHOICE`` deep, or as ``read_text``.
    """
    sequence = _parse(_without_comments(_typed_letters(text)))
    number = _count(sequence)
    made = [_settle(sequence, rank, exact=number <= most) for rank in range(min(number, most))]
    return [_read(letters, "prompt") for letters in made], number


def negative_text(text: str) -> str:
    """The negative prompt for a typed text: the release's if there is only white space."""
    return text if clean_text(text) else NEGATIVE_PROMPT


def clean_text(text: str) -> str:
    """A prompt as the release cleans it: HTML entities resolved (twice, since they nest), letters composed, quotes
    straightened, white space collapsed. Only the release's repair of wrongly decoded text is left out.
    """
    plain = unicodedata.normalize("NFC", _unescape(_unescape(text)))
    return " ".join(plain.translate(_STRAIGHT_QUOTES).split())


def tokenizer_text(text: str, source: str) -> str:
    """The cleaned text for ComfyUI's tokenizer, so that it reads the same words in it as ``read_text`` does.

    Raises:
        LumosXError: as ``read_text``.
    """
    read_text(text, source)
    return _EMBEDDING_AND_BRACKET.sub(lambda found: " ".join(filter(None, found.groups())), clean_text(text))


def _unescape(text: str) -> str:
    return html.unescape(_NO_CHARACTER.sub("\ufffd", _LEADING_ZEROS.sub("&#", text)))


def _goes_on(text: str, position: int) -> bool:
    """Whether a letter follows, as in scripts without spaces: a token may reach over the end of a phrase."""
    return position < len(text) and unicodedata.category(text[position])[0] in "LNM"


def _typed_letters(text: str) -> list[Letter]:
    # JSON can spell half a character, which no tokenizer takes.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if not _WIDE.search(whole):
        return list(zip(whole, range(len(whole)), range(1, len(whole) + 1)))
    ends = itertools.accumulate(1 + (ord(character) > 0xFFFF) for character in whole)
    return [(character, end - 1 - (ord(character) > 0xFFFF), end) for character, end in zip(whole, ends)]


def _without_comments(letters: list[Letter]) -> list[Letter]:
    kept, last = [], 0
    for start, end in _comments(_spelling(letters)):
        kept += letters[last:start]
        last = end
    return kept + letters[last:]


def _comments(text: str) -> Iterator[Span]:
    for comment in _COMMENT.finditer(text):
        if not comment["open"]:
            yield comment.span()
            continue
        for line in _LINE_COMMENT.finditer(text, comment.start() + 1):
            yield line.span()


def _spelling(letters: Iterable[Letter]) -> str:
    return "".join([letter[0] for letter in letters])


_Sequence = list["Letter | _Choice"]


@dataclass(frozen=True)
class _Choice:
    """What stands in braces, and how many texts it can become."""

    options: list[_Sequence]
    count: int


def _parse(letters: list[Letter]) -> _Sequence:
    """Letters and choices; an escaped brace is a letter, and a choice that is not closed ends with the text."""
    if not set("\\{") & set(_spelling(letters)):
        return list(letters)
    stack: list[list[_Sequence]] = [[[]]]
    position = 0
    while position < len(letters):
        letter = letters[position]
        position += 1
        if letter[0] == "\\" and position < len(letters):
            follower = letters[position]
            position += 1
            stack[-1][-1] += [follower] if follower[0] in "{}|" else [letter, follower]
        elif letter[0] == "{":
            stack.append([[]])
            if len(stack) > DEEPEST_CHOICE + 1:
                raise LumosXError(
                    f"prompt: choices in braces are more than {DEEPEST_CHOICE} deep; nest fewer of them, or write \\{{."
                )
        elif letter[0] == "|" and len(stack) > 1:
            stack[-1].append([])
        elif letter[0] == "}" and len(stack) > 1:
            _close(stack)
        else:
            stack[-1][-1].append(letter)
    while len(stack) > 1:
        _close(stack)
    return stack[0][0]


def _close(stack: list[list[_Sequence]]) -> None:
    options = stack.pop()
    stack[-1][-1].append(_Choice(options, min(sum(map(_count, options)), _MANY)))


def _count(sequence: _Sequence) -> int:
    number = 1
    for part in sequence:
        if isinstance(part, _Choice):
            number = min(number * part.count, _MANY)
    return number


def _settle(sequence: _Sequence, rank: int, exact: bool) -> list[Letter]:
    """The ``rank``-th of all texts if ``exact``; else every choice takes its own options in turn."""
    letters: list[Letter] = []
    for part in sequence:
        if not isinstance(part, _Choice):
            letters.append(part)
            continue
        own = rank % part.count
        rank = rank // part.count if exact else rank
        for option in part.options:
            number = _count(option)
            if own < number:
                letters += _settle(option, own, exact)
                break
            own -= number
    return letters


def _read(letters: list[Letter], source: str) -> PromptText:
    resolved = _resolved(_resolved(letters))
    _check_marks(_spelling(resolved), source)
    cleaned = _composed(resolved)
    straight = [(_STRAIGHT.get(character, character), start, end) for character, start, end in cleaned]
    return PromptText(tuple(_without_embeddings(_unweighted(_escaped(_collapsed(straight)), source), source)))


def _resolved(letters: list[Letter]) -> list[Letter]:
    """HTML entities resolved once; what they spell was typed where they are."""
    made, last = [], 0
    for entity in _ENTITY.finditer(_spelling(letters)):
        plain = _unescape(entity.group())
        if plain != entity.group():
            start, end = letters[entity.start()][1], letters[entity.end() - 1][2]
            made += letters[last:entity.start()]
            made += [(character, start, end) for character in plain]
            last = entity.end()
    return made + letters[last:]


def _check_marks(text: str, source: str) -> None:
    marks = 0
    for character in "" if text.isascii() else text:
        marks = marks + 1 if _is_mark(character) else 0
        if marks > MOST_MARKS:
            raise LumosXError(f"{source}: one letter has more than {MOST_MARKS} accents; remove them.")


@lru_cache(maxsize=1 << 12)
def _is_mark(character: str) -> bool:
    """Whether it joins the letter before it once text is normalised."""
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) > 0


def _composed(letters: list[Letter]) -> list[Letter]:
    if unicodedata.is_normalized("NFC", _spelling(letters)):
        return letters
    clusters: list[list[Letter]] = []
    for letter in letters:
        joins = unicodedata.category(letter[0])[0] == "M" or ord(letter[0]) in _HANGUL_PARTS
        if joins and clusters:
            clusters[-1].append(letter)
        else:
            clusters.append([letter])
    made = []
    for cluster in clusters:
        typed = _spelling(cluster)
        composed = unicodedata.normalize("NFC", typed)
        start, end = cluster[0][1], cluster[-1][2]
        made += cluster if composed == typed else [(character, start, end) for character in composed]
    return made


def _collapsed(letters: list[Letter]) -> list[Letter]:
    made: list[Letter] = []
    for character, start, end in letters:
        if not character.isspace():
            made.append((character, start, end))
        elif made and made[-1][0] != " ":
            made.append((" ", start, end))
    return made[:-1] if made and made[-1][0] == " " else made


def _escaped(letters: list[Letter]) -> list[Letter]:
    """Brackets that stand for themselves are nothing but the end of a word."""
    if "\\" not in _spelling(letters):
        return letters
    made, position = [], 0
    while position < len(letters):
        character, start, end = letters[position]
        follower = letters[position + 1] if character == "\\" and position + 1 < len(letters) else ("", 0, 0)
        bracket = _BRACKETS.get(follower[0])
        made.append((bracket, start, follower[2]) if bracket else letters[position])
        position += 2 if bracket else 1
    return made


def _unweighted(letters: Sequence[Letter], source: str, deep: int = 0) -> list[Letter]:
    """Without the brackets and numbers of weights, as ComfyUI's tokenizer parts a text; no word reaches over a part."""
    made: list[Letter] = []
    for piece in _pieces(letters):
        if len(piece) >= 2 and piece[0][0] == "(" and piece[-1][0] == ")":
            if deep == DEEPEST_WEIGHT:
                raise LumosXError(
                    f"{source}: brackets are more than {DEEPEST_WEIGHT} deep; nest fewer of them, or write \\(."
                )
            inner = piece[1:-1]
            colon = _spelling(inner).rfind(":")
            if colon > 0 and _is_number(number := _spelling(inner[colon + 1:])):
                if not abs(float(number)) <= LARGEST_WEIGHT:
                    raise LumosXError(
                        f"{source}: {number.strip()} cannot be the weight of words; use a number such as 1.2, or write "
                        "\\( and \\) for plain brackets."
                    )
                inner = inner[:colon]
            piece = _unweighted(inner, source, deep + 1)
        if piece:
            made += [(_PART, piece[0][1], piece[0][1]), *piece]
    return made


def _pieces(letters: Sequence[Letter]) -> list[Sequence[Letter]]:
    """Outermost brackets and what is between them, by ComfyUI's own count, which a stray bracket disturbs."""
    pieces, start, level = [], 0, 0
    if "(" not in _spelling(letters):
        return [letters] if letters else []
    for index, letter in enumerate(letters):
        if letter[0] == "(":
            if level == 0:
                pieces.append(letters[start:index])
                start = index
            level += 1
        elif letter[0] == ")":
            level -= 1
            if level == 0:
                pieces.append(letters[start:index + 1])
                start = index + 1
    return [piece for piece in (*pieces, letters[start:]) if piece]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without_embeddings(letters: list[Letter], source: str) -> list[Letter]:
    """Without the names of textual inversions, but with the commas around a name, which the tokenizer reads as text."""
    kept, last = [], 0
    for embedding in _EMBEDDING.finditer(_spelling(letters)):
        name = embedding.group(1)
        if not name:
            raise LumosXError(
                f"{source}: \"embedding:\" has no name after it; write the name without a space, or remove the word."
            )
        kept += letters[last:embedding.start()]
        # ComfyUI takes commas off both ends and reads as many characters from the end of the name.
        last = embedding.start(1) + len(name.strip(","))
    return kept + letters[last:]
