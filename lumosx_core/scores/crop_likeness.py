"""How similar the crops of a clip are, by networks that compare things or faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import LumosXError
from ..faces.catalogue import AUTOMATIC, open_embedder
from ..faces.face import ModelFolders
from ..models.polyvivid.cliques import TAU
from .attributes.colour import ColourLikeness
from .attributes.regions import squared
from .attributes.similarity import ClipLikeness

CLIP, FACES, COLOURS = "CLIP", "faces", "colours"
MEASURES = (CLIP, FACES, COLOURS)
COLOUR_TAU = 0.1
"""Of the drawn world's people."""

OnDevice = Callable[[torch.nn.Module], AbstractContextManager[None]]


def _in_place(model: torch.nn.Module) -> AbstractContextManager[None]:
    """The ``OnDevice`` that leaves a model where it is."""
    return nullcontext()


@dataclass(frozen=True, eq=False)
class CropLikeness:
    """All crops compared with each other.

    Attributes:
        similarity: [crops, crops].
        tau: 1 - similarity below which two crops usually show the same.
        measured_by: for reports.
    """

    similarity: np.ndarray
    tau: float
    measured_by: str


def crop_likeness(
    crops: Sequence[np.ndarray], by: str, folders: ModelFolders, on_device: OnDevice = _in_place
) -> CropLikeness:
    """Compare crops.

    Args:
        crops: RGB [H, W, 3] uint8.
        by: one of MEASURES; ``faces`` takes crops of faces.
        folders: where weights are looked for.
        on_device: keeps a network on a device while it works; default: the CPU.

    Raises:
        LumosXError: an unknown measure, or its weights are missing.
    """
    if by == FACES:
        embedder = open_embedder(AUTOMATIC, folders)
        vectors = embedder.embed_crops(crops)
        return CropLikeness(embedder.similarity(vectors, vectors), 1 - embedder.same_person, embedder.name)
    if by == COLOURS:
        vectors = ColourLikeness().of_crops(crops)
        return CropLikeness(vectors @ vectors.T, COLOUR_TAU, "colours (a stand-in that needs no weights)")
    if by != CLIP:
        raise LumosXError(f"by: {by!r} is not known; choose one of {', '.join(MEASURES)}.")
    clip = ClipLikeness(folders)
    with on_device(clip.models[0]):
        vectors = clip.of_crops([squared(crop) for crop in crops])
    return CropLikeness(vectors @ vectors.T, TAU, "CLIP ViT-L/14")
