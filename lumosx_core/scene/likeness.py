"""How similar two words are, for suggestions: spelling, number, particles, and words for people."""

from __future__ import annotations

import difflib

from .korean import differ_in_particles

STOP_WORDS = frozenset({
    "a", "an", "the", "this", "that", "these", "those", "some", "any", "each", "every", "both", "all", "of", "on", "in",
    "at", "by", "for", "from", "to", "into", "onto", "over", "under", "above", "below", "behind", "beside", "between",
    "near", "with", "without", "and", "or", "but", "nor", "as", "if", "is", "are", "was", "were", "be", "being", "been",
    "am", "do", "does", "did", "has", "have", "had", "having", "it", "its", "he", "his", "him", "she", "her", "hers",
    "they", "them", "their", "we", "us", "our", "you", "your", "i", "my", "me", "who", "whom", "whose", "which", "what",
    "where", "when", "while", "then", "than", "there", "here", "not", "no", "so", "too", "very", "also", "just", "up",
    "down", "out", "off", "through", "across", "along", "around", "toward", "towards", "wearing", "wears", "holding",
    "holds", "carrying", "carries", "standing", "stands", "sitting", "sits", "的", "了", "在", "和", "与", "是", "着",
    "一", "个",
})
"""Words that name nothing, so that a picture cannot stand for them."""

_MEN = frozenset({
    "man", "guy", "gentleman", "gent", "dude", "fellow", "bloke", "chap", "male", "mister", "father", "dad", "husband",
    "grandfather", "grandpa", "granddad", "uncle", "brother", "groom",
})
_WOMEN = frozenset({
    "woman", "lady", "gal", "female", "dame", "madam", "mother", "mom", "mum", "wife", "grandmother", "grandma",
    "granny", "aunt", "sister", "bride",
})
_BOYS, _GIRLS = frozenset({"boy", "lad", "son", "schoolboy"}), frozenset({"girl", "lass", "daughter", "schoolgirl"})
_CHILDREN = frozenset({"child", "kid", "toddler", "teen", "teenager", "youngster", "youth", "baby"})
_ANYBODY = frozenset({"person", "somebody", "someone", "human", "individual", "adult", "character"})
_EVERYBODY = _MEN | _WOMEN | _BOYS | _GIRLS | _CHILDREN | _ANYBODY
# Closest first.
_AKIN = (
    (_MEN, 0.9), (_WOMEN, 0.9), (_BOYS | _CHILDREN, 0.9), (_GIRLS | _CHILDREN, 0.9), (_MEN | _BOYS, 0.8),
    (_WOMEN | _GIRLS, 0.8), (_EVERYBODY, 0.2),
)
_SINGULAR = {
    "men": "man", "women": "woman", "gentlemen": "gentleman", "children": "child", "people": "person", "wives": "wife",
}
# "shirt" and "skirt" are below, "jaket" and "jacket" above.
_SPELLED_ALIKE = 0.82
# A letter more makes another thing of a short word, "cat" and "coat"; long words are nothing that is mistyped.
_SHORTEST_SPELLED, _LONGEST_SPELLED = 5, 40


def likeness(one: str, other: str) -> float:
    """How similar two words are, from 0 to 1; both in lower case.

    People are compared by what they are called, never by spelling: "guy" is close to "man", "man" is not to "woman".
    """
    if one == other:
        return 1.0
    one, other = _singular(one), _singular(other)
    if one == other or differ_in_particles(one, other):
        return 0.95
    if one in _EVERYBODY and other in _EVERYBODY:
        return _kinship(one, other)
    if not is_comparable(one, other):
        return 0.0
    ratio = difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
    return ratio if ratio > _SPELLED_ALIKE else 0.0


def is_spelled_alike(one: str, other: str) -> bool:
    """Whether two words are one in another number, with another particle, or with a few other letters.

    Words for different people are not, however much one means the other.
    """
    one, other = _singular(one), _singular(other)
    return one == other or not {one, other} <= _EVERYBODY and likeness(one, other) > 0


def is_comparable(one: str, other: str) -> bool:
    """Whether two words may be similar in spelling; if not, their letters are not compared."""
    shortest, longest = sorted((len(one), len(other)))
    is_usual = shortest >= _SHORTEST_SPELLED and longest <= _LONGEST_SPELLED
    return is_usual and 2 * shortest > _SPELLED_ALIKE * (shortest + longest) and not STOP_WORDS & {one, other}


def _kinship(one: str, other: str) -> float:
    if one in _ANYBODY or other in _ANYBODY:
        return 0.85
    return next(degree for group, degree in _AKIN if one in group and other in group)


def _singular(word: str) -> str:
    if word in _SINGULAR:
        return _SINGULAR[word]
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
