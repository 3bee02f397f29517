"""Whether people change places, or turn into one another, during a video. Both scores are ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...faces.face import Face
from ..seen import SeenFrame

AS_IT_STARTS = "as the video starts"
AS_LISTED = "as listed"
ORDERS = (AS_IT_STARTS, AS_LISTED)
# A face that moves by more than a face's width between two watched frames is no longer tracked.
_REACH = 1.0
# Two faces about as near to where one was expected: better not to follow than to follow the wrong one.
_CLEARLY = 0.25
# Watched frames for which a lost face is still expected.
_PATIENCE = 3


@dataclass(frozen=True)
class OrderChange:
    """A frame from which on the people stand in another order, left to right."""

    frame: int
    order: tuple[int, ...]


@dataclass(frozen=True)
class Order:
    """The people's places from left to right.

    Attributes:
        declared: the order that frames are compared with; empty when no frame shows two people.
        judged: how many frames show at least two of them.
        swapped: how many of those show them in another order.
        changes: where the order turns into another, and at the first judged frame if it is not the declared one.
    """

    declared: tuple[int, ...]
    judged: int
    swapped: int
    changes: tuple[OrderChange, ...]

    @property
    def rate(self) -> float | None:
        """The share of comparable frames in another order; None if there are none."""
        return self.swapped / self.judged if self.judged else None


@dataclass(frozen=True)
class Switch:
    """A face that was followed and is taken for somebody else from a frame on."""

    frame: int
    before: int
    after: int


@dataclass(frozen=True)
class Switches:
    """Faces that change into somebody else.

    Attributes:
        events: one for each change, in the video's order.
        followed: how many times a face could be followed from one watched frame to another.
    """

    events: tuple[Switch, ...]
    followed: int


def left_to_right(frame: SeenFrame) -> tuple[int, ...]:
    """The subjects that a frame shows, from left to right."""
    shown = [(frame.faces[face].centre[0], subject) for subject, face in enumerate(frame.shown) if face is not None]
    return tuple(subject for _, subject in sorted(shown))


def order_swaps(frames: Sequence[SeenFrame], order: str = AS_IT_STARTS, fps: float = 16.0) -> Order:
    """How often people stand in another order than they should.

    Args:
        order: "as listed" puts subject 1 leftmost, then 2, 3 …; "as the video starts" takes the commonest order in the
            first second that shows as many people as any frame does.
        fps: frames of the video in a second.
    """
    places = [(frame.index, left_to_right(frame)) for frame in frames]
    most = max(len(place) for _, place in places)
    if most < 2:
        return Order((), 0, 0, ())
    declared = tuple(range(len(frames[0].shown))) if order == AS_LISTED else _first_order(places, most, fps)
    judged = swapped = 0
    changes, rank = [], {subject: number for number, subject in enumerate(declared)}
    before = declared
    for index, place in places:
        place = tuple(subject for subject in place if subject in rank)
        if len(place) < 2:
            continue
        judged += 1
        swapped += list(place) != sorted(place, key=rank.__getitem__)
        if place != tuple(subject for subject in before if subject in place):
            changes.append(OrderChange(index, place))
        before = _merged(before, place)
    return Order(declared, judged, swapped, tuple(changes))


def identity_switches(frames: Sequence[SeenFrame]) -> Switches:
    """Faces that turn into somebody else while they are followed, as trackers count ID switches.

    A face is followed to the one nearest to where its motion leads, if that is within a face's width and no other face
    or place is about as near. People who walk past each other are followed on their ways or lost, and do not count.
    """
    tracks: list[_Track] = []
    events, followed = [], 0
    for frame in frames:
        subject_of = {face: subject for subject, face in enumerate(frame.shown) if face is not None}
        distance = _distances(tracks, frame.faces)
        pairs = _clear_pairs(distance)
        followed += len(pairs)
        going_on = [track.missing() for track, row in zip(tracks, distance)
                    if row.min(initial=np.inf) >= _REACH and track.missed < _PATIENCE]
        for number, face in enumerate(frame.faces):
            now = subject_of.get(number)
            if number not in pairs:
                going_on.append(_Track(face, now))
                continue
            before = tracks[pairs[number]]
            if now is not None and before.subject is not None and before.subject != now:
                events.append(Switch(frame.index, before.subject, now))
            going_on.append(before.moved_to(face, now))
        tracks = going_on
    return Switches(tuple(sorted(events, key=lambda event: (event.frame, event.before))), followed)


@dataclass(frozen=True, eq=False)
class _Track:
    """A face that is followed.

    Attributes:
        face: as it was last seen.
        subject: whom it was last taken for.
        motion: pixels to the right and down from one watched frame to the next.
        missed: watched frames since it was seen.
    """

    face: Face
    subject: int | None
    motion: tuple[float, float] = (0.0, 0.0)
    missed: int = 0

    def moved_to(self, face: Face, subject: int | None) -> _Track:
        """Seen again."""
        motion = (np.array(face.centre) - self.face.centre) / (self.missed + 1)
        return _Track(face, self.subject if subject is None else subject, tuple(motion))

    def missing(self) -> _Track:
        """Not seen in one more frame."""
        return replace(self, missed=self.missed + 1)

    def distance(self, face: Face) -> float:
        """From where it should be by now to a face, in widths of a face."""
        expected = np.array(self.face.centre) + (self.missed + 1) * np.array(self.motion)
        return float(np.linalg.norm(expected - face.centre) / ((self.face.width + face.width) / 2))


def _distances(tracks: Sequence[_Track], faces: Sequence[Face]) -> np.ndarray:
    """[tracks, faces], in widths of a face."""
    return np.array([[track.distance(face) for face in faces] for track in tracks]).reshape(len(tracks), len(faces))


def _clear_pairs(distance: np.ndarray) -> dict[int, int]:
    """Which track each face continues, where nothing else comes close."""
    pairs = {}
    for face in range(distance.shape[1] if len(distance) else 0):
        track = int(distance[:, face].argmin())
        own = distance[track, face]
        rivals = np.concatenate([np.delete(distance[:, face], track), np.delete(distance[track], face)])
        if own < _REACH and own + _CLEARLY <= rivals.min(initial=np.inf):
            pairs[face] = track
    return pairs


def _first_order(places: Sequence[tuple[int, tuple[int, ...]]], most: int, fps: float) -> tuple[int, ...]:
    full = [(index, place) for index, place in places if len(place) == most]
    first, people = full[0][0], set(full[0][1])
    return Counter(
        place for index, place in full if index < first + fps and set(place) == people
    ).most_common(1)[0][0]


def _merged(before: tuple[int, ...], place: tuple[int, ...]) -> tuple[int, ...]:
    """The order so far, with the people of a frame put into that frame's order in their places."""
    ordered = iter(place)
    return tuple(next(ordered) if subject in place else subject for subject in before)
