"""Clips in which each person is one subject: the reference picture shows the whole figure with its clothes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from ...media import tensor_from_pil
from ...scene.relations import Kind, Reference, Scene, Subject
from .clip import STRAIGHT, Cast, draw_view, view_of_person
from .figure import SLOTS
from .script import Script, Wear, draw_script

CHANCES_OF_PEOPLE = (0.25, 0.75)
"""The chances of one person and of two."""
CHANCE_OF_MORE = 0.5


def draw_whole_script(random: np.random.Generator, people: int | None = None) -> Script:
    """A script of one or two people in the same kinds of clothes, whose prompt names no colours.

    So only the pictures show what two people look like. Everybody wears something on the body, which is most of the
    figure, and half of the time one more thing.
    """
    count = people or int(random.choice([1, 2], p=CHANCES_OF_PEOPLE))
    script = draw_script(random, count, colour_words=False, drop=False, chance_of_exchange=0.0)
    body, other = ([kind for kind, slot in SLOTS.items() if (slot == "body") is on] for on in (True, False))
    kinds = [str(random.choice(body)), *([str(random.choice(other))] if random.random() < CHANCE_OF_MORE else [])]
    wears = tuple(Wear(kind) for kind in kinds)
    return replace(script, thing="", roles=tuple(replace(role, wears=wears) for role in script.roles))


def draw_people(
    random: np.random.Generator | None, script: Script, cast: Cast, zoom: float = 2
) -> Iterator[Image.Image]:
    """The picture of each person, in the order of the references; views are straight if ``random`` is None."""
    for number in script.subjects:
        view = STRAIGHT if random is None else draw_view(random)
        yield view_of_person(cast.people[number], view, zoom)


def whole_scene_of(script: Script, pictures: Iterable[Image.Image] | None = None) -> Scene:
    """The scene of such a clip: a picture for each person.

    Args:
        pictures: as ``draw_people`` returns them; None means one white pixel each, which is enough to find words.
    """
    drawn = iter(pictures) if pictures is not None else None

    def subject(number: int) -> Subject:
        picture = torch.ones(1, 1, 1, 3) if drawn is None else tensor_from_pil(next(drawn))
        return Subject(Reference(Kind.FACE, script.roles[number].phrase, picture))

    return Scene(None, (), tuple(subject(number) for number in script.subjects))
