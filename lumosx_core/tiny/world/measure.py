"""Who wears what in a made clip: each place in it is compared with what everybody's references would look like there.

The drawn world can be drawn again. So a face in a made clip is compared with the very same figure, in the same pose and
clothes, under each person's face; and something worn with the same figure in each person's thing of that place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .cast import DrawnFace
from .clip import Cast, draw_frames
from .figure import SLOTS, DrawnPerson
from .scenery import WIDTH
from .script import Script

FACE, PERSON = "face", "person"


@dataclass(frozen=True)
class PlaceMatch:
    """One place on one person and how far it is from what each person has for it.

    Attributes:
        owner: index of the person whose place it is.
        kind: ``FACE``, what is worn there, or ``PERSON`` for the whole figure.
        distances: mean colour difference (0..255) to each person's; None where a person has nothing for this place.
    """

    owner: int
    kind: str
    distances: tuple[float | None, ...]

    @property
    def nearest(self) -> int:
        """Whose it looks like."""
        known = [(distance, person) for person, distance in enumerate(self.distances) if distance is not None]
        return min(known)[1]

    @property
    def is_own(self) -> bool:
        """Whether it looks most like its owner's."""
        return self.nearest == self.owner


@dataclass(frozen=True)
class Fidelity:
    """How near one thing or place is to its reference.

    Attributes:
        own: mean colour difference (0..255) to what the reference shows.
        other: the same to what another cast has there.
    """

    own: float
    other: float


@dataclass(frozen=True)
class Measured:
    """What was found in one clip.

    Attributes:
        places: faces and worn things whose owner somebody else could have been.
        background, thing: None where nothing shows them.
    """

    places: tuple[PlaceMatch, ...]
    background: Fidelity | None
    thing: Fidelity | None


def measure_clip(
    script: Script, cast: Cast, other: Cast, pictures: np.ndarray, frames: Sequence[int], length: int
) -> Measured:
    """Compare pictures of a made clip with its references.

    Args:
        script, cast: what it should show.
        other: another cast of the same script, for objects and backgrounds.
        pictures: RGB [n, H, W, 3], 0..255, of the clip.
        frames: their numbers in the clip.
        length: its frames.
    """
    made = pictures.astype(np.float32)

    def drawn(cast: Cast) -> np.ndarray:
        return draw_pixels(script, cast, frames, length, made.shape[2])

    truth = drawn(cast)
    return Measured(
        places=tuple(_places(script, cast, made, truth, drawn)),
        background=_fidelity(made, truth, drawn(replace(cast, surroundings=other.surroundings)))
        if script.place_shown else None,
        thing=_fidelity(made, truth, drawn(replace(cast, thing=other.thing)))
        if script.thing and script.thing_shown else None,
    )


def measure_face(
    script: Script, cast: Cast, others: Sequence[DrawnFace], pictures: np.ndarray, frames: Sequence[int], length: int
) -> PlaceMatch:
    """Compare the face of somebody alone in a made clip with their own, which is number 0, and with other faces.

    Args:
        script, cast: what it should show: one person.
        others: faces that it should not show.
        pictures, frames, length: as for ``measure_clip``.
    """
    made = pictures.astype(np.float32)

    def drawn(cast: Cast) -> np.ndarray:
        return draw_pixels(script, cast, frames, length, made.shape[2])

    (person,) = cast.people
    persons = [person, *(replace(person, face=face) for face in others)]
    return _compare(0, FACE, cast, persons, made, drawn(cast), drawn)


def measure_people(
    script: Script, cast: Cast, pictures: np.ndarray, frames: Sequence[int], length: int
) -> tuple[PlaceMatch, ...]:
    """As ``measure_clip`` for whole figures: each is compared with all people in its place and pose."""
    made = pictures.astype(np.float32)

    def drawn(cast: Cast) -> np.ndarray:
        return draw_pixels(script, cast, frames, length, made.shape[2])

    truth = drawn(cast)
    owners = range(len(cast.people))
    return tuple(_compare(owner, PERSON, cast, cast.people, made, truth, drawn) for owner in owners)


def draw_pixels(script: Script, cast: Cast, frames: Sequence[int], length: int, width: int) -> np.ndarray:
    """Some frames of a drawn clip of ``length`` frames, ``width`` pixels wide: RGB [n, H, W, 3], 0..255 float32."""
    drawn = draw_frames(script, cast, length, width / WIDTH, frames)
    return np.stack([np.asarray(picture) for picture in drawn]).astype(np.float32)


def _places(script: Script, cast: Cast, made: np.ndarray, truth: np.ndarray, drawn: Callable[[Cast], np.ndarray]):
    people = cast.people
    if len(people) < 2:
        return
    for owner, (role, person) in enumerate(zip(script.roles, people)):
        faces = [replace(person, face=other.face) for other in people]
        yield _compare(owner, FACE, cast, faces, made, truth, drawn)
        for wear in role.wears:
            if not wear.shown:
                continue
            swapped = [_dressed_like(person, wear.kind, other) for other in people]
            if sum(one is not None for one in swapped) > 1:
                yield _compare(owner, wear.kind, cast, swapped, made, truth, drawn)


def _dressed_like(person: DrawnPerson, kind: str, other: DrawnPerson) -> DrawnPerson | None:
    """The person in what the other wears in the place of ``kind``; None if that is nothing."""
    theirs = next((worn for worn in other.worn if SLOTS[worn] == SLOTS[kind]), None)
    if theirs is None:
        return None
    worn = {(theirs if each == kind else each): (other.worn[theirs] if each == kind else fill)
            for each, fill in person.worn.items()}
    return DrawnPerson(person.face, worn)


def _compare(owner, kind, cast, persons, made, truth, drawn) -> PlaceMatch:
    """Distances in the pixels that differ between any two of the persons."""
    clips = [
        None if person is None else truth if person == cast.people[owner]
        else drawn(replace(cast, people=(*cast.people[:owner], person, *cast.people[owner + 1:])))
        for person in persons
    ]
    seen = differing_pixels([clip for clip in clips if clip is not None])
    return PlaceMatch(owner, kind, tuple(None if clip is None else _distance(made, clip, seen) for clip in clips))


def _fidelity(made: np.ndarray, truth: np.ndarray, other: np.ndarray) -> Fidelity | None:
    seen = differing_pixels([truth, other])
    return Fidelity(_distance(made, truth, seen), _distance(made, other, seen)) if seen.any() else None


def differing_pixels(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Where any two of some clips [n, H, W, 3], 0..255, differ visibly: [n, H, W] bool."""
    stacked = np.stack(clips)
    return (stacked.max(0) - stacked.min(0)).max(-1) > 24


def _distance(made: np.ndarray, clip: np.ndarray, seen: np.ndarray) -> float:
    return float(np.abs(made - clip)[seen].mean()) if seen.any() else 0.0
