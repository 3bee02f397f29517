"""The curves of a training as a picture."""

from __future__ import annotations

import io
from typing import NamedTuple

from ..packages import matplotlib
from .trainer import TrainingRecord


class Shown(NamedTuple):
    """Which figures of the checks are plotted on the second axis.

    Attributes:
        words: their names have these in them.
        label: of the axis.
        limits: of the axis.
        factor: from a figure to what is shown.
    """

    words: str
    label: str
    limits: tuple[float, float]
    factor: float = 1.0


VELOCITY_LOSS = "loss (mean squared error of the velocity)"
OWNERS = Shown(", own", "found with their owner, %", (0, 103), 100.0)


def plot_record(record: TrainingRecord, loss: str = VELOCITY_LOSS, shown: Shown = OWNERS) -> bytes:
    """A PNG of the loss, and of the checks' figures on a second axis.

    Raises:
        LumosXError: matplotlib is missing.
    """
    package = matplotlib()
    figure = package.figure.Figure(figsize=(8, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*record.losses), color="0.35") if record.losses else None
    axes.set_xlabel("step")
    axes.set_ylabel(loss)
    names = sorted({name for check in record.checks for name in check if shown.words in name})
    if names:
        right = axes.twinx()
        for name in names:
            found = [(check["step"], shown.factor * check[name]) for check in record.checks if name in check]
            right.plot(*zip(*found), marker="o", markersize=3, label=name)
        right.set_ylabel(shown.label)
        right.set_ylim(shown.limits)
        right.legend(loc="center right", frameon=False)
    axes.spines[["top"]].set_visible(False)
    content = io.BytesIO()
    package.backends.backend_agg.FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()
