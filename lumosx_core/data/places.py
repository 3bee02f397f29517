"""Where in the frames the things of the caption are, as boxes and masks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import LumosXError
from ..media.cutouts import Box, estimated_mask
from ..media.pictures import tensor_from_pil
from .backends import Backends, Place
from .frames import read_frames
from .settings import Settings
from .work import Result, result_of, stage, write_mask

MOST_PLACES = 6
"""Of one phrase in one frame, the surest."""


@stage("places", "entities", ("locator", "least_score", "rival"))
def places(folder: Path, backends: Backends, settings: Settings) -> Result:
    """Look for every attribute and object in every frame: ``masks/thing_N_frame_M_K.png``.

    Where the locator gives a box only, the mask is estimated inside it.
    """
    said = result_of(folder, "entities")
    things = [*(each for person in said["people"] for each in person["attributes"]), *said["objects"]]
    named = Counter(each["words"] for each in things)
    phrases = list(named)
    found: dict[str, dict[str, list[Result]]] = {phrase: {} for phrase in phrases}
    for number, pixels in read_frames(folder).items() if phrases else ():
        for index, (phrase, located) in enumerate(zip(phrases, backends.locator.locate(pixels, phrases)), 1):
            kept = [(place, mask) for place in _kept(located, named[phrase], settings)
                    if (mask := mask_of(pixels, place)).any()]
            found[phrase][str(number)] = [
                {"box": list(map(int, place.box)), "score": float(place.score),
                 "mask": write_mask(folder, f"masks/thing_{index}_frame_{number}_{rank}.png", mask)}
                for rank, (place, mask) in enumerate(kept, 1)
            ]
    files = [place["mask"] for frames in found.values() for each in frames.values() for place in each]
    return {"phrases": found, "files": files}


def _kept(located: list[Place], named: int, settings: Settings) -> list[Place]:
    """The places that are sure enough: one for each thing of these words, and others nearly as sure as the surest."""
    sure = [place for place in located if place.score >= settings.least_score]
    best = max((place.score for place in sure), default=0.0)
    return [place for rank, place in enumerate(sure) if rank < named or place.score >= settings.rival * best][
        :MOST_PLACES]


def mask_of(pixels: np.ndarray, place: Place) -> np.ndarray:
    """The mask [H, W] bool of a place: the locator's, else GrabCut's inside its box, else the whole box."""
    if place.mask is not None:
        return place.mask
    left, top, right, bottom = place.box
    box = Box(left, top, right - left, bottom - top)
    mask = np.zeros(pixels.shape[:2], bool)
    try:
        mask = estimated_mask(tensor_from_pil(Image.fromarray(pixels)), box)[0].numpy() > 0.5
    except LumosXError:
        # Too small, the whole picture, or nothing that differs from what is around it.
        mask[top:bottom, left:right] = True
    return mask
