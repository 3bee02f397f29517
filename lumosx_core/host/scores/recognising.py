"""The pictures by which the people of a scene can be recognised."""

from __future__ import annotations

from collections.abc import Sequence

import comfy.model_management
import numpy as np

from ...faces.face import Detector
from ...scores.people import Person


def recognisable(people: Sequence[Person], detector: Detector) -> tuple[list[np.ndarray | None], list[str]]:
    """The pictures in which a face is found, and a sentence for each other one."""
    pictures: list[np.ndarray | None] = []
    notes = []
    for person in people:
        comfy.model_management.throw_exception_if_processing_interrupted()
        shows = person.picture is not None and bool(detector.detect(person.picture))
        pictures.append(person.picture if shows else None)
        if person.picture is not None and not shows:
            notes.append(f"{person.name}: no face is found in the reference, so this person cannot be recognised; link "
                         "another picture, or a mask.")
    return pictures, notes
