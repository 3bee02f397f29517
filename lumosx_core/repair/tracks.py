"""Faces followed through a video, and whose face each of them is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..faces.face import Face
from ..media.drawing import Box
from ..scores.seen import SeenFrame

LONGEST_GAP = 8
"""Frames in which a face may be missed and still be the same; half a second of Wan2.1's videos."""
_FARTHEST = 0.75
"""Of a face's size: how far it may move from one frame to the next in which it is found."""


@dataclass(eq=False)
class FaceTrack:
    """One face through a video.

    Attributes:
        boxes: where it is, by the number of the frame.
        likenesses: [subjects] of each of these frames; NaN for subjects without a picture.
    """

    boxes: dict[int, Box] = field(default_factory=dict)
    likenesses: list[np.ndarray] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The last frame in which it is found."""
        return max(self.boxes)

    @property
    def likeness(self) -> np.ndarray:
        """[subjects], the mean over its frames."""
        return np.mean(self.likenesses, axis=0)

    def overlaps(self, other: FaceTrack) -> bool:
        """Whether both are seen in one frame."""
        return not self.boxes.keys().isdisjoint(other.boxes)


@dataclass(frozen=True, eq=False)
class Owned:
    """Whose faces the tracks are.

    Attributes:
        boxes: for each subject with a face, where it is, by the number of the frame.
        likeness: for each of them, the mean likeness of the faces.
        notes: sentences about what was left out.
    """

    boxes: Mapping[int, Mapping[int, Box]]
    likeness: Mapping[int, float]
    notes: tuple[str, ...]


def follow_faces(frames: Iterable[SeenFrame]) -> list[FaceTrack]:
    """Join the faces of successive frames, the nearest first.

    Args:
        frames: in order; each face has the likeness of its row.
    """
    tracks: list[FaceTrack] = []
    for frame in frames:
        open_tracks = [track for track in tracks if frame.index - track.last <= LONGEST_GAP + 1]
        pairs = sorted(
            (distance, number, place)
            for number, track in enumerate(open_tracks) for place, face in enumerate(frame.faces)
            if (distance := _distance(track.boxes[track.last], face)) <= _FARTHEST
        )
        joined: dict[int, FaceTrack] = {}
        for _, number, place in pairs:
            if place not in joined and open_tracks[number] not in joined.values():
                joined[place] = open_tracks[number]
        for place, face in enumerate(frame.faces):
            track = joined.get(place)
            if track is None:
                track = FaceTrack()
                tracks.append(track)
            track.boxes[frame.index] = face.box
            track.likenesses.append(frame.similarity[place])
    return tracks


def assign_tracks(tracks: Sequence[FaceTrack], names: Sequence[str], same_person: float) -> Owned:
    """Give each track to the person whom it resembles most; nobody has two faces in one frame.

    Args:
        tracks: from ``follow_faces``.
        names: of the subjects, for the sentences.
        same_person: the likeness from which on two pictures are usually of one person. A damaged face has less; below
            half of it a face is nobody's.
    """
    notes: list[str] = []
    chosen: dict[int, list[FaceTrack]] = {}
    free = list(tracks)
    pairs = [
        (float(likeness), number, person)
        for number, track in enumerate(tracks) for person, likeness in enumerate(track.likeness)
        if not np.isnan(likeness)
    ]
    for likeness, number, person in sorted(pairs, reverse=True):
        track = tracks[number]
        taken = chosen.get(person, [])
        if likeness >= same_person / 2 and track in free and not any(track.overlaps(other) for other in taken):
            chosen.setdefault(person, []).append(track)
            free.remove(track)
    for track in free:
        person, best = _best(track)
        where = frames_text(track.boxes)
        if person is None or best < same_person / 2:
            notes.append(
                f"a face in {where} resembles nobody's reference enough (at most {best:.2f}, {same_person / 2:.2f} is "
                "needed) and is left as it is; link a mask of it and choose its person."
            )
        elif best >= same_person and chosen.pop(person, None):
            notes.append(
                f"{names[person]}: two faces resemble this person in {where}, so nothing is changed; link a mask of "
                "the one that is meant."
            )
        else:
            notes.append(f"a second face in {where} resembles {names[person]} less and is left as it is.")
    return Owned(
        {person: {frame: box for track in own for frame, box in track.boxes.items()} for person, own in chosen.items()},
        {person: float(np.mean([one[person] for track in own for one in track.likenesses]))
         for person, own in chosen.items()},
        tuple(notes),
    )


def frames_text(frames: Iterable[int]) -> str:
    """Frames, counted from 0 as ComfyUI does, as words: "frame 3" or "frames 3 to 9"."""
    numbers = sorted(frames)
    first, last = numbers[0], numbers[-1]
    return f"frame {first}" if first == last else f"frames {first} to {last}"


def _best(track: FaceTrack) -> tuple[int | None, float]:
    known = np.nan_to_num(track.likeness, nan=-np.inf)
    person = int(known.argmax()) if known.size else None
    return (None, -1.0) if person is None or not np.isfinite(known[person]) else (person, float(known[person]))


def _distance(box: Box, face: Face) -> float:
    """Between the middles, in the size of the larger one; infinite where their sizes are too different."""
    x, y = face.centre
    size = max(box[2] - box[0], box[3] - box[1], face.width, face.height)
    smaller = min(max(box[2] - box[0], box[3] - box[1]), max(face.width, face.height))
    if size <= 0 or smaller < size / 2:
        return float("inf")
    return float(np.hypot(x - (box[0] + box[2]) / 2, y - (box[1] + box[3]) / 2)) / size
