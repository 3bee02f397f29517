"""``python -m lumosx_core.scores``: who is in a video, who wears what and how much moves, without ComfyUI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..cases.reading import load_case
from ..cli import run_command, say
from ..errors import LumosXError
from ..faces.catalogue import AUTOMATIC, DETECTORS, EMBEDDERS
from ..faces.face import ModelFolders
from .attributes.score import EVERYTHING, LOCATE, MEASURES, REGION, AttributePlan, open_tools
from .command import score_folder, score_video
from .identity.measured import IdentityPlan
from .identity.models import NO_SECOND, SECOND_EMBEDDERS, ModelNames, open_models
from .identity.swaps import AS_IT_STARTS, ORDERS
from .video_scores import Equipment
from .watching import MODES, RECOMMENDED, Tick


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0, or 1 with a sentence on stderr or with cases that could not be scored, or 130 after Ctrl-C. Wrong arguments
        leave with 2.
    """
    return run_command(_parser(), _run, arguments, "Interrupted; the files of the current video were not written.")


def _run(options: argparse.Namespace) -> int:
    plan = IdentityPlan(options.mode, options.every, options.order)
    if not options.video.is_dir():
        case = load_case(options.case)
        say(score_video(options.video, case, _equipment(options), plan, options.out, _progress).report())
        return 0
    if not options.case.is_dir():
        raise LumosXError(f"case: {options.case} is not a folder; with a folder of videos, give the folder of the "
            "cases.")
    result = score_folder(options.video, options.case, _equipment(options), plan, options.out, _progress)
    say(result.report())
    return 1 if result.failed else 0


def _equipment(options: argparse.Namespace) -> Equipment:
    folders = ModelFolders()
    if options.models is not None:
        folders = ModelFolders((options.models / "insightface",), (options.models / "lumosx",))
    names = ModelNames(options.detector, options.embedder, options.second_embedder)
    wanted = AttributePlan(options.by, options.locate)
    # Opened for the first case that has attributes, and then kept for all.
    return Equipment(open_models(names, folders), cache(lambda: open_tools(wanted, folders)))


def _progress(*names: str) -> Tick:
    """A line on stderr for each fifth of the frames, where their number is known."""
    shown = 0

    def tick(done: int, total: int) -> None:
        nonlocal shown
        fifth = 5 * done // total if total else 0
        if fifth > shown:
            shown = fifth
            say(" ".join([*names, f"{done} of {total} frames"]), sys.stderr)

    return tick


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lumosx_core.scores", description=__doc__)
    parser.add_argument("video", type=Path, help="a video file, or a folder of them")
    parser.add_argument("case", type=Path, help="its case folder, or with a folder of videos the folder of the cases")
    parser.add_argument("--mode", choices=MODES, default=RECOMMENDED)
    parser.add_argument("--embedder", choices=EMBEDDERS, default=AUTOMATIC, help="tells faces apart")
    parser.add_argument("--second-embedder", choices=SECOND_EMBEDDERS, default=NO_SECOND, help="compares them again")
    parser.add_argument("--detector", choices=DETECTORS, default=DETECTORS[0], help="finds faces")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="use only every N-th frame")
    parser.add_argument("--order", choices=ORDERS, default=AS_IT_STARTS, help="the order of people that counts as "
        "right")
    parser.add_argument("--by", choices=MEASURES, default=EVERYTHING, help="compares attributes")
    parser.add_argument("--locate", choices=LOCATE, default=REGION, help="where to look for attributes")
    parser.add_argument("--models", type=Path, metavar="DIR", help="the models folder of a ComfyUI")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write JSON, plots and an annotated video here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
