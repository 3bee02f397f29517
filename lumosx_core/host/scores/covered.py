"""Which part of each frame a linked mask, or the heat of LumosX Relation Map, gives to a person or thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ...errors import LumosXError
from ...models.wan.config import WAN21_LATENT
from ...scene.relations import Kind, Scene

MOST_MASKS = 64
_IN_MASK = 0.5
_READ = 0.5
"""Of the most that a reference is read anywhere in the video: what counts as where it is."""

Size = tuple[int, int, int]
"""Frames, height and width of a video."""


@dataclass(frozen=True, eq=False)
class Linked:
    """What is linked besides the video.

    Attributes:
        masks: MASK of what ``phrases`` says: all frames of the first, then of the next; or one frame of each.
        phrases: a phrase of the relations in each line; of two that are the same, the first line is the first one.
        heat: MASK, from LumosX Relation Map.
    """

    masks: torch.Tensor | None = None
    phrases: str = ""
    heat: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Covered:
    """Where one person or thing is.

    Attributes:
        word: number in ``scene.words``.
        phrase: its words.
        subject: whose it is, from 0; None for things that are nobody's.
        is_person: whether it is the person, rather than something worn.
        by: what shows it.
        covered: the part of a frame, [H, W] bool; None in frames where it is not.
    """

    word: int
    phrase: str
    subject: int | None
    is_person: bool
    by: str
    covered: Callable[[int], np.ndarray | None]


def covered_by_masks(linked: Linked, scene: Scene, size: Size) -> list[Covered]:
    """What the masks cover.

    Raises:
        LumosXError: a mask of another size, another number of them than phrases, or a phrase that is not there.
    """
    masks = linked.masks
    if masks is None:
        return []
    lines = [" ".join(line.split()) for line in linked.phrases.splitlines() if line.strip()]
    _check_masks(masks, lines, size)
    masks = masks[None] if masks.ndim == 2 else masks
    frames, count = size[0], len(masks) // len(lines)
    found, used = [], set()
    for number, line in enumerate(lines):
        word = _word_of(scene, line, used)
        used.add(word)
        own = masks[number * count:(number + 1) * count].expand(frames, -1, -1)
        found.append(_covered(scene, word, "mask", lambda frame, own=own: _inside(own[frame])))
    return found


def covered_by_heat(linked: Linked, scene: Scene, size: Size) -> list[Covered]:
    """Where worn things and objects are read; people are left to faces and masks.

    Raises:
        LumosXError: the heat of other relations, or of a video of another length.
    """
    heat = linked.heat
    if heat is None:
        return []
    pictures = [number for number, word in enumerate(scene.words) if word.image is not None]
    latent_frames = WAN21_LATENT.latent_frames(size[0])
    if heat.ndim != 3 or len(heat) != len(pictures) * latent_frames or 0 in heat.shape:
        raise LumosXError(
            f"heat: its shape is {tuple(heat.shape)}, but relations have {len(pictures)} pictures and {size[0]} frames "
            f"are {latent_frames} latent frames, so {len(pictures) * latent_frames} masks are needed; link the heat of "
            "LumosX Relation Map of the same video and relations."
        )
    if not torch.isfinite(heat).all():
        raise LumosXError("heat: it contains values that are not numbers; link the heat of LumosX Relation Map.")
    found = []
    for number, word in enumerate(pictures):
        if scene.words[word].kind in (Kind.ATTRIBUTE, Kind.OBJECT):
            own = heat[number * latent_frames:(number + 1) * latent_frames].float().cpu().numpy()
            spots = [_spot(one) for one in own]
            found.append(_covered(scene, word, "heat", lambda frame, spots=spots: _enlarged(
                spots[min(-(-frame // WAN21_LATENT.frame_stride), len(spots) - 1)], size)))
    return found


def _covered(scene: Scene, word: int, by: str, covered: Callable[[int], np.ndarray | None]) -> Covered:
    reference = scene.words[word]
    owners = [None] * len(scene.non_human) + [number for number, one in enumerate(scene.subjects) for _ in one.words]
    owner = scene.owner_of(reference) if reference.full_body else owners[word]
    is_person = owner is not None and (reference.full_body or reference.kind is Kind.FACE)
    return Covered(word, reference.phrase, owner, is_person, by, covered)


def _check_masks(masks: torch.Tensor, lines: list[str], size: Size) -> None:
    frames, height, width = size
    if not lines or len(lines) > MOST_MASKS:
        raise LumosXError(
            f"mask_phrases: there are {len(lines)}, but masks are linked; type 1 to {MOST_MASKS} phrases of relations, "
            "one in each line, in the order of the masks."
        )
    shape = (1, *masks.shape) if masks.ndim == 2 else tuple(masks.shape)
    if len(shape) != 3 or shape[1:] != (height, width) or shape[0] not in (len(lines), len(lines) * frames):
        raise LumosXError(
            f"masks: their shape is {tuple(masks.shape)}, but {len(lines)} phrases and {frames} frames of {width} x "
            f"{height} pixels need {len(lines)} masks of that size, or {len(lines) * frames}; link them in one batch, "
            "those of one phrase after those of the other."
        )
    if not torch.isfinite(masks).all():
        raise LumosXError("masks: they contain values that are not numbers; check the node that made them.")


def _word_of(scene: Scene, line: str, used: set[int]) -> int:
    """The first word with this phrase that is not used yet; a person's number may stand before it."""
    names = [word.phrase for word in scene.words]
    for number, name in enumerate(names):
        if name.casefold() == line.casefold() and number not in used:
            return number
    first, _, rest = line.partition(" ")
    begin = len(scene.non_human)
    for person, subject in enumerate(scene.subjects):
        for number in range(begin, begin + len(subject.words)):
            if first == str(person + 1) and names[number].casefold() == rest.casefold() and number not in used:
                return number
        begin += len(subject.words)
    free = [name for number, name in enumerate(names) if number not in used]
    raise LumosXError(
        f"mask_phrases: {line[:60]!r} is not a phrase of relations that is left; use one of: {', '.join(free)[:300]}."
    )


def _inside(mask: torch.Tensor) -> np.ndarray | None:
    covered = (mask > _IN_MASK).cpu().numpy()
    return covered if covered.any() else None


def _spot(heat: np.ndarray) -> np.ndarray | None:
    """[rows, columns]: the heat around the hottest place, 0 elsewhere; None where it is read little."""
    if heat.max() < _READ:
        return None
    hot = heat >= _READ
    spot = np.zeros_like(hot)
    spot[np.unravel_index(int(heat.argmax()), heat.shape)] = True
    while True:
        # Grows by one place in each direction, within what is hot.
        wide = np.pad(spot, 1)
        grown = hot & (wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:])
        if (grown == spot).all():
            return spot.astype(np.float32)
        spot = grown


def _enlarged(spot: np.ndarray | None, size: Size) -> np.ndarray | None:
    if spot is None:
        return None
    large = Image.fromarray(spot).resize((size[2], size[1]), Image.Resampling.BICUBIC)
    return np.asarray(large) >= _READ
