"""What a build shows while it works, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ..cli import say
from ..errors import shown


class Progress(Protocol):
    """Where a build tells how far it is."""

    def say(self, text: str) -> None:
        """Show a sentence."""

    def more(self, clips: int) -> None:
        """So many more clips are to be done."""

    def ended(self, name: str, text: str) -> None:
        """Show that a clip has ended; ``text`` is empty for one that was made."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A bar where tqdm is installed and someone looks, else a line a clip."""
    try:
        from tqdm import tqdm
    except ImportError:
        tqdm = None
    if tqdm is None or not sys.stderr.isatty():
        yield _Lines()
        return
    with tqdm(total=0, unit="clip", file=sys.stderr) as bar:
        yield _Bar(bar)


class _Lines:
    def __init__(self) -> None:
        self._total = self._done = 0

    def say(self, text: str) -> None:
        say(text, sys.stderr)

    def more(self, clips: int) -> None:
        self._total += clips

    def ended(self, name: str, text: str) -> None:
        self._done += 1
        self.say(f"[{self._done}/{self._total}] {name}: {text or 'made'}")


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def say(self, text: str) -> None:
        self._bar.write(shown(text), file=sys.stderr)

    def more(self, clips: int) -> None:
        self._bar.total += clips
        self._bar.refresh()

    def ended(self, name: str, text: str) -> None:
        if text:
            self.say(f"{name}: {text}")
        self._bar.set_postfix_str(shown(name), refresh=False)
        self._bar.update()
