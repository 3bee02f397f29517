"""What the command lines have in common."""

from __future__ import annotations

import sys
from typing import TextIO

from .errors import shown


def accept_all_letters() -> None:
    """Show what a terminal or a log file has no letter for as an escape, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: str, stream: TextIO | None = None) -> None:
    """Print lines in which names of any origin may stand, so that none of their letters does anything to the terminal.

    Args:
        stream: standard output unless given.
    """
    print("\n".join(map(shown, text.split("\n"))), file=stream, flush=True)
