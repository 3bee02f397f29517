"""The detector and the embedders of identity scores, opened by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import LumosXError
from ...faces.catalogue import AUTOMATIC, DETECTORS, EMBEDDERS, open_detector, open_embedder
from ...faces.face import Detector, Embedder, ModelFolders

if TYPE_CHECKING:
    import torch

NO_SECOND = "none"
SECOND_EMBEDDERS = (NO_SECOND, *(name for name in EMBEDDERS if name != AUTOMATIC))


@dataclass(frozen=True)
class ModelNames:
    """What a user chose, by the names of ``faces.catalogue``; the second embedder may be "none".

    Raises:
        LumosXError: a name that is not known.
    """

    detector: str = DETECTORS[0]
    embedder: str = AUTOMATIC
    second_embedder: str = NO_SECOND

    def __post_init__(self) -> None:
        for name, known in (
            ("detector", DETECTORS), ("embedder", EMBEDDERS), ("second_embedder", SECOND_EMBEDDERS),
        ):
            if getattr(self, name) not in known:
                raise LumosXError(f"{name}: {getattr(self, name)!r} is not known; choose one of {', '.join(known)}.")


@dataclass(frozen=True, eq=False)
class ScoreModels:
    """What finds faces and what tells them apart.

    Attributes:
        detector, embedder: needed for any score.
        second: compares the same faces again; None without.
        notes: what had to be left out, one sentence each.
    """

    detector: Detector
    embedder: Embedder
    second: Embedder | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FacesOnly:
    """What finds faces, where nothing tells them apart.

    Attributes:
        reason: the sentence that says what is missing and what to do.
    """

    detector: Detector
    reason: str


def open_models(
    names: ModelNames, folders: ModelFolders, device: torch.device | str = "cpu"
) -> ScoreModels | FacesOnly:
    """Open them; a second embedder that is missing is left out and named, since the first one's numbers stand without.

    Returns:
        The models; with embedder "automatic", where none can be used, the detector alone.

    Raises:
        LumosXError: a detector, or a first embedder that was asked for by its name, is not there.
    """
    detector = open_detector(names.detector, folders)
    try:
        embedder = open_embedder(names.embedder, folders, device)
    except LumosXError as error:
        if names.embedder != AUTOMATIC:
            raise
        return FacesOnly(detector, str(error))
    if names.second_embedder == NO_SECOND:
        return ScoreModels(detector, embedder)
    try:
        return ScoreModels(detector, embedder, open_embedder(names.second_embedder, folders, device))
    except LumosXError as error:
        return ScoreModels(detector, embedder, notes=(f"The second embedder was left out: {error}",))
