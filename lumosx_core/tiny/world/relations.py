"""A script's references as the relations that the nodes work on."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from PIL import Image

from ...media import to_image
from ...relations import Kind, Reference, Scene, Subject
from .clip import shown
from .script import Script


def scene_of(script: Script, pictures: Iterable[Image.Image] | None = None) -> Scene:
    """The scene of a clip.

    Args:
        pictures: as ``draw_references`` gives them; without them every picture is one white pixel, which is enough to
            find words.
    """
    given = iter(pictures) if pictures is not None else None

    def reference(kind: Kind, phrase: str) -> Reference:
        return Reference(kind, phrase, torch.ones(1, 1, 1, 3) if given is None else to_image(next(given)))

    background = reference(Kind.BACKGROUND, script.place_phrase) if script.place_shown else None
    things = (reference(Kind.OBJECT, script.thing_phrase),) if script.thing and script.thing_shown else ()
    subjects = tuple(
        Subject(
            reference(Kind.FACE, role.phrase),
            tuple(reference(Kind.ATTRIBUTE, wear.phrase) for wear in shown(role.wears)),
        )
        for role in script.roles
    )
    return Scene(background, things, subjects)
