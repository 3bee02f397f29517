"""The answers of vision-language models: read as strict JSON, and each phrase held against the prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from pydantic import Field, ValidationError

from ..errors import LumosXError, shown
from ..validation import Strict, first_mistake
from .asking import FIND_PHRASES, LONGEST_PROMPT, NumberedPicture, Question
from .embedded_json import json_objects
from .likeness import is_spelled_alike
from .phrases import Unit, nearest_runs, read_units
from .prompt import PromptText, read_text
from .relations import LONGEST_PHRASE, Reference, Scene

LONGEST_ANSWER = 100_000
"""Letters of an answer that is read."""
_ARTICLES = frozenset({"a", "an", "the", "his", "her", "their", "its", "this", "that"})
_THOUGHT = "</think>"
_LONGEST_SHOWN = 60
_MOST_NAMED = 6


class PictureWords(Strict):
    """What an answer says of one picture."""

    number: int
    words: str
    person: int | None = None
    which: int = Field(default=0, ge=0, le=100)


class PhrasesAnswer(Strict):
    """The answer to ``FIND_PHRASES``."""

    pictures: list[PictureWords] = Field(max_length=100)


class PromptAnswer(Strict):
    """The answer to ``WRITE_PROMPT``."""

    prompt: str = Field(max_length=LONGEST_PROMPT)


@dataclass(frozen=True, eq=False)
class Answered:
    """What an answer gives.

    Attributes:
        scene: with its phrases.
        prompt: that holds every phrase.
        report: which words each picture got, as a list in Markdown.
    """

    scene: Scene
    prompt: str
    report: str


def read_answer(answer: str, question: Question) -> Answered:
    """A scene and a prompt that belong together, from the answer to a question about them.

    Raises:
        LumosXError: no JSON of the asked form, or phrases that are not in the prompt; it names them.
    """
    if question.task == FIND_PHRASES:
        return _with_phrases(_parsed(answer, "pictures", PhrasesAnswer), question)
    return _with_prompt(_parsed(answer, "prompt", PromptAnswer), question)


def repaired(words: str, prompt: str, text: PromptText) -> str | None:
    """The words of a prompt that an answer means: a part of the prompt, letter by letter; None if there is none.

    Case, punctuation, white space and articles may differ, then singular and plural and a few letters, if no other
    words of the prompt could be meant. Words of another meaning are never taken.

    Args:
        prompt: with tidied white space.
        text: the prompt as the encoder reads it.
    """
    words = " ".join(words.split())
    bare = _without_article(words)
    for meant in dict.fromkeys((words, bare)):
        if found := _standing(meant, prompt, text):
            return found
    wanted = [unit.text for unit in _units(bare)]
    alike = [run for run in nearest_runs([text.units], _units(bare)) if _is_alike(run, wanted)]
    return _standing(alike[0], prompt, text) if len(alike) == 1 else None


def _standing(words: str, prompt: str, text: PromptText) -> str | None:
    """Where the words stand in the prompt, as they are spelled there."""
    read = _read(words)
    places = () if read is None else text.places(read, 100)
    spelled = [_typed(prompt, text.typed(place)) for place in places]
    # Weights and brackets between words make a part of the prompt that reads as other words.
    spelled = [each for each in spelled if (again := _read(each)) is not None and text.places(again, 1)]
    if words in prompt and any(words in each for each in spelled):
        return words
    return spelled[0] if spelled else None


def _read(words: str) -> PromptText | None:
    try:
        return read_text(words)
    except LumosXError:
        return None


def _typed(prompt: str, place: tuple[int, int]) -> str:
    """A range of UTF-16 of a prompt."""
    units = prompt.encode("utf-16-le", "surrogatepass")
    return units[2 * place[0]:2 * place[1]].decode("utf-16-le", "replace")


def _units(words: str) -> list[Unit]:
    return read_units((letter, index, index + 1) for index, letter in enumerate(words))


def _without_article(words: str) -> str:
    first, _, rest = words.partition(" ")
    return rest if rest and first.casefold() in _ARTICLES else words


def _is_alike(run: str, wanted: list[str]) -> bool:
    found = [unit.text for unit in _units(run)]
    return len(found) == len(wanted) and all(map(is_spelled_alike, found, wanted))


Form = TypeVar("Form", bound=Strict)


def _parsed(answer: str, key: str, form: type[Form]) -> Form:
    if len(answer) > LONGEST_ANSWER:
        raise LumosXError(
            f"answer: {len(answer)} letters are more than the {LONGEST_ANSWER} that are read; link the answer of the "
            "language model, and lower its length."
        )
    # A model that thinks aloud may write drafts before its answer.
    answer = answer.rpartition(_THOUGHT)[2]
    try:
        objects, reason = json_objects(answer)
    except ValueError as error:
        raise _refused(f"its JSON {error}") from error
    found = [each for each in objects if key in each]
    if not found:
        no_json = f"its JSON {reason}" if reason else f"it has no JSON with \"{key}\""
        raise _refused(f"{no_json}; it begins \"{_short(answer)}\"" if answer.strip() else "it is empty")
    if any(each != found[0] for each in found):
        raise _refused(f"it has {len(found)} different JSON objects with \"{key}\"")
    try:
        return form.model_validate(found[0])
    except ValidationError as error:
        place, what, _ = first_mistake(error)
        raise _refused(f"its JSON is wrong at {place} ({what})") from error


def _with_phrases(answer: PhrasesAnswer, question: Question) -> Answered:
    text, found, problems = read_text(question.prompt), {}, []
    given: dict[int, PictureWords] = {}
    for each in answer.pictures:
        if not 1 <= each.number <= len(question.pictures):
            problems.append(f"there is no picture {str(each.number)[:20]}")
        elif each.number in given and given[each.number] != each:
            problems.append(f"picture {each.number} is there twice")
        else:
            given[each.number] = each
    for picture in question.pictures:
        own = given.get(picture.number)
        phrase, problem = _phrase_of(picture, own, question.prompt, text)
        if problem:
            problems.append(f"picture {picture.number} ({picture.shows}) {problem}")
        elif own is not None:
            found[picture] = (phrase, own.which)
    problems += _shared(found)
    if problems:
        more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
        raise _refused("; ".join(problems[:_MOST_NAMED]) + more)
    lines = [
        _line(picture, phrase, which, given[picture.number].words) for picture, (phrase, which) in found.items()
    ]
    return Answered(_renamed(question.scene, found), question.prompt, "\n".join(lines))


def _phrase_of(
    picture: NumberedPicture, own: PictureWords | None, prompt: str, text: PromptText
) -> tuple[str, str]:
    """The words of the prompt for a picture, or what is wrong with those of the answer."""
    if own is None:
        return "", "is not in it"
    is_body = picture.reference.full_body
    if own.person is not None and own.person != picture.person and not is_body:
        owner = "nobody" if picture.person is None else f"person {picture.person}"
        return "", f"is said to belong to person {str(own.person)[:20]}, but belongs to {owner}"
    if not own.words.strip():
        return "", "got no words"
    quoted = f"\"{_short(own.words)}\""
    phrase = repaired(own.words, prompt, text) if len(own.words) <= LONGEST_PHRASE else None
    if phrase is None or len(phrase) > LONGEST_PHRASE:
        near = nearest_runs([text.units], _units(own.words[:LONGEST_PHRASE]))
        meant = f", where the nearest words are {_listed(near)}" if near else ""
        return "", f"got {quoted}, which is not in the prompt{meant}"
    count = len(text.places(read_text(phrase)))
    if own.which > count:
        return "", f"got place {own.which} of {quoted}, which the prompt has {count} times"
    return phrase, ""


def _shared(found: dict[NumberedPicture, tuple[str, int]]) -> list[str]:
    """Pictures that got the same words; two that show one person may."""
    problems = []
    for (one, (phrase, which)), (other, (words, place)) in combinations(found.items(), 2):
        # Place 0 is every place.
        is_same = phrase.casefold() == words.casefold() and (which == place or not which or not place)
        if is_same and not (one.reference.full_body or other.reference.full_body):
            problems.append(f"pictures {one.number} and {other.number} got the same words \"{_short(phrase)}\"")
    return problems


def _renamed(scene: Scene, found: dict[NumberedPicture, tuple[str, int]]) -> Scene:
    words = {word: given for picture, given in found.items() for word in picture.named}

    def renamed(word: Reference) -> Reference:
        if word not in words:
            return word
        phrase, which = words[word]
        return dataclasses.replace(word, phrase=phrase, occurrence=which)

    return Scene(
        None if scene.background is None else renamed(scene.background),
        tuple(map(renamed, scene.objects)),
        tuple(
            dataclasses.replace(
                subject, face=None if subject.face is None else renamed(subject.face),
                attributes=tuple(map(renamed, subject.attributes)),
            )
            for subject in scene.subjects
        ),
    )


def _with_prompt(answer: PromptAnswer, question: Question) -> Answered:
    prompt = " ".join(answer.prompt.split())
    text = _read(prompt)
    if text is None or not text.units:
        raise _refused("its prompt has no words that the text encoder can read")
    missing, lines = [], []
    for word in dict.fromkeys(question.scene.words):
        read = _read(word.phrase)
        count = 0 if read is None else len(text.places(read))
        if count < max(1, word.occurrence):
            near = nearest_runs([text.units], _units(word.phrase))
            meant = f" (the nearest words in it are {_listed(near)})" if near else ""
            often = f" {word.occurrence} times" if count else ""
            missing.append(f"the {word.kind.value} \"{_short(word.phrase)}\"{often}{meant}")
        lines.append(f"- {word.kind.value} \"{word.phrase}\": {count} times in the prompt")
    if missing:
        more = f", and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        raise _refused(f"its prompt does not hold {', '.join(missing[:_MOST_NAMED])}{more}")
    return Answered(question.scene, prompt, "\n".join(lines))


def _line(picture: NumberedPicture, phrase: str, which: int, words: str) -> str:
    place = f" (occurrence {which})" if which else ""
    told = "" if words == phrase else f", from \"{_short(words)}\""
    return f"- {picture.number}, {picture.shows}: \"{phrase}\"{place}{told}"


def _refused(what: str) -> LumosXError:
    return LumosXError(
        f"answer: {what}; ask again with another seed or a larger model, or correct the answer by hand."
    )


def _listed(runs: Sequence[str]) -> str:
    return ", ".join(f"\"{run}\"" for run in runs)


def _short(text: str) -> str:
    text = shown(" ".join(text[:4 * _LONGEST_SHOWN].split()))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
