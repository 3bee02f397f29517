"""3D positions of text, ``<image>`` and subject tokens in the text-image interaction (paper, equations 3 to 6).

Ids are float32 throughout: bfloat16 counts exactly to 256 only, and a long prompt with several subjects passes that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...errors import LumosXError
from ..rotary import video_ids

IMAGE_GRID = (24, 24)
"""Rows and columns of LLaVA's tokens of one picture."""
Grid = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True)
class TextLayout:
    """How the text stream is made up: text_1, ``<image 1>``, text_2, ``<image 2>`` … and a tail.

    Attributes:
        text: tokens of text_1 … text_n, one number a subject; text_1 starts with the prompt.
        image_grids: the grid of each ``<image k>``; None where the text does not hold it, as in a negative prompt.
        tail: text tokens behind the last picture.
    """

    text: tuple[int, ...]
    image_grids: tuple[Grid | None, ...]
    tail: int = 0

    def __post_init__(self) -> None:
        if len(self.text) != len(self.image_grids):
            raise LumosXError(
                f"layout: {len(self.text)} pieces of text and {len(self.image_grids)} pictures; there must be a piece "
                "of text before each picture."
            )

    @classmethod
    def without_images(cls, tokens: int, subjects: int) -> TextLayout:
        """Of a text that does not mention the subjects, such as a negative prompt."""
        return cls((tokens, *(0 for _ in range(subjects - 1))), (None,) * subjects)

    @property
    def tokens(self) -> int:
        """Tokens of the text stream."""
        return sum(self.text) + self.tail + sum(grid[0] * grid[1] for grid in self.image_grids if grid)


def interaction_ids(
    layout: TextLayout, latent_grids: tuple[Grid, ...], fractional: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (time, row, column) of all tokens of the interaction.

    Each piece of text counts up along time, one step a token. ``<image k>`` and then the subject's own tokens take one
    step of time each, however many tokens they have, and spread over rows and columns around 0.

    Args:
        latent_grids: rows and columns of each subject's own tokens.
        fractional: lay each subject's grid over that of its ``<image k>`` (24x24 where the text has none), which
            gives fractional ids where the sizes differ; else every grid counts its own rows and columns.

    Returns:
        Ids of the text stream [layout.tokens, 3] and of all subjects' tokens [tokens, 3], float32.

    Raises:
        LumosXError: there is not one latent grid for each subject.
    """
    if len(latent_grids) != len(layout.text):
        raise LumosXError(f"layout: {len(latent_grids)} subject pictures, but the text has {len(layout.text)}.")
    text_ids, image_ids, before = [], [], 0
    for length, grid, latent_grid in zip(layout.text, layout.image_grids, latent_grids):
        text_ids.append(_line(before, length))
        if grid is not None:
            text_ids.append(_plane(before + length + 1, grid, grid, False))
        image_ids.append(_plane(before + length + 2, latent_grid, grid or IMAGE_GRID, fractional))
        before += length + 2
    text_ids.append(_line(before, layout.tail))
    return torch.cat(text_ids), torch.cat(image_ids) if image_ids else torch.empty(0, 3)


def injection_ids(video_grid: tuple[int, int, int], latent_grids: tuple[Grid, ...], rope: str) -> tuple:
    """Positions for the rotations of the injection, which the paper does not mention.

    Subjects stand to the right of the video, as references do in HunyuanCustom; with ``full`` the k-th of them (from 1)
    at time -k.

    Args:
        video_grid: frames, rows and columns of the video's tokens.
        rope: ``spatial`` or ``full``.

    Returns:
        Ids of the video [tokens, 3] and of all subjects' tokens [tokens, 3], float32.
    """
    video = video_ids(*video_grid)
    if rope == "spatial":
        video[:, 0] = 0
    subjects = []
    for number, grid in enumerate(latent_grids, start=1):
        ids = video_ids(1, *grid)
        ids[:, 0] = -number if rope == "full" else 0
        ids[:, 2] += video_grid[2]
        subjects.append(ids)
    return video, torch.cat(subjects)


def _line(before: int, length: int) -> torch.Tensor:
    """Text tokens at the times before + 1 … before + length: equation 4."""
    return torch.cat([before + 1 + torch.arange(length, dtype=torch.float32)[:, None], torch.zeros(length, 2)], dim=1)


def _plane(time: int, grid: Grid, over: Grid, fractional: bool) -> torch.Tensor:
    """A picture's tokens, row by row, at one time: equations 5 and 6."""
    ids = video_ids(1, *grid).double()
    ids[:, 0] = time
    for axis, (size, target) in enumerate(zip(grid, over), start=1):
        if fractional:
            ids[:, axis] = (ids[:, axis] + 0.5) * target / size - 0.5 - target // 2
        else:
            ids[:, axis] -= size // 2
    return ids.float()
