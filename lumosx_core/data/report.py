"""``report.html``: how many clips became cases, why others did not, and their contact sheets; one file, no scripts."""

from __future__ import annotations

import base64
import html
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import shown
from ..files import write_aside
from .build import FAILED, MADE, REJECTED, Outcome

REPORT = "report.html"
MOST_SHEETS = 200
"""Contact sheets in the file, so that a browser can open it; the others are in the work folder."""
MOST_LISTED = 5000
_MOST_SHEET = 2_000_000
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ddd;
text-align: left; vertical-align: top } td.number { text-align: right } img { max-width: 100%; border: 1px solid #ddd }
.rejected, .failed { color: #a33 } article { margin: 2rem 0 }
"""


def write_report(out: Path, outcomes: Sequence[Outcome]) -> Path:
    """Write the report of a run and return its path.

    Raises:
        OSError: it cannot be written.
    """
    path = out / REPORT
    write_aside(path, report_of(outcomes, out / "work").encode("utf-8", "replace"))
    return path


def report_of(outcomes: Sequence[Outcome], work: Path) -> str:
    """The page; every text of any origin in it is escaped.

    Args:
        outcomes: of all clips.
        work: the folder that holds a work folder for each, for their captions.
    """
    count = Counter(outcome.status for outcome in outcomes)
    reasons = Counter((outcome.status, outcome.reason) for outcome in outcomes if outcome.status != MADE)
    share = f" ({count[MADE] / len(outcomes):.0%})" if outcomes else ""
    shown_made = [outcome for outcome in outcomes if outcome.status == MADE][:MOST_SHEETS]
    others = [outcome for outcome in outcomes if outcome.status != MADE]
    parts = [
        "<!doctype html>", "<html lang=\"en\"><head><meta charset=\"utf-8\">",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'\">",
        f"<title>LumosX data</title><style>{_STYLE}</style></head><body><h1>LumosX data</h1>",
        f"<p>{len(outcomes)} clips: {count[MADE]} became cases{share}, {count[REJECTED]} were rejected, "
        f"{count[FAILED]} failed and are tried again by the next run.</p>",
        _table(["Clips", "", "Reason"], [[str(number), status, reason]
                                        for (status, reason), number in reasons.most_common()]),
        "<h2>Cases</h2>", *(_article(outcome, work) for outcome in shown_made),
        _left_out(count[MADE] - len(shown_made), "cases; their contact sheets are in the work folder"),
        "<h2>Other clips</h2>",
        _table(["Clip", "", "Reason", "Why"],
               [[each.name, each.status, each.reason, each.detail] for each in others[:MOST_LISTED]]),
        _left_out(len(others) - MOST_LISTED, "clips; results.jsonl lists all"), "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _article(outcome: Outcome, work: Path) -> str:
    folder = work if outcome.sheet is None else outcome.sheet.parent
    notes = "".join(f"<li>{_text(note)}</li>" for note in outcome.notes)
    picture = "" if outcome.sheet is None else _picture(outcome.sheet)
    return (f"<article><h3>{_text(outcome.name)}</h3><p>{_text(_caption(folder))}</p>"
            f"{f'<ul>{notes}</ul>' if notes else ''}{picture}</article>")


def _caption(folder: Path) -> str:
    try:
        said = json.loads((folder / "caption.json").read_text(encoding="utf-8"))["result"]["caption"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return said if isinstance(said, str) else ""


def _picture(sheet: Path) -> str:
    try:
        content = sheet.read_bytes()
    except OSError:
        return ""
    if len(content) > _MOST_SHEET:
        return ""
    return f"<img alt=\"contact sheet\" src=\"data:image/jpeg;base64,{base64.b64encode(content).decode()}\">"


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    titles = "".join(f"<th>{_text(title)}</th>" for title in head)
    lines = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{lines}</table>"


def _left_out(number: int, what: str) -> str:
    return f"<p>And {number} more {what}.</p>" if number > 0 else ""


def _text(text: str) -> str:
    return html.escape(shown(text))
