"""Videos that the models of LumosX Tiny Models were not trained for."""

from __future__ import annotations

from typing import Any

from ...media import pil_from_tensor
from ...scene.relations import Reference
from ...tiny.codec import BlockTransformCodec
from ...tiny.known import MOST_FRAMES, SIZE, looks_like_a_photograph
from ...tiny.learned import LearnedCodec


def doubts(vae: Any, references: tuple[Reference, ...], width: int, height: int, frames: int) -> list[str]:
    """Warnings about a video that the small models were not trained for, if the VAE is theirs; one sentence each.

    Args:
        references: the pictures of the scene.
        width, height, frames: of the video to make.
    """
    if not isinstance(getattr(vae, "first_stage_model", None), LearnedCodec | BlockTransformCodec):
        return []
    found = []
    if (width, height) != SIZE or frames > MOST_FRAMES:
        found.append(
            f"width, height, frames: the small models were trained at {SIZE[0]} x {SIZE[1]} with up to {MOST_FRAMES} "
            f"frames, so {width} x {height} with {frames} may come out as smears; use a size that they were trained "
            "at, or link real models."
        )
    photographs = [
        one.phrase for one in references
        if one.image is not None and looks_like_a_photograph(pil_from_tensor(one.image))
    ]
    if photographs:
        phrases = ", ".join(f"\"{phrase}\"" for phrase in dict.fromkeys(photographs))
        found.append(
            f"The small models were trained on drawn pictures only, and the pictures of {phrases} look like "
            "photographs, which they turn into smears; use drawings such as the demo's, or link real models (LumosX "
            "Model Loader, Load CLIP, Load VAE)."
        )
    return found
