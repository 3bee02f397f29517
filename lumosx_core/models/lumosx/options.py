"""The scientific constants of the relational forward."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RelationalOptions:
    """The scientific constants, at the values that the release samples with.

    Attributes:
        ratio: MCAM's strength.
        pool: side of the query cells that share one MCAM bias, in tokens.
        r2pe: relational positions; off, references are placed like further frames.
        csam: relational self-attention; off, everything attends to everything.
        float32_residual: keep the residual stream in float32 whatever the weights are.
    """

    ratio: float = 0.5
    pool: int = 8
    r2pe: bool = True
    csam: bool = True
    float32_residual: bool = True


RELEASE_OPTIONS = RelationalOptions()
"""What the release samples with."""
