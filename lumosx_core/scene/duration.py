"""How long a run takes: what is expected, and as people say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A video as users name its size: pixels and frames."""

    width: int
    height: int
    frames: int


@dataclass(frozen=True)
class Expected:
    """What is to be expected of a run.

    Attributes:
        seconds: of sampling.
        like: the size of the run that this goes by; None where it was the same work.
    """

    seconds: float
    like: Size | None = None


@dataclass(frozen=True)
class PacedRun:
    """A sampler, as far as its pace can be looked up.

    Attributes:
        key: 64 hexadecimal digits of everything that its speed depends on but for the video.
        work: of one forward, in floating point operations.
        forwards: how many there will be.
    """

    key: str
    work: float
    forwards: int


def spoken(seconds: float) -> str:
    """A duration as people say it: "about 12 minutes"."""
    amount, unit = rounded(seconds)
    return f"about {amount:g} {unit if amount != 1 else unit[:-1]}"


def rounded(seconds: float) -> tuple[float, str]:
    """A duration with two digits at most, in seconds, minutes or hours."""
    for length, unit in ((1, "seconds"), (60, "minutes"), (3600, "hours")):
        amount = seconds / length
        if amount < 90 or unit == "hours":
            return (max(1, round(amount)) if amount >= 9.5 or unit == "seconds" else round(amount, 1)), unit
    raise AssertionError
