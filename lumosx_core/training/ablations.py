"""PolyVivid without one of its parts, and the method that it is compared with: the rows of the paper's table 2."""

from __future__ import annotations

from dataclasses import dataclass

from ..models.polyvivid.config import RunOptions

FULL = "full"


@dataclass(frozen=True)
class Ablation:
    """One way to train and run the adapter.

    Attributes:
        fusion: whether the text encoder reads the subjects' lines and pictures, or the prompt alone.
        options: which parts run.
        concatenated: no adapter; the subjects' tokens are next to the video's, and all blocks have LoRAs.
    """

    fusion: bool = True
    options: RunOptions = RunOptions()
    concatenated: bool = False


ABLATIONS = {
    FULL: Ablation(),
    "no-fusion": Ablation(fusion=False),
    "no-interaction": Ablation(options=RunOptions(interaction=False)),
    "no-rotary": Ablation(options=RunOptions(rotary=False)),
    "no-injection": Ablation(options=RunOptions(strength=0.0)),
    "concatenation": Ablation(concatenated=True),
}
"""By the value of the command line's ``--ablation``."""
