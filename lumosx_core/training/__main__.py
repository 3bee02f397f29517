"""``python -m lumosx_core.training``: train a LoRA or an adapter on your own cases, or the pack's small model again."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..cli import run_command
from . import codec_run, lora_run, lynx_run, polyvivid_run, tiny_hunyuan_run, tiny_polyvivid_run, tiny_run
from .comfyui import prepare_comfyui
from .processes import joined_processes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, or 1 with a sentence on stderr, or 130 after Ctrl-C. Wrong arguments leave with 2.
    """
    return run_command(_parser(), _run, arguments, "Interrupted; no trained weights were written.")


def _run(options: argparse.Namespace) -> int:
    with joined_processes(options.device) as processes:
        prepare_comfyui(options.comfyui, options.device == "cpu")
        done = options.run(options)
        if processes.leads:
            print(done, flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lumosx_core.training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (lora_run, polyvivid_run, tiny_run, codec_run, lynx_run, tiny_hunyuan_run, tiny_polyvivid_run):
        module.add_command(commands)
    for command in commands.choices.values():
        command.add_argument("--comfyui", type=Path, metavar="DIR", help="the ComfyUI to encode with")
    return parser


if __name__ == "__main__":
    sys.exit(main())
