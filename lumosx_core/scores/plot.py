"""Likeness over a video's frames as a picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ..errors import LumosXError
from .identity import likeness_of
from .summary import IdentityScores

# Told apart by colour-blind people too (Okabe and Ito); people beyond the last begin again.
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
_WIDTH, _HEIGHT, _DPI = 10.0, 4.2, 100
# With few frames a line alone would hide which of them were watched.
_DOTS_UP_TO = 60


def colour_of(subject: int) -> tuple[int, int, int]:
    """RGB of a subject in plots and frames, 0..255."""
    return COLOURS[subject % len(COLOURS)]


def plot_identity(scores: IdentityScores) -> np.ndarray:
    """RGB [H, W, 3] uint8: a line for each subject, broken where it is missed, and a mark wherever somebody changes.

    Raises:
        LumosXError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LumosXError(f"plot: matplotlib is missing ({error}); install it with pip install matplotlib.") from error
    # Without pyplot nothing outlives the figure, and the user's settings of other programs stay as they are.
    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for subject in scores.known:
        _draw_subject(axes, scores, subject)
    _draw_changes(axes, scores)
    axes.axhline(0, color="0.75", linewidth=0.8, zorder=0)
    title = f"{scores.judge.score}: {scores.score:.3f}, mode {scores.plan.mode}"
    axes.set_title(title[0].upper() + title[1:], fontsize=11)
    axes.set_xlabel("frame")
    axes.set_ylabel(f"likeness to the reference ({scores.judge.measure})")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(x=0.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    return _drawn(canvas)


def as_png(pixels: np.ndarray) -> bytes:
    """A picture as the content of a PNG file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _draw_subject(axes, scores: IdentityScores, subject: int) -> None:
    colour = [part / 255 for part in colour_of(subject)]
    places = [frame.index for frame in scores.frames]
    found = [likeness_of(frame, subject) for frame in scores.frames]
    marker = "o" if len(places) <= _DOTS_UP_TO or None in found else None
    axes.plot(
        places, [np.nan if value is None else value for value in found], color=colour, linewidth=1.8, marker=marker,
        markersize=3, label=_plain(f"{scores.title(subject)}: {scores.subjects[subject].likeness:.3f}"),
    )
    missed = [place for place, value in zip(places, found) if value is None]
    if missed:
        axes.plot(missed, [0] * len(missed), linestyle="", marker="x", color=colour, markersize=5,
                  label=_plain(f"{scores.title(subject)} missed: {len(missed)}"))


def _draw_changes(axes, scores: IdentityScores) -> None:
    switched = sorted({event.frame for event in scores.switches.events})
    for number, frame in enumerate(switched):
        label = f"identity switches: {len(scores.switches.events)}" if number == 0 else None
        axes.axvline(frame, color="crimson", alpha=0.45, linewidth=5, label=label, zorder=1)
    changed = [change.frame for change in scores.order.changes]
    for number, frame in enumerate(changed):
        label = f"order changes: {len(changed)}" if number == 0 else None
        axes.axvline(frame, color="0.3", linewidth=1.0, linestyle=(0, (4, 3)), label=label, zorder=1.1)


def _plain(text: str) -> str:
    """Phrases are the user's: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def _drawn(canvas) -> np.ndarray:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
