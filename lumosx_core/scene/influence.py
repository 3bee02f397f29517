"""How strongly a reference acts, and in which part of the sampling it is there."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import LumosXError

MOST_STRENGTH = 10.0


@dataclass(frozen=True)
class Influence:
    """What a user set for a reference.

    Attributes:
        strength: what the video gives the reference in its self-attention is multiplied by this, before it is
            normalised: 1 is the model as it was trained, 0 leaves the reference out of the video's attention.
        start, end: of the sampling, in [0, 1]; outside of it the reference is not in the sequence at all.
    """

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0

    @property
    def is_limited(self) -> bool:
        """Whether it is only there in a part of the sampling."""
        return self.start > 0 or self.end < 1

    @property
    def text(self) -> str:
        """What differs from the default, as "strength 0.5, steps 0 to 50 %"; empty if nothing does."""
        strength = [] if self.strength == 1 else [f"strength {self.strength:g}"]
        steps = [f"steps {_percent(self.start)} to {_percent(self.end)} %"] if self.is_limited else []
        return ", ".join(strength + steps)

    def within(self, whole: Influence) -> Influence:
        """That of a part, such as a hat, where ``whole`` is that of all of it, such as the person."""
        return Influence(
            self.strength * whole.strength, max(self.start, whole.start), min(self.end, whole.end)
        )

    def check(self, source: str) -> None:
        """Raises a LumosXError that begins with ``source``: numbers out of range, or no step at all."""
        if not 0 <= self.strength <= MOST_STRENGTH**2:
            raise LumosXError(
                f"{source}: the strength {self.strength:g} must be from 0 to {MOST_STRENGTH:g}; use 1 for the model as "
                "it was trained."
            )
        if not (0 <= self.start <= 1 and 0 <= self.end <= 1):
            raise LumosXError(
                f"{source}: its part of the sampling, from {self.start:g} to {self.end:g}, must lie in 0 to 1; use 0 "
                "and 1 for all steps."
            )
        if self.start >= self.end:
            raise LumosXError(
                f"{source}: it would never be there, since its steps begin at {_percent(self.start)} % and end at "
                f"{_percent(self.end)} %; set start_percent below end_percent, of the picture and of its person."
            )


FULL = Influence()
"""The model as it was trained."""


def _percent(share: float) -> str:
    return f"{100 * share:.4g}"
