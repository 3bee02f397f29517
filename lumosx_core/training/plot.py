"""The curves of a training as a picture."""

from __future__ import annotations

import io

from ..packages import matplotlib
from .trainer import Record


def plot_record(record: Record) -> bytes:
    """A PNG of the loss, and of the checks' shares on a second axis.

    Raises:
        LumosXError: matplotlib is missing.
    """
    package = matplotlib()
    figure = package.figure.Figure(figsize=(8, 4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*zip(*record.losses), color="0.35") if record.losses else None
    axes.set_xlabel("step")
    axes.set_ylabel("loss (mean squared error of the velocity)")
    shares = sorted({name for check in record.checks for name, value in check.items() if _is_share(name, value)})
    if shares:
        right = axes.twinx()
        for name in shares:
            found = [(check["step"], 100 * check[name]) for check in record.checks if name in check]
            right.plot(*zip(*found), marker="o", markersize=3, label=name)
        right.set_ylabel("found with their owner, %")
        right.set_ylim(0, 103)
        right.legend(loc="center right", frameon=False)
    axes.spines[["top"]].set_visible(False)
    content = io.BytesIO()
    package.backends.backend_agg.FigureCanvasAgg(figure).print_png(content)
    return content.getvalue()


def _is_share(name: str, value: object) -> bool:
    return isinstance(value, float) and name.endswith("own")
