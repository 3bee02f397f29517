"""Korean words and the particles that are written onto them: 남자 (man), 남자가 (the man, as a subject)."""

from __future__ import annotations

import os.path
import re

_FIRST, _LAST = 0xAC00, 0xD7A3
_FINALS = 28
"""Final consonants of a syllable, none among them; syllables with the same first letters lie next to each other."""
_RIEUL = 8

_ANYWHERE = "의|에|에서|에게|에게서|께|께서|한테|한테서|도|만|까지|부터|처럼|같이|보다|하고|마다|밖에|조차|마저"
# Some particles have one form after a vowel and another after a consonant.
_AFTER_VOWEL = "가|는|를|와|로|로서|로써|나|랑|며|고|다|인|입니다"
_AFTER_CONSONANT = "이|은|을|과|으로|으로서|으로써|이나|이랑|이며|이고|이다|인|입니다"
# What may follow another particle: 남자에게는, 남자와의.
_SECOND = "는|은|도|만|의"


def _ending(first: str) -> re.Pattern[str]:
    alone, plural = (f"(?:{_ANYWHERE}|{own})(?:{_SECOND})?" for own in (first, _AFTER_CONSONANT))
    # 들 makes a plural, and ends with a consonant.
    return re.compile(f"{alone}|들(?:{plural})?")


_VOWEL, _CONSONANT, _AFTER_RIEUL = map(
    _ending, (_AFTER_VOWEL, _AFTER_CONSONANT, f"{_AFTER_CONSONANT}|로|로서|로써")
)
_LONGEST = 9
"""Syllables of the longest ending."""


def is_korean(word: str) -> bool:
    """Whether a word ends with a Hangul syllable."""
    return bool(word) and _FIRST <= ord(word[-1]) <= _LAST


def has_particle(word: str, stem: str) -> bool:
    """Whether a word is another one, ``stem``, with particles written onto it."""
    if not is_korean(stem) or not word.startswith(stem) or not 0 < len(word) - len(stem) <= _LONGEST:
        return False
    final = (ord(stem[-1]) - _FIRST) % _FINALS
    ending = _AFTER_RIEUL if final == _RIEUL else _CONSONANT if final else _VOWEL
    return ending.fullmatch(word, len(stem)) is not None


def differ_in_particles(one: str, other: str) -> bool:
    """Whether two different words are one Korean word with other particles, or with and without."""
    if one == other or not (is_korean(one) and is_korean(other)):
        return False
    shared = len(os.path.commonprefix((one, other)))
    least = max(0, len(one) - _LONGEST - 1, len(other) - _LONGEST - 1)
    stems = (one[:length] for length in range(shared, least, -1))
    return any(all(word == stem or has_particle(word, stem) for word in (one, other)) for stem in stems)
