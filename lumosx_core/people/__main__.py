"""Turn case folders into people that are kept, and such people into case folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..cli import run_command, say
from .converting import case_from_people, people_from_case


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, 1 after an error, 130 after Ctrl-C; 2 for wrong arguments.
    """
    return run_command(_parser(), _run, arguments, "Stopped; what was finished is there.")


def _run(options: argparse.Namespace) -> int:
    if options.command == "from-case":
        for folder in people_from_case(options.case, options.into, options.name):
            say(f"Saved {folder}")
    else:
        say(f"Saved {case_from_people(options.people, options.prompt, options.name, options.to)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m lumosx_core.people", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    people = commands.add_parser("from-case", help="each person of a case folder as a folder of their own")
    people.add_argument("case", type=Path)
    people.add_argument("into", type=Path, help="usually ComfyUI's models/lumosx/people")
    people.add_argument("--name", default="", help="what they are called, with a number; the case's name by default")
    case = commands.add_parser("to-case", help="a case folder of people")
    case.add_argument("people", type=Path, nargs="+", help="folders or zip files of people, in order")
    case.add_argument("--to", type=Path, required=True, help="the folder to make; it gets a number")
    case.add_argument("--prompt", required=True, help="it should contain every phrase")
    case.add_argument("--name", default="case")
    return parser


if __name__ == "__main__":
    sys.exit(main())
