"""Scores over a video's frames as pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ...packages import matplotlib
from ..attributes.owners import AttributeScores
from ..identity.presence import PresenceScores
from ..identity.score import likeness_of
from ..identity.summary import IdentityScores
from ..motion import MotionScore
from .plot_labels import Labels

# Colour-blind people can distinguish these (Okabe and Ito); beyond the last, they repeat.
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
_WIDTH, _HEIGHT, _DPI = 10.0, 4.2, 100
# With few frames a line alone would hide which of them were watched.
_DOTS_UP_TO = 60
# Of the first, second, … attribute of one person.
_STYLES = ("-", "--", ":", "-.")
_OBJECTS = (110, 110, 110)


def colour_of(subject: int) -> tuple[int, int, int]:
    """RGB of a subject in plots and frames, 0..255."""
    return COLOURS[subject % len(COLOURS)]


def plot_identity(scores: IdentityScores) -> np.ndarray:
    """RGB [H, W, 3] uint8: a line for each subject, broken where it is missed, and a mark wherever somebody changes.

    Raises:
        LumosXError: matplotlib is missing.
    """
    canvas, axes = _empty_plot()
    labels = Labels()
    for subject in scores.known:
        _draw_subject(axes, scores, subject, labels)
    _draw_changes(axes, scores)
    axes.axhline(0, color="0.75", linewidth=0.8, zorder=0)
    title = f"{scores.embedder.score}: {scores.score:.3f}, mode {scores.plan.mode}"
    return _drawn(canvas, axes, title, f"likeness to the reference ({scores.embedder.measure})", labels)


def plot_presence(scores: PresenceScores) -> np.ndarray:
    """RGB [H, W, 3] uint8: how many faces each watched frame shows, and how many are expected.

    Raises:
        LumosXError: matplotlib is missing.
    """
    canvas, axes = _empty_plot()
    wanted, found = len(scores.known), [len(frame.faces) for frame in scores.frames]
    _draw_line(axes, [frame.index for frame in scores.frames], found, COLOURS[0], "-", "faces found")
    axes.axhline(wanted, color="0.3", linewidth=1.2, linestyle=(0, (4, 3)), label=f"faces wanted: {wanted}")
    axes.set_ylim(0, 1.2 * max(wanted, *found))
    axes.yaxis.get_major_locator().set_params(integer=True)
    return _drawn(canvas, axes, f"All faces in {scores.complete:.0%} of the frames; nobody is told apart", "faces",
                  Labels())


def plot_attributes(scores: AttributeScores) -> np.ndarray:
    """RGB [H, W, 3] uint8: a line for each attribute by ``scores.measure``, broken where there is nothing to tell.

    It shows how far the owner is ahead of the best other person, so above 0 the attribute is on the right one. Where no
    frame shows an owner and somebody else, it shows the likeness itself, and that of objects too.

    Raises:
        LumosXError: matplotlib is missing.
    """
    canvas, axes = _empty_plot()
    labels = Labels()
    owners = [owner for owner in scores.owners if owner.measure == scores.measure]
    places = [view.index for view in scores.views]
    compared = any(owner.leaks for owner in owners)
    for number, owner in enumerate(owners):
        found = owner.leads if compared else [row[owner.owner] for row in owner.frames]
        result = _result(owner.win_rate if compared else owner.score, compared)
        earlier = sum(other.owner == owner.owner for other in owners[:number])
        person = labels.title(owner.owner, scores.people[owner.owner])
        phrase = labels.name(owner.phrase, f"attribute {earlier + 1}")
        _draw_line(axes, places, found, colour_of(owner.owner), _STYLES[earlier % len(_STYLES)],
                   labels.text(f"{person}: {phrase}, {result if owner.recognised else owner.verdict}"))
    for number, thing in enumerate(scores.objects if not compared else ()):
        if thing.measure == scores.measure:
            _draw_line(axes, places, thing.frames, _OBJECTS, _STYLES[number % len(_STYLES)],
                       labels.text(f"{labels.name(thing.phrase, f'object {number + 1}')}, {thing.score:.3f}"))
    axes.axhline(0, color="0.4", linewidth=1.0, zorder=1)
    if compared:
        return _drawn(canvas, axes, f"Who wears what, by {scores.measure}: above 0 the right person",
                      "ahead of the best other person", labels)
    return _drawn(canvas, axes, f"What is seen, by {scores.measure}", "likeness", labels)


def plot_motion(score: MotionScore) -> np.ndarray:
    """RGB [H, W, 3] uint8: how much each pair of frames moves, at the later one, and the threshold.

    Raises:
        LumosXError: matplotlib is missing.
    """
    canvas, axes = _empty_plot()
    _draw_line(axes, score.frames, score.strengths, COLOURS[0], "-", "largest 5 % of the flow")
    moving = [pair for pair in zip(score.frames, score.strengths) if pair[1] > score.threshold]
    if moving:
        axes.plot(*zip(*moving), linestyle="", marker="o", markersize=5, color=_part(COLOURS[1]),
                  label=f"moving pairs: {len(moving)}")
    axes.axhline(score.threshold, color="0.3", linewidth=1.2, linestyle=(0, (4, 3)),
                 label=f"threshold: {score.threshold:.2f}")
    axes.set_ylim(0, 1.1 * max(score.threshold, *score.strengths))
    title = (
        f"{'dynamic' if score.dynamic else 'not dynamic'}: {score.moving} of {len(score.strengths)} pairs move, "
        f"at least {score.needed} needed"
    )
    return _drawn(canvas, axes, title, "pixels (OpenCV DIS)", Labels())


def as_png(pixels: np.ndarray) -> bytes:
    """A picture as the content of a PNG file."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _empty_plot():
    """A canvas and its axes."""
    package = matplotlib()
    # Without pyplot nothing outlives the figure, and settings of other programs are not changed.
    figure = package.figure.Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DPI, layout="constrained")
    return package.backends.backend_agg.FigureCanvasAgg(figure), figure.add_subplot()


def _draw_line(
    axes, places: Sequence[int], found: Sequence[float | None], colour: tuple[int, int, int], style: str, label: str
) -> None:
    """Values over frames, with a gap for each None."""
    marker = "o" if len(places) <= _DOTS_UP_TO or None in found else None
    axes.plot(
        places, [np.nan if value is None else value for value in found], color=_part(colour), linestyle=style,
        linewidth=1.8, marker=marker, markersize=3, label=label,
    )


def _draw_subject(axes, scores: IdentityScores, subject: int, labels: Labels) -> None:
    places = [frame.index for frame in scores.frames]
    found = [likeness_of(frame, subject) for frame in scores.frames]
    title, likeness = labels.title(subject, scores.names[subject]), scores.subjects[subject].likeness
    _draw_line(axes, places, found, colour_of(subject), "-", labels.text(f"{title}: {likeness:.3f}"))
    missed = [place for place, value in zip(places, found) if value is None]
    if missed:
        axes.plot(missed, [0] * len(missed), linestyle="", marker="x", color=_part(colour_of(subject)), markersize=5,
                  label=labels.text(f"{title} missed: {len(missed)}"))


def _draw_changes(axes, scores: IdentityScores) -> None:
    switched = sorted({event.frame for event in scores.switches.events})
    for number, frame in enumerate(switched):
        label = f"identity switches: {len(scores.switches.events)}" if number == 0 else None
        axes.axvline(frame, color="crimson", alpha=0.45, linewidth=5, label=label, zorder=1)
    changed = [change.frame for change in scores.order.changes]
    for number, frame in enumerate(changed):
        label = f"order changes: {len(changed)}" if number == 0 else None
        axes.axvline(frame, color="0.3", linewidth=1.0, linestyle=(0, (4, 3)), label=label, zorder=1.1)


def _result(value: float | None, compared: bool) -> str:
    if value is None:
        return "nobody to compare with"
    return f"ahead in {value:.0%} of frames" if compared else f"{value:.3f}"


def _part(colour: tuple[int, int, int]) -> list[float]:
    """As matplotlib takes it."""
    return [part / 255 for part in colour]


def _drawn(canvas, axes, title: str, measured: str, labels: Labels) -> np.ndarray:
    axes.set_title(title[0].upper() + title[1:], fontsize=11)
    axes.set_xlabel("frame")
    axes.set_ylabel(measured)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(x=0.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False,
                prop={"size": 9, "family": labels.families})
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
