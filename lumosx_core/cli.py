"""What the command lines have in common."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from .errors import LumosXError, shown

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""


def run_command(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None,
    interrupted: str,
) -> int:
    """Parse the arguments of a command line and run it; what ends it early becomes a sentence on stderr.

    Args:
        parser: of the arguments; wrong ones leave the program with 2.
        run: the work, which returns the exit code.
        arguments: those of the program unless given.
        interrupted: the sentence after Ctrl-C.

    Returns:
        The exit code: what ``run`` returned, 1 after an error, or 130 after Ctrl-C.
    """
    accept_all_letters()
    options = parser.parse_args(arguments)
    try:
        return run(options)
    except LumosXError as error:
        say(str(error), sys.stderr)
        return 1
    except OSError as error:
        say(f"{error.filename or 'a file'}: it cannot be written or read ({error.strerror or error}).", sys.stderr)
        return 1
    except KeyboardInterrupt:
        say(interrupted, sys.stderr)
        return INTERRUPTED


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


def number(text: str) -> float:
    """An argument that is a number >= 0.

    Raises:
        ArgumentTypeError: it is not.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} must be a number >= 0")
    return value
