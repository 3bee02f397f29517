"""A script's references as the relations that the nodes work on."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from PIL import Image

from ...media import tensor_from_pil
from ...scene.relations import Kind, Reference, Scene, Subject
from .clip import visible_wear
from .script import Script


def scene_of(script: Script, pictures: Iterable[Image.Image] | None = None) -> Scene:
    """The scene of a clip.

    What two people wear under the same words is bound to the place in the prompt where it is theirs; words that are
    bound to both would pull neither.

    Args:
        pictures: as ``draw_references`` gives them; without them every picture is one white pixel, which is enough to
            find words.
    """
    remaining = iter(pictures) if pictures is not None else None

    def reference(kind: Kind, phrase: str, occurrence: int = 0) -> Reference:
        picture = torch.ones(1, 1, 1, 3) if remaining is None else tensor_from_pil(next(remaining))
        return Reference(kind, phrase, picture, occurrence=occurrence)

    def subject(number: int) -> Subject:
        role = script.roles[number]
        face = reference(Kind.FACE, role.phrase)
        return Subject(face, tuple(
            reference(Kind.ATTRIBUTE, wear.phrase, _occurrence(script, number, wear.phrase))
            for wear in visible_wear(role.wears)
        ))

    background = reference(Kind.BACKGROUND, script.place_phrase) if script.place_shown else None
    things = (reference(Kind.OBJECT, script.thing_phrase),) if script.thing and script.thing_shown else ()
    return Scene(background, things, tuple(subject(number) for number in script.subjects))


def _occurrence(script: Script, number: int, phrase: str) -> int:
    """Which place of a phrase in the prompt is that of role ``number``; 0 if there is only one place."""
    wearers = [other for other, role in enumerate(script.roles) if phrase in [wear.phrase for wear in role.wears]]
    return wearers.index(number) + 1 if len(wearers) > 1 else 0
