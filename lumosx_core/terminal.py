"""What the command lines have in common."""

from __future__ import annotations

import sys


def accept_all_letters() -> None:
    """Show what a terminal or a log file has no letter for as an escape, instead of failing on it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
