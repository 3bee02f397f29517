"""Case folders to people and back; phrases, pictures, occurrences and full bodies stay exactly the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..cases import load_case, write_case_folder
from ..errors import LumosXError
from ..scene.relations import Scene
from .person import Person, people_of
from .reading import load_person
from .writing import write_person_folder


def people_from_case(case: Path, into: Path, name: str = "") -> list[Path]:
    """Keep each person of a case folder as a folder of their own.

    Objects that are not full bodies, and the background, belong to nobody and are left out.

    Args:
        into: the folder to make them in; nobody who is there is replaced.
        name: what they are called, with a number (park_1, park_2); the case's name when empty.

    Returns:
        Their folders in order.

    Raises:
        LumosXError: a case that cannot be read or has no people, or a folder that cannot be written.
    """
    read = load_case(case, full_bodies=True)
    people = people_of(read.scene)
    if not people:
        raise LumosXError(f"case: {case.name} has no people; choose another case.")
    stem = name or case.name
    targets = [into / (stem if len(people) == 1 else f"{stem}_{number}") for number in range(1, len(people) + 1)]
    return [write_person_folder(Person(one), target) for one, target in zip(people, targets)]


def case_from_people(people: Sequence[Path], prompt: str, name: str, target: Path) -> Path:
    """Make a case folder of people; their views and notes have no place in it.

    Args:
        people: folders or zip files, in order.
        prompt: of the case; it should contain every phrase.
        target: the folder to make; it gets a number, as for ``write_case_folder``.

    Returns:
        The new folder.

    Raises:
        LumosXError: somebody who cannot be read, or what ``write_case_folder`` refuses.
    """
    subjects = [load_person(path)[0].subject for path in people]
    return write_case_folder(Scene.of_people(None, (), subjects), prompt, name, target)
