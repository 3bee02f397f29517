"""Locators that run on this machine, from files that the user has; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..faces.face import ModelFolders
from ..scores.attributes.similarity import OwlLocator
from .backends import Place
from .places import MOST_PLACES


class OwlPlaces:
    """OWLv2 (Apache-2.0): boxes for any words; masks are estimated inside them.

    Raises:
        LumosXError: its weights are missing or broken.
    """

    def __init__(self, folders: ModelFolders, device: str = "cpu") -> None:
        self._owl = OwlLocator(folders)
        self._owl.models[0].to(device)
        self.name = self._owl.name

    def locate(self, pixels: np.ndarray, phrases: Sequence[str]) -> list[list[Place]]:
        """As ``Locator`` says."""
        found = self._owl.locate_all(pixels, phrases, MOST_PLACES)
        return [[Place(each.box, each.score) for each in places] for places in found]
