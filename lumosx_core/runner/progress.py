"""What a batch shows while it works, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ..cli import say
from ..errors import shown
from .journal import DONE


class Progress(Protocol):
    """Where a batch tells how far it is."""

    def say(self, text: str) -> None:
        """Show a sentence."""

    def ended(self, line: dict, done: int) -> None:
        """Show that a case has ended; ``done`` counts all that have."""


@contextmanager
def shown_progress(total: int, done: int) -> Iterator[Progress]:
    """A bar where tqdm is installed and someone looks, else a line a case.

    Args:
        total: cases.
        done: those that had ended before.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        tqdm = None
    if tqdm is None or not sys.stderr.isatty():
        yield _Lines(total)
        return
    with tqdm(total=total, initial=done, unit="case", file=sys.stderr) as bar:
        yield _Bar(bar)


def case_text(line: dict) -> str:
    """One case's end in a few words."""
    if line["status"] != DONE:
        return f"{line['case']}: failed. {line['error']}"
    return f"{line['case']}: done" + ("" if line["seconds"] is None else f" in {line['seconds']:.1f} s")


class _Lines:
    def __init__(self, total: int) -> None:
        self._total = total

    def say(self, text: str) -> None:
        say(text, sys.stderr)

    def ended(self, line: dict, done: int) -> None:
        self.say(f"[{done}/{self._total}] {case_text(line)}")


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def say(self, text: str) -> None:
        self._bar.write(shown(text), file=sys.stderr)

    def ended(self, line: dict, done: int) -> None:
        if line["status"] != DONE:
            self.say(case_text(line))
        self._bar.set_postfix_str(shown(line["case"]), refresh=False)
        self._bar.update(done - self._bar.n)
