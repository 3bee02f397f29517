"""Guidance by image and by text: v_u + s_i (v_i - v_u) + s_t (v_c - v_i) (spec section 4).

v_c: the prompt, with the person; v_i: the negative prompt, with the person; v_u: the negative prompt, with nobody (null
tokens and the features of a grey picture). Everything here may be velocities or denoised latents: it is linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Branch = Literal["c", "i", "u"]


@dataclass(frozen=True)
class GuidanceScales:
    """How far to go.

    Attributes:
        text: s_t; the release's 5. At 1 or below the prompt runs alone.
        image: s_i; the release's 2 for full. None for lite, which has no scale of its own for the image.
    """

    text: float = 5.0
    image: float | None = 2.0

    @property
    def branches(self) -> tuple[Branch, ...]:
        """Which of the three have to be run; where two are enough, the third cancels out."""
        if self.text <= 1:
            return ("c",)
        if self.image is None or self.image == self.text:
            return ("c", "u")
        return ("c", "i") if self.image == 1 else ("c", "i", "u")


def guide(
    scales: GuidanceScales, v_c: torch.Tensor, v_i: torch.Tensor | None = None, v_u: torch.Tensor | None = None
) -> torch.Tensor:
    """The guided prediction; what is not among ``scales.branches`` may be None."""
    branches = scales.branches
    if branches == ("c",):
        return v_c
    if scales.image is None or branches == ("c", "u"):
        v_u = _needed("v_u", v_u)
        return v_u + scales.text * (v_c - v_u)
    v_i = _needed("v_i", v_i)
    if branches == ("c", "i"):
        return v_i + scales.text * (v_c - v_i)
    v_u = _needed("v_u", v_u)
    return v_u + scales.image * (v_i - v_u) + scales.text * (v_c - v_i)


def _needed(name: str, branch: torch.Tensor | None) -> torch.Tensor:
    if branch is None:
        raise ValueError(f"{name} is among the branches")
    return branch


def as_two_branches(
    image_scale: float, v_c: torch.Tensor, v_i: torch.Tensor, v_u: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pair (cond, uncond) that ordinary guidance uncond + s_t (cond - uncond) turns into the three-branch one."""
    shift = (image_scale - 1) * (v_i - v_u)
    return v_c + shift, v_i + shift
