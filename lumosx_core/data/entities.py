"""Which words of the caption are whose: one question with numbered boxes, checked word by word."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field

from ..media.drawing import BLACK, font_of, label, pixel_box
from ..scene.answering import repaired
from ..scene.prompt import PromptText, read_text
from ..validation import Strict
from .answers import BadAnswer, ask_twice, parsed, schema_of
from .backends import Backends, Message
from .frames import read_frames
from .people import face_from
from .settings import MOST_ATTRIBUTES, Settings
from .work import Result, bounds, read_mask, result_of, stage

LONGEST_WORDS, MOST_OBJECTS = 200, 8
_YELLOW = (255, 214, 0)
_QUESTION = """\
These are {count} frames of one video clip, in order. {people} in boxes with numbers. The caption of the clip is:
{caption}

Find the words of the caption that name what is seen. Rules:
- "people": one entry for every number, 1 to {people_count}. "box" is the number. "words" name this person and nobody \
else, such as "man on the left" where there are two men. "attributes" are clothes, hair or things that this person \
wears, at most {most}, most visible first; nobody else's, and nothing that is not seen.
- "objects": things that nobody wears, at most {most_objects}. "background": the place; null if there is none.
- Copy all words letter by letter from the caption, without "a", "the" or "their". No actions, moods or parts of the \
body.
- "which" is 0 where the words stand in the caption once. Where they stand there several times, it says which place is \
meant: 1 for the first.
Answer with JSON only. An example for another clip, "A girl with a red scarf and a boy with a red scarf feed a goat on \
a meadow.":
{{"people": [{{"box": 1, "words": "boy", "which": 0, "attributes": [{{"words": "red scarf", "which": 2}}]}}, \
{{"box": 2, "words": "girl", "which": 0, "attributes": [{{"words": "red scarf", "which": 1}}]}}], \
"objects": [{{"words": "goat", "which": 0}}], "background": {{"words": "meadow", "which": 0}}}}"""


class Words(Strict):
    """Words of the caption, and which of their places there is meant; 0 is every place."""

    words: str = Field(min_length=1, max_length=LONGEST_WORDS)
    which: int = Field(default=0, ge=0, le=100)


class Person(Strict):
    """What an answer says of one box."""

    box: int
    words: str = Field(min_length=1, max_length=LONGEST_WORDS)
    which: int = Field(default=0, ge=0, le=100)
    attributes: list[Words] = Field(max_length=20)


class EntitiesAnswer(Strict):
    """The answer."""

    people: list[Person] = Field(max_length=20)
    objects: list[Words] = Field(default=[], max_length=50)
    background: Words | None = None


@stage("entities", "caption", ("model",))
def entities(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Ask whose the words are; every string of the result is a part of the caption, letter by letter."""
    said, found = result_of(folder, "caption")["caption"], result_of(folder, "people")["people"]
    boxed = numbered_frames(folder)
    one = len(found) == 1
    text = _QUESTION.format(
        count=len(boxed), people="The person is" if one else "The people are", people_count=len(found), caption=said,
        most=MOST_ATTRIBUTES, most_objects=MOST_OBJECTS,
    )
    return ask_twice(
        backends.model, Message("user", text, boxed), schema_of(EntitiesAnswer),
        lambda answer: checked(parsed(answer, "people", EntitiesAnswer), said, len(found)),
    )


def checked(answer: EntitiesAnswer, caption: str, people: int) -> Result:
    """The answer with its words as the caption spells them.

    Args:
        people: how many boxes there are.

    Raises:
        BadAnswer: with everything that breaks a rule of the question.
    """
    text, faults = read_text(caption), []

    def words(entry: Words | Person, whose: str) -> Result:
        phrase = repaired(entry.words, caption, text)
        if phrase is None:
            faults.append(f"{whose}: \"{entry.words}\" is not in the caption")
            return {"words": entry.words, "which": entry.which}
        count = len(text.places(read_text(phrase)))
        if entry.which > count:
            faults.append(f"{whose}: \"{phrase}\" is in the caption {count} times, but which is {entry.which}")
        return {"words": phrase, "which": entry.which if count > 1 else 0}

    numbers = [person.box for person in answer.people]
    faults += [f"there is no box {number}" for number in numbers if not 1 <= number <= people]
    faults += [f"box {number} is not there exactly once" for number in range(1, people + 1)
               if numbers.count(number) != 1]
    made = []
    for person in sorted(answer.people, key=lambda one: one.box):
        whose = f"box {person.box}"
        if len(person.attributes) > MOST_ATTRIBUTES:
            faults.append(f"{whose} has {len(person.attributes)} attributes, but {MOST_ATTRIBUTES} is the most")
        attributes = [words(each, whose) for each in person.attributes]
        own = [each["words"] for each in attributes]
        faults += [f"{whose} has \"{phrase}\" twice; name it once, with \"which\" 0 if both places are meant"
                   for phrase in dict.fromkeys(own) if own.count(phrase) > 1]
        made.append({"box": person.box, **words(person, whose), "attributes": attributes})
    objects = [words(each, "objects") for each in answer.objects[:MOST_OBJECTS]]
    background = None if answer.background is None else words(answer.background, "background")
    faults += _shared(made, objects, background, text)
    if faults:
        raise BadAnswer(faults)
    return {"people": made, "objects": objects, "background": background}


def _shared(people: list[Result], objects: list[Result], background: Result | None, text: PromptText) -> list[str]:
    """Words that two things have, or one inside the other at the same place."""
    named = [(f"box {person['box']}", one) for person in people for one in (person, *person["attributes"])]
    named += [("objects", one) for one in objects]
    named += [("background", background)] if background is not None else []
    places = [(whose, one["words"], _places(one, text)) for whose, one in named]
    return [
        f"\"{words}\" ({whose}) and \"{other_words}\" ({other}) take the same words of the caption; give each its own, "
        "or say with \"which\" which place is meant"
        for (whose, words, own), (other, other_words, theirs) in combinations(places, 2)
        if any(one[0] < two[1] and two[0] < one[1] for one in own for two in theirs)
    ]


def _places(entry: Result, text: PromptText) -> list[tuple[int, int]]:
    found = list(text.places(read_text(entry["words"])))
    return found[entry["which"] - 1:entry["which"]] if entry["which"] else found


def numbered_frames(folder: Path) -> list[np.ndarray]:
    """The frames with a numbered box around each person, RGB [H, W, 3] uint8."""
    found = result_of(folder, "people")["people"]
    return [_boxed(folder, number, pixels, found) for number, pixels in read_frames(folder).items()]


def _boxed(folder: Path, number: int, pixels: np.ndarray, people: list[Result]) -> np.ndarray:
    picture = Image.fromarray(pixels)
    draw, size = ImageDraw.Draw(picture), max(14, round(max(picture.size) / 24))
    font, line = font_of(size), max(2, size // 8)
    for person, entry in enumerate(people, 1):
        if str(number) not in entry["faces"]:
            continue
        around = bounds(read_mask(folder, entry["masks"][str(number)]))
        box = pixel_box(around or face_from(entry["faces"][str(number)]).box, picture.size)
        draw.rectangle(box, outline=_YELLOW, width=line)
        label(draw, box[:2], str(person), _YELLOW, BLACK, font)
    return np.asarray(picture)
