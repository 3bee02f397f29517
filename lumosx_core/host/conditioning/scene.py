"""From values of sockets and widgets to references, subjects and scenes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ...errors import LumosXError, shown
from ...media import one_picture
from ...scene.influence import FULL, Influence
from ...scene.relations import Kind, Reference, Scene, Subject
from ...scene.view import scene_view

SUBJECT = "LumosX Subject"
INFLUENCE = ("strength", "start_percent", "end_percent")
"""What the inputs of an ``Influence`` are called, behind the prefix of their picture."""
_log = logging.getLogger("LumosX")


def influence_of(
    node: str, strength: float | None, start: float | None, end: float | None, prefix: str = "", shown: Any = True
) -> Influence:
    """What a user set for a picture; None is an input that is not there.

    Args:
        node: its node, named in messages.
        prefix: of the inputs' names.
        shown: the picture; without one a strength is reported as having no effect.

    Raises:
        LumosXError: steps that end before they begin.
    """
    defaults = (FULL.strength, FULL.start, FULL.end)
    given = zip((strength, start, end), defaults)
    found = Influence(*(default if value is None else value for value, default in given))
    if found.start >= found.end:
        raise LumosXError(
            f"{node} {prefix}start_percent: {found.start:g} is not below {prefix}end_percent, {found.end:g}, so the "
            "picture would never be used; set it lower, or unlink the picture."
        )
    if found.strength != 1 and shown is None:
        log_warnings([
            f"{node} {prefix}strength: {found.strength:g} has no effect, since no picture is linked there; link one, "
            "or set it to 1."
        ])
    return found


def attributes_of(
    values: Mapping[str, Any], slots: Iterable[int], more: tuple[Reference, ...] | None
) -> tuple[Reference, ...]:
    """The attributes of a LumosX Subject: its slots in order, then what is linked to ``more_attributes``.

    Args:
        values: the node's inputs by name, with its other pictures (``face``, ``full_body``).
        slots: the numbers of the attributes.
        more: references to append.

    Raises:
        LumosXError: a picture without a phrase. A phrase without a picture binds its words alone.
    """
    pictures = {name: values.get(name) for name in ("face", *(f"attribute_{slot}" for slot in slots), "full_body")}
    found = []
    for slot in slots:
        name = f"attribute_{slot}"
        image, phrase = values.get(name), values.get(f"{name}_phrase") or ""
        strength, start, end = (values.get(f"{name}_{each}") for each in INFLUENCE)
        own = influence_of(SUBJECT, strength, start, end, f"{name}_", image)
        if image is None and not phrase.strip():
            continue
        _check_meant(name, f"{name}_phrase", phrase, pictures)
        occurrence = values.get(f"{name}_occurrence") or 0
        made = _reference(Kind.ATTRIBUTE, SUBJECT, name, image, f"{name}_phrase", phrase, occurrence)
        found.append(dataclasses.replace(made, influence=own))
    found += [dataclasses.replace(reference, kind=Kind.ATTRIBUTE) for reference in more or ()]
    return tuple(found)


def subject_of(
    phrase: str,
    face: torch.Tensor | None,
    occurrence: int,
    attributes: tuple[Reference, ...],
    full_body: torch.Tensor | None = None,
    person: Influence = FULL,
    own: Influence = FULL,
) -> Subject:
    """One person.

    Args:
        person: for all pictures of the person, beside what each has of its own.
        own: the face's.

    Raises:
        LumosXError: nothing linked, or a face or a full body without a phrase.
    """
    _check_meant("face", "phrase", phrase, {"face": face, "full_body": full_body})
    body = None
    if full_body is not None:
        body = _reference(Kind.OBJECT, SUBJECT, "full_body", full_body, "phrase", phrase, occurrence, True)
        body = dataclasses.replace(body, influence=person)
    attributes = tuple(dataclasses.replace(one, influence=one.influence.within(person)) for one in attributes)
    if face is None and not phrase.strip():
        if not attributes:
            raise LumosXError(
                "face: nothing is linked; link a face image and type its phrase, or link a full body or an attribute."
            )
        return Subject(None, attributes)
    if face is None and body is not None and not attributes:
        return Subject(None, full_body=body)
    named = _reference(Kind.FACE, SUBJECT, "face", face, "phrase", phrase, occurrence)
    return Subject(dataclasses.replace(named, influence=own.within(person)), attributes, body)


def objects_of(
    image: torch.Tensor | None, phrase: str, previous: tuple[Reference, ...] | None, occurrence: int,
    influence: Influence = FULL,
) -> tuple[Reference, ...]:
    """The objects before, then this one; without an image it is words only."""
    own = _reference(Kind.OBJECT, "LumosX Object", "image", image, "phrase", phrase, occurrence)
    return (*(previous or ()), dataclasses.replace(own, influence=influence))


def background_of(
    image: torch.Tensor | None, phrase: str, occurrence: int, influence: Influence = FULL
) -> Reference:
    """The background; without an image it is words only."""
    made = _reference(Kind.BACKGROUND, "LumosX Background", "image", image, "phrase", phrase, occurrence)
    return dataclasses.replace(made, influence=influence)


def join_scene(
    subjects: Iterable[Subject | None],
    objects: Iterable[tuple[Reference, ...] | None],
    background: Reference | None,
    earlier: Scene | None,
) -> tuple[Scene, dict[str, Any]]:
    """A scene and its ``scene_view``; what ``earlier`` holds comes first, full bodies last, and warnings are logged.

    Raises:
        LumosXError: no reference, or two backgrounds.
    """
    if earlier is not None and earlier.background is not None and background is not None:
        raise LumosXError("background: the linked relations already have one; unlink one of the two.")
    things = [reference for chain in objects for reference in chain or ()]
    people = [subject for subject in subjects if subject is not None]
    if earlier is not None:
        background = earlier.background if background is None else background
        things, people = [*earlier.objects, *things], [*earlier.subjects, *people]
    scene = Scene.of_people(background, things, people)
    log_warnings(scene.warnings())
    return scene, scene_view(scene)


def log_warnings(warnings: Iterable[str]) -> None:
    """Into the host's log, where users look first."""
    for warning in warnings:
        _log.warning("LumosX: %s", shown(warning))


def _check_meant(name: str, phrase_input: str, phrase: str, pictures: Mapping[str, torch.Tensor | None]) -> None:
    """Raise when a picture without words is at several inputs, as when a node broadcasts it to all that are free."""
    picture = pictures[name]
    same = [other for other, shown in pictures.items() if shown is not None and shown is picture]
    if phrase.strip() or len(same) < 2:
        return
    names = f"{', '.join(same[:-1])} and {same[-1]}"
    raise LumosXError(
        f"{SUBJECT} {phrase_input}: the phrase is empty, and {names} get the same picture; if a node such as "
        "Anything Everywhere sends it to every free input, limit that node to the inputs that you mean; otherwise "
        "type the words of the prompt that this picture shows."
    )


def _reference(
    kind: Kind,
    node: str,
    image_input: str,
    image: torch.Tensor | None,
    phrase_input: str,
    phrase: str,
    occurrence: int,
    full_body: bool = False,
) -> Reference:
    picture = None if image is None else one_picture(image, f"{node} {image_input}")
    return Reference(kind, phrase, picture, occurrence, f"{node} {phrase_input}", full_body)
