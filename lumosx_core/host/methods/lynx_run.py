"""What one sampling run knows of Lynx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...models.lynx.window import Window

RUN = "lumosx_lynx_run"


@dataclass
class LastForward:
    """Of the last step whose forward was not skipped.

    Attributes:
        with_nobody: whether nobody was computed beside the person.
    """

    with_nobody: bool = False


@dataclass(frozen=True)
class LynxRun:
    """What stays the same from step to step.

    Attributes:
        key: changes whenever the weights of the MODEL do.
        windows: of each person, in which steps they act.
        rows: of ``PERSON`` and ``NOBODY``, all that are needed.
        frames: of the whole latent.
        last_forward: what a step goes on from whose forward is skipped; the only thing that changes.
    """

    key: object
    windows: Sequence[Window]
    rows: frozenset[int]
    frames: int
    last_forward: LastForward = field(default_factory=LastForward)

    def active(self, sigma: float) -> bool:
        """Whether anybody acts in a step that starts at this noise level."""
        return any(window.holds(sigma) for window in self.windows)


def run_of(transformer_options: Mapping[str, Any]) -> LynxRun | None:
    """The run under way; None outside of any."""
    return transformer_options.get(RUN)
