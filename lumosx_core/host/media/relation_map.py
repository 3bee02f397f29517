"""What LumosX Relation Map shows of the shares that ``host.sampling.relation_map`` found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...errors import LumosXError
from ...media.drawing import Colour
from ...media.pictures import one_picture
from ...media.relation_pictures import PEOPLE, PLACE, THING, ReadReference, grid, heat_of, overlay
from ...models.wan.config import WAN21_LATENT
from ...scene.relations import Kind, Scene
from .frames import ImageFrames, as_batch, as_picture, as_pixels

_GREY = 60
_LARGEST_PICTURE = 320


@dataclass(frozen=True)
class ShownMap:
    """What the node gives out.

    Attributes:
        overlay: IMAGE, every frame of every video with the colours of what is read in it.
        grid: IMAGE, one picture: a row for each reference of the first video.
        heat: MASK [references * latent frames of the first video, rows, columns], reference by reference.
        report: where each reference is read, as text.
    """

    overlay: torch.Tensor
    grid: torch.Tensor
    heat: torch.Tensor
    report: str


def show_map(shares: torch.Tensor, scene: Scene, images: torch.Tensor | None) -> ShownMap:
    """Draw where references are read.

    Args:
        shares: [batch, references, frames, rows, columns], see ``host.sampling.relation_map.relation_map``.
        scene: whose pictures the references are.
        images: IMAGE of the decoded videos, one after the other; None draws on grey.

    Raises:
        LumosXError: another number of pictures or frames.
    """
    batch, references, frames, rows, columns = shares.shape
    length = WAN21_LATENT.video_frames(frames)
    videos = _videos(images, batch, length, (rows, columns))
    pictures = [
        _small(as_pixels(one_picture(word.image, word.source))) for word in scene.references if word.image is not None
    ]
    read = [_read(one.float().numpy(), scene, pictures) for one in shares]
    stride = WAN21_LATENT.frame_stride
    drawn = (frame for video, one in zip(videos, read) for frame in overlay(video, one, stride))
    heat = torch.from_numpy(np.concatenate([one.heat for one in read[0]]))
    return ShownMap(
        as_batch(drawn, batch * length), as_picture(grid(videos[0], read[0], stride)), heat,
        _report(read[0], shares[0]),
    )


def check_relations(scene: Scene, references: int) -> None:
    """Refuse another scene than the one that was encoded.

    Raises:
        LumosXError: it has another number of pictures.
    """
    if len(scene.references) != references:
        raise LumosXError(
            f"relations: they have {len(scene.references)} pictures, but positive was encoded with {references}; link "
            "the same LumosX Binder to both."
        )


def _videos(images: torch.Tensor | None, batch: int, length: int, grid: tuple[int, int]) -> list:
    """The frames of each video."""
    if images is None:
        side = WAN21_LATENT.pixel_stride * WAN21_LATENT.patch[1]
        grey = np.full((grid[0] * side, grid[1] * side, 3), _GREY, np.uint8)
        return [[grey] * length for _ in range(batch)]
    if len(images) != batch * length:
        raise LumosXError(
            f"images: there are {len(images)} frames, but the latent has {batch} x {length}; link VAE Decode of the "
            "same latent, or nothing."
        )
    return [ImageFrames(images[number * length:(number + 1) * length]) for number in range(batch)]


def board_colours(scene: Scene) -> list[Colour]:
    """The board's colour of each of ``scene.words``: of its person, or of things or places that are nobody's."""
    colours = []
    for word in scene.non_human:
        owner = scene.owner_of(word) if word.full_body else None
        thing = THING if owner is None else person_colour(owner)
        colours.append(PLACE if word.kind is Kind.BACKGROUND else thing)
    for number, subject in enumerate(scene.subjects):
        colours += [person_colour(number)] * len(subject.words)
    return colours


def person_colour(number: int) -> Colour:
    """The board's colour of a person, counted from 0."""
    return PEOPLE[number % len(PEOPLE)]


def _read(shares: np.ndarray, scene: Scene, pictures: list[np.ndarray]) -> list[ReadReference]:
    shown = [(word, colour) for word, colour in zip(scene.words, board_colours(scene)) if word.image is not None]
    return [
        ReadReference(word.phrase, colour, picture, heat_of(one), fills=word.kind is Kind.BACKGROUND)
        for (word, colour), picture, one in zip(shown, pictures, shares)
    ]


def _small(pixels: np.ndarray) -> np.ndarray:
    step = -(-max(pixels.shape[:2]) // _LARGEST_PICTURE)
    return np.ascontiguousarray(pixels[::step, ::step])


def _report(read: list[ReadReference], shares: torch.Tensor) -> str:
    lines = ["| reference | of the video's attention | most in frame | at |", "|---|---|---|---|"]
    for one, share in zip(read, shares):
        if not share.any():
            lines.append(f"| {one.name} | not there at these noise levels | | |")
            continue
        frame, row, column = np.unravel_index(int(share.argmax()), share.shape)
        first = WAN21_LATENT.video_frames(int(frame) + 1)
        across, down = ((place + 0.5) / side for place, side in ((column, share.shape[2]), (row, share.shape[1])))
        lines.append(f"| {one.name} | {share.mean():.1%} | {first} | {across:.0%} across, {down:.0%} down |")
    return "\n".join(lines)
