"""What the stages need of models, as small protocols; every one of them can be replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import LumosXError
from ..faces.face import Detector

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels; right and bottom are outside."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where something was found in a picture.

    Attributes:
        box: inside the picture, never empty.
        score: how sure the locator is, in [0, 1].
        mask: [H, W] bool of the whole picture; None where the locator gives boxes only.
    """

    box: PixelBox
    score: float
    mask: np.ndarray | None = None


class Locator(Protocol):
    """Finds things by their words.

    Attributes:
        name: for the settings of a stage and for reports, with the model it comes from.
    """

    name: str

    def locate(self, pixels: np.ndarray, phrases: Sequence[str]) -> list[list[Place]]:
        """For each phrase every place in an RGB picture [H, W, 3] uint8, surest first."""


@dataclass(frozen=True, eq=False)
class Message:
    """One message of a talk with a language model.

    Attributes:
        role: "user" or "assistant".
        text: what is said.
        pictures: RGB [H, W, 3] uint8, shown with it.
    """

    role: str
    text: str
    pictures: Sequence[np.ndarray] = ()


class LanguageModel(Protocol):
    """Answers questions about pictures.

    Attributes:
        name: for the settings of a stage and for reports.
    """

    name: str

    def ask(self, messages: Sequence[Message], schema: dict[str, Any]) -> str:
        """The answer, which should be JSON of a schema.

        Raises:
            ModelFailed: there is no answer.
        """


class ModelFailed(LumosXError):
    """A language model gave no answer; another try may get one.

    Attributes:
        away: whether nothing could be reached, so that the next question would wait in vain too.
    """

    def __init__(self, message: str, away: bool = False) -> None:
        super().__init__(message)
        self.away = away


class ShotFinder(Protocol):
    """Finds the cuts of a video.

    Attributes:
        name: for the settings of a stage.
    """

    name: str

    def cuts(self, video: Path) -> tuple[list[float], float]:
        """The seconds at which a new shot begins, without the start, in order; and those of the last frame.

        Raises:
            LumosXError: the video cannot be read.
        """


@dataclass(frozen=True, eq=False)
class Backends:
    """All models of a run."""

    shots: ShotFinder
    faces: Detector
    model: LanguageModel
    locator: Locator
