"""In which steps the adapters act (spec section 6.3; decision D2 of the golden files)."""

from __future__ import annotations

from dataclasses import dataclass

_ROUNDING = 1e-6
"""Schedules are kept in float32, while the edges are exact; no two steps are this close."""


@dataclass(frozen=True)
class Window:
    """The steps from one noise level to another, both included.

    Attributes:
        sigma_start, sigma_end: the first and the last noise level, in [0, 1]. An end above the start holds no step.
    """

    sigma_start: float
    sigma_end: float

    @classmethod
    def of_percents(cls, start_percent: float, end_percent: float, shift: float) -> Window:
        """Shares of the way from noise to video, in [0, 1], on a flow schedule with this shift (> 0)."""
        return cls(sigma_at(start_percent, shift), sigma_at(end_percent, shift))

    def holds(self, sigma: float) -> bool:
        """Whether the adapters act in a step that starts at this noise level."""
        if self.sigma_end > self.sigma_start:
            return False
        return self.sigma_end - _ROUNDING <= sigma <= self.sigma_start + _ROUNDING


def sigma_at(percent: float, shift: float) -> float:
    """The noise level of a flow schedule after a share of the way, as ComfyUI computes it."""
    if percent <= 0:
        return 1.0
    if percent >= 1:
        return 0.0
    left = 1 - percent
    return shift * left / (1 + (shift - 1) * left)
