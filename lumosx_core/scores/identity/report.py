"""Identity scores as a report: sentences, tables and warnings in Markdown that reads well as plain text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..table import markdown_table
from .summary import IdentityScores
from .warnings import comparison_notes

# Beyond this many the report says how many more there are; the JSON has them all.
_SHOWN_EVENTS = 8


def identity_report(scores: IdentityScores) -> str:
    """All scores of a video, and what to make of them."""
    lines = [
        f"- **{_capital(scores.embedder.score)}: {scores.score:.3f}**, the mean over "
        f"{_count(len(scores.frames), 'frame')} and {_count(len(scores.known), 'reference')}; a miss counts 0.",
    ]
    if scores.second_embedder is not None:
        lines.append(f"- **{_capital(scores.second_embedder.score)}: {scores.second_score:.3f}**, over the same faces.")
    nth = "every frame" if scores.plan.every == 1 else f"one frame in {scores.plan.every}"
    lines.append(
        f"- Mode {scores.plan.mode}, {nth}; faces found by {scores.detector}, told apart by {_embedder_names(scores)}."
    )
    lines += [_order_line(scores), _switch_line(scores)]
    lines += [f"- Note: {note}" for note in comparison_notes(scores)]
    lines += [f"- **Warning:** {warning}" for warning in scores.warnings()]
    return "\n\n".join(["\n".join(lines), _subject_table(scores), _confusion_table(scores)])


def _subject_table(scores: IdentityScores) -> str:
    second = [] if scores.second_embedder is None else ["Second likeness"]
    header = ["Subject", "Likeness", "Where seen", "Worst", "A face in", *second, "Steadiness", "Least steady"]
    rows = []
    for number, subject in enumerate(scores.subjects):
        extra = [] if scores.second_embedder is None else [subject.second]
        rows.append([
            scores.title(number), subject.likeness, subject.seen_likeness, subject.worst,
            f"{subject.seen:.0%}" if number in scores.known else None, *extra, subject.steadiness, subject.least_steady,
        ])
    return markdown_table(header, rows)


def _confusion_table(scores: IdentityScores) -> str:
    people = range(len(scores.names))
    header = ["Face taken for", *(f"like {scores.title(number)}" for number in people), "Ahead by"]
    rows = [
        [scores.title(row), *(None if np.isnan(value) else float(value) for value in scores.confusion[row]),
         scores.margins[row]]
        for row in people
    ]
    return markdown_table(header, rows)


def _order_line(scores: IdentityScores) -> str:
    order = scores.order
    if order.rate is None:
        return "- Order: no frame shows two people."
    changes = [f"frame {change.frame}: {_people(scores, change.order)}" for change in order.changes]
    where = f" Changes at {_listed(changes)}." if changes else ""
    return (
        f"- Order swap rate: {order.rate:.3f} ({order.swapped} of {order.judged} frames with two people or more are "
        f"not in the order {_people(scores, order.declared)}, {scores.plan.order}).{where}"
    )


def _switch_line(scores: IdentityScores) -> str:
    events = [f"frame {event.frame}: {scores.title(event.before)} -> {scores.title(event.after)}"
              for event in scores.switches.events]
    where = f" At {_listed(events)}." if events else ""
    return (
        f"- Identity switches: {len(events)} (a face was tracked from one frame to another {scores.switches.followed} "
        f"times).{where}"
    )


def _people(scores: IdentityScores, subjects: Sequence[int]) -> str:
    return ", ".join(scores.title(number) for number in subjects)


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _SHOWN_EVENTS
    return "; ".join([*items[:_SHOWN_EVENTS], *([f"and {more} more"] if more > 0 else [])])


def _embedder_names(scores: IdentityScores) -> str:
    embedders = [scores.embedder] if scores.second_embedder is None else [scores.embedder, scores.second_embedder]
    return " and ".join(f"{embedder.name} ({embedder.measure})" for embedder in embedders)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
