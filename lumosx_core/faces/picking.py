"""Which face is which: numbered in an order, and picked by number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import LumosXError
from .face import Embedder, Face
from .quality import Quality

LEFT_TO_RIGHT, LARGEST_FIRST, LIKENESS = "left to right", "largest first", "likeness"
ORDERS = (LEFT_TO_RIGHT, LARGEST_FIRST, LIKENESS)

_NUMBERS = re.compile(r"\s*[0-9]{1,6}\s*(,\s*[0-9]{1,6}\s*)*")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A face that can be picked.

    Attributes:
        photo: the number of the picture that shows it, from 0.
        face: where it is.
        quality: how good it is.
        likeness: to the person looked for, in the embedder's own measure; None when nobody is.
    """

    photo: int
    face: Face
    quality: Quality
    likeness: float | None = None


def read_pick(pick: str) -> tuple[int, ...]:
    """The numbers in e.g. "2" or "2, 1"; none for an empty text, which stands for all.

    Raises:
        LumosXError: anything else than numbers from 1 with commas between them, or one twice.
    """
    if not pick.strip():
        return ()
    if not _NUMBERS.fullmatch(pick):
        raise LumosXError(
            f"pick: {pick[:40]!r} is not a list of numbers; write, for example, 2 or 2, 1, or leave it empty for all "
            "faces."
        )
    numbers = tuple(int(number) for number in pick.split(","))
    if 0 in numbers:
        raise LumosXError("pick: there is no face 0; faces are numbered from 1, as the preview shows.")
    twice = [number for number in numbers if numbers.count(number) > 1]
    if twice:
        raise LumosXError(f"pick: {twice[0]} is listed twice; list each face once.")
    return numbers


def check_order(order: str) -> None:
    """Raises LumosXError for an order that is not known."""
    if order not in ORDERS:
        raise LumosXError(f"order: {order!r} is not known; choose one of {', '.join(ORDERS)}.")


def choose(numbers: Sequence[int], found: int) -> tuple[int, ...]:
    """The numbers to take of the faces 1 to ``found``: all when none is named.

    Raises:
        LumosXError: a number that no face has.
    """
    beyond = [number for number in numbers if number > found]
    if beyond:
        faces = "is only 1 face" if found == 1 else f"are only {found} faces"
        raise LumosXError(f"pick: there is no face {beyond[0]}, as there {faces}; use numbers up to {found}.")
    return tuple(numbers) or tuple(range(1, found + 1))


def ordered(candidates: Sequence[Candidate], order: str) -> list[Candidate]:
    """The faces in the order of their numbers: photo after photo, and in each by ``order``; ties keep their order.

    Raises:
        LumosXError: an order that is not known.
    """
    check_order(order)
    keys = {
        LEFT_TO_RIGHT: lambda one: one.face.centre[0],
        LARGEST_FIRST: lambda one: -one.face.width * one.face.height,
        LIKENESS: lambda one: -one.likeness,
    }
    return sorted(candidates, key=lambda one: (one.photo, keys[order](one)))


def largest(faces: Sequence[Face]) -> Face:
    """The face of the largest box; there must be one."""
    return max(faces, key=lambda face: face.width * face.height)


def likeness_to(
    embedder: Embedder, wanted: np.ndarray, pixels: np.ndarray, faces: Sequence[Face]
) -> list[float]:
    """How similar each face of a picture is to the wanted person, in the embedder's measure.

    Args:
        wanted: [1, d], the wanted face's vector.
        pixels: RGB [H, W, 3] uint8.
    """
    if not faces:
        return []
    return embedder.similarity(embedder.embed_faces(pixels, faces), wanted)[:, 0].tolist()
