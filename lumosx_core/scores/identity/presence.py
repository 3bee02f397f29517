"""How many faces a video shows: what is left of identity scores where nothing tells faces apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import LumosXError
from ...faces.face import Face
from ...faces.preview import draw_faces
from ..people import Person
from ..table import markdown_table
from ..watching import Tick, watched_frames
from .models import FacesOnly

VERSION = 1
"""Of the JSON's form."""


@dataclass(frozen=True, eq=False)
class FacesOfFrame:
    """The faces of one watched frame.

    Attributes:
        index: the frame's number in the video, from 0.
        faces: from left to right.
    """

    index: int
    faces: tuple[Face, ...]


@dataclass(frozen=True, eq=False)
class PresenceScores:
    """Whether each frame shows as many faces as there are people to see; whose they are is not known.

    Attributes:
        names: of the subjects.
        known: the subjects with a face picture, by their number from 0; as many faces are looked for.
        detector: what found the faces.
        every: each n-th frame was watched.
        frames: the watched frames.
        reason: the sentence that says what is missing and what to do.
    """

    names: tuple[str, ...]
    known: tuple[int, ...]
    detector: str
    every: int
    frames: tuple[FacesOfFrame, ...]
    reason: str

    @property
    def complete(self) -> float:
        """The share of frames with as many faces as people."""
        return self._share([len(frame.faces) == len(self.known) for frame in self.frames])

    @property
    def too_few(self) -> float:
        """The share of frames with fewer faces than people."""
        return self._share([len(frame.faces) < len(self.known) for frame in self.frames])

    @property
    def too_many(self) -> float:
        """The share of frames with more faces than people."""
        return self._share([len(frame.faces) > len(self.known) for frame in self.frames])

    def as_json(self) -> dict:
        """Plain values, fit for strict JSON; subjects count from 1, frames from 0."""
        return {
            "version": VERSION,
            "told_apart": False,
            "missing": self.reason,
            "detector": self.detector,
            "frames_watched": len(self.frames),
            "every_nth_frame": self.every,
            "subjects": [{"subject": number + 1, "name": name, "has_picture": number in self.known}
                         for number, name in enumerate(self.names)],
            "faces_wanted": len(self.known),
            "frames_with_all": self.complete,
            "frames_with_too_few": self.too_few,
            "frames_with_too_many": self.too_many,
            "frames": [{
                "frame": frame.index, "faces": len(frame.faces),
                "boxes": [[round(float(side), 1) for side in face.box] for face in frame.faces],
            } for frame in self.frames],
        }

    def report(self) -> str:
        """Markdown: what is missing, and how many faces there are."""
        header = ("Frames", "Faces wanted", "With all", "With too few", "With too many")
        shares = (f"{share:.0%}" for share in (self.complete, self.too_few, self.too_many))
        nth = "every frame" if self.every == 1 else f"one frame in {self.every}"
        return "\n\n".join([
            f"- **Warning:** {self.reason}",
            f"- Faces were only counted, in {nth}, found by {self.detector}. Without an embedder, people are not told "
            "apart, so there is no likeness, order or switch. One face is expected for each subject with a face "
            "picture.",
            markdown_table(header, [(len(self.frames), len(self.known), *shares)]),
        ])

    @staticmethod
    def _share(hits: Sequence[bool]) -> float:
        return sum(hits) / len(hits)


def count_faces(
    frames: Iterable[np.ndarray],
    people: Sequence[Person],
    models: FacesOnly,
    every: int = 1,
    tick: Tick = lambda done, total: None,
) -> PresenceScores:
    """Watch a video once and count its faces.

    Args:
        frames: RGB [H, W, 3] uint8, one after the other; read once.
        every: watch each n-th frame only, from the first.
        tick: called before each watched frame and after the last.

    Raises:
        LumosXError: no subject with a face picture, no frame, or every below 1.
    """
    known = tuple(number for number, person in enumerate(people) if person.picture is not None)
    if not known:
        raise LumosXError(
            "relations: no subject has a face picture, so there is nobody to look for; link a face image to at least "
            "one LumosX Subject."
        )
    seen = [
        FacesOfFrame(index, tuple(sorted(models.detector.detect(pixels), key=lambda face: face.centre[0])))
        for index, pixels in watched_frames(frames, every, tick)
    ]
    names = tuple(person.name for person in people)
    return PresenceScores(names, known, models.detector.name, every, tuple(seen), models.reason)


def number_faces(pixels: np.ndarray, frame: FacesOfFrame) -> np.ndarray:
    """A watched frame, RGB [H, W, 3] uint8, with its faces numbered from the left; the argument is not changed."""
    return draw_faces(pixels, list(enumerate(frame.faces, 1)), range(1, len(frame.faces) + 1))
