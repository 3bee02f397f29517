"""Watch a video: find its faces, compare each with each subject's picture, and take every face for one person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import length_hint

import numpy as np

from ..errors import LumosXError
from ..faces.crop import Margins, crop_box
from ..faces.face import Detector, Embedder, Face
from ..faces.picking import largest
from ..packages import scipy
from .seen import SeenFrame

Tick = Callable[[int, int], None]
"""Called with the frames done and their whole number, which is 0 while it is not known."""

RECOMMENDED = "recommended"
RELEASE_MODE = "release"
MODES = (RECOMMENDED, RELEASE_MODE)
# The release's boxes are enlarged upwards and downwards only.
_RELEASE_MARGINS = Margins(sides=0.0)


@dataclass(frozen=True, eq=False)
class Likeness:
    """One embedder's vectors of the subjects.

    Attributes:
        embedder: what tells faces apart.
        mode: "recommended" aligns faces by their landmarks; "release" takes enlarged boxes and pictures whole.
        subjects: how many there are.
        known: the subjects that have a picture, by their number from 0.
        references: [known, d] float32, what their pictures give.
    """

    embedder: Embedder
    mode: str
    subjects: int
    known: tuple[int, ...]
    references: np.ndarray

    @classmethod
    def of(
        cls, pictures: Sequence[np.ndarray | None], detector: Detector, embedder: Embedder, mode: str = RECOMMENDED
    ) -> Likeness:
        """Look at the subjects' pictures, RGB [H, W, 3] uint8; None for a subject of words only.

        Raises:
            LumosXError: no picture at all, an unknown mode, or (recommended) a picture in which no face is found.
        """
        if mode not in MODES:
            raise LumosXError(f"mode: {mode!r} is not known; choose one of {', '.join(MODES)}.")
        known = {number: picture for number, picture in enumerate(pictures) if picture is not None}
        if not known:
            raise LumosXError(
                "relations: no subject has a face picture, so there is nothing to compare faces with; link a face "
                "image to at least one LumosX Subject."
            )
        if mode == RELEASE_MODE:
            references = embedder.embed_crops(list(known.values()))
        else:
            references = np.concatenate([
                embedder.embed_faces(picture, [_main_face(picture, number, detector)])
                for number, picture in known.items()
            ])
        return cls(embedder, mode, len(pictures), tuple(known), references)

    def vectors(self, pixels: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
        """[faces, d] float32 of faces in a frame."""
        if not faces:
            return np.zeros((0, self.references.shape[1]), np.float32)
        if self.mode == RELEASE_MODE:
            height, width = pixels.shape[:2]
            boxes = [crop_box(face, _RELEASE_MARGINS, width, height) for face in faces]
            return self.embedder.embed_crops([pixels[top:bottom, left:right] for left, top, right, bottom in boxes])
        return self.embedder.embed_faces(pixels, faces)

    def similarity(self, vectors: np.ndarray) -> np.ndarray:
        """[faces, subjects] float32 of what ``vectors`` gave; NaN for subjects without a picture."""
        found = np.full((len(vectors), self.subjects), np.nan, np.float32)
        if len(vectors):
            found[:, list(self.known)] = self.embedder.similarity(vectors, self.references)
        return found

    def between_references(self) -> np.ndarray:
        """[subjects, subjects] float32: how similar the subjects' own pictures are; NaN without a picture."""
        found = np.full((self.subjects, self.subjects), np.nan, np.float32)
        found[np.ix_(self.known, self.known)] = self.embedder.similarity(self.references, self.references)
        return found


def watch(
    frames: Iterable[np.ndarray],
    references: Sequence[np.ndarray | None],
    detector: Detector,
    embedder: Embedder,
    mode: str = RECOMMENDED,
    tick: Tick = lambda done, total: None,
    every: int = 1,
) -> list[SeenFrame]:
    """Who is where in a video.

    Args:
        frames: RGB [H, W, 3] uint8, one after the other.
        references: a face picture of each subject, RGB [H, W, 3] uint8; None for a subject of words only, for whom no
            face is ever taken.
        detector, embedder: what finds faces and what tells them apart.
        mode: see ``Likeness``.
        tick: called before each watched frame and after the last.
        every: watch each n-th frame only, from the first.

    Raises:
        LumosXError: no frame, every below 1, or as ``Likeness.of``.
    """
    return watch_for(frames, Likeness.of(references, detector, embedder, mode), detector, tick=tick, every=every)


def watch_for(
    frames: Iterable[np.ndarray],
    likeness: Likeness,
    detector: Detector,
    second: Likeness | None = None,
    tick: Tick = lambda done, total: None,
    every: int = 1,
) -> list[SeenFrame]:
    """As ``watch``, for subjects that were looked at before.

    Args:
        second: another embedder that compares the same faces; ``likeness`` alone assigns them to subjects.

    Raises:
        LumosXError: no frame, or every below 1.
    """
    return [
        _look(index, pixels, likeness, detector, second) for index, pixels in watched_frames(frames, every, tick)
    ]


def watched_frames(
    frames: Iterable[np.ndarray], every: int, tick: Tick = lambda done, total: None
) -> Iterator[tuple[int, np.ndarray]]:
    """Each n-th of some frames, from the first, with its number in the video.

    Args:
        tick: called before each watched frame and after the last.

    Raises:
        LumosXError: no frame, or every below 1.
    """
    check_every(every)
    done, total = 0, -(-length_hint(frames) // every)
    for index, pixels in enumerate(frames):
        if index % every == 0:
            tick(done, total)
            yield index, pixels
            done += 1
    if not done:
        raise LumosXError("images: the video has no frames; link at least one.")
    tick(done, done)


def check_every(every: int) -> None:
    """Raises a LumosXError for a number below 1."""
    if every < 1:
        raise LumosXError(f"every_nth_frame: {every} is below 1; use 1 for every frame.")


def assign(similarity: np.ndarray) -> tuple[int | None, ...]:
    """For each subject the number of its face, or None: the one-to-one choice with the largest sum of likeness.

    As many pairs as there can be, whatever their likeness, as the release does.

    Args:
        similarity: [faces, subjects]; a column of NaN is a subject without a picture, who gets no face.
    """
    known = np.flatnonzero(~np.isnan(similarity).any(axis=0))
    chosen: list[int | None] = [None] * similarity.shape[1]
    for face, column in zip(*scipy().optimize.linear_sum_assignment(1 - similarity[:, known].astype(np.float64))):
        chosen[known[column]] = int(face)
    return tuple(chosen)


def _look(
    index: int, pixels: np.ndarray, likeness: Likeness, detector: Detector, second: Likeness | None
) -> SeenFrame:
    faces = tuple(detector.detect(pixels))
    vectors = likeness.vectors(pixels, faces)
    similarity = likeness.similarity(vectors)
    other = None if second is None else second.similarity(second.vectors(pixels, faces))
    return SeenFrame(index, faces, similarity, assign(similarity), vectors, other)


def _main_face(picture: np.ndarray, subject: int, detector: Detector) -> Face:
    """The largest face of a subject's picture."""
    faces = detector.detect(picture)
    if not faces:
        raise LumosXError(
            f"relations: no face is found in the picture of subject {subject + 1}; use a picture of a face with hair "
            f"and ears, or use LumosX Identity Score, whose mode {RELEASE_MODE} uses the whole picture."
        )
    return largest(faces)
