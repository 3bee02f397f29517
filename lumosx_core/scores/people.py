"""The people of a scene as scores need them: what they are called and their face pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..media.pictures import pil_from_tensor
from ..scene.relations import Scene


@dataclass(frozen=True, eq=False)
class Person:
    """A subject.

    Attributes:
        name: how reports call it.
        picture: its face, RGB [H, W, 3] uint8; None for words only.
    """

    name: str
    picture: np.ndarray | None


def people_of(scene: Scene) -> tuple[Person, ...]:
    """The subjects of a scene, in order."""
    return tuple(
        Person(subject.name, None if subject.face is None or subject.face.image is None
               else np.array(pil_from_tensor(subject.face.image)))
        for subject in scene.subjects
    )
