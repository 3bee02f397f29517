"""``python -m lumosx_core.data build VIDEOS OUT``: cases to train on, from videos; the same command continues a run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

from ..cli import number, run_command, say
from ..errors import LumosXError
from ..faces.catalogue import DETECTORS, open_detector
from ..faces.face import ModelFolders
from ..runner.journal import only_runner
from .backends import Backends, ModelFailed
from .build import FAILED, MADE, RESULTS, Build, Outcome, check_out, find_videos
from .chat import ChatModel
from .locators import OwlPlaces
from .progress import shown_progress
from .report import write_report
from .settings import Settings
from .shot_finders import CHANGE, FINDERS, open_shot_finder

OpenBackends = Callable[[argparse.Namespace], Backends]


def main(arguments: Sequence[str] | None = None, open_backends: OpenBackends | None = None) -> int:
    """Run the command line.

    Args:
        arguments: those of the program unless given.
        open_backends: makes the models; those of the options unless given.

    Returns:
        0 when every clip became a case or was rejected, 1 when some failed or it cannot go on, 130 after Ctrl-C; 2 for
        wrong arguments.
    """
    return run_command(
        _parser(), lambda options: _build(options, open_backends or _open_backends), arguments,
        "Stopped; the same command continues here.",
    )


def _build(options: argparse.Namespace, open_backends: OpenBackends) -> int:
    videos = find_videos(options.videos)
    check_out(options.out)
    settings = _settings(options)
    backends = open_backends(options)
    options.out.mkdir(parents=True, exist_ok=True)
    with only_runner(options.out / RESULTS), shown_progress() as progress:
        build = Build(options.out, backends, settings, progress)
        try:
            build.run(videos)
        finally:
            report = write_report(options.out, build.outcomes)
    print(f"{_summary(build.outcomes)}; see {report}.", flush=True)
    return 1 if any(outcome.status == FAILED for outcome in build.outcomes) else 0


def _summary(outcomes: Sequence[Outcome]) -> str:
    made, failed = (sum(outcome.status == status for outcome in outcomes) for status in (MADE, FAILED))
    return f"{len(outcomes)} clips: {made} became cases, {len(outcomes) - made - failed} rejected, {failed} failed"


def _open_backends(options: argparse.Namespace) -> Backends:
    """The models of the options, the quick checks first.

    Raises:
        LumosXError: an address, a key, a package or a file that is missing or wrong.
    """
    key = ""
    if options.key_variable:
        key = os.environ.get(options.key_variable, "")
        if not key:
            raise LumosXError(f"--key-variable: {options.key_variable} is not set; set it to the server's key.")
    model = ChatModel(options.url, options.model, key, options.timeout)
    folders = ModelFolders((options.models / "insightface",), (options.models / "lumosx",))
    shots, faces = open_shot_finder(options.shots), open_detector(options.faces, folders)
    try:
        model.check()
    except ModelFailed as error:
        raise LumosXError(f"--url: {error}") from error
    locator = OwlPlaces(folders, options.device)
    say("OWLv2 is open.", sys.stderr)
    return Backends(shots, faces, model, locator)


def _settings(options: argparse.Namespace) -> Settings:
    own = {field.name: getattr(options, field.name) for field in fields(Settings) if hasattr(options, field.name)}
    settings = replace(Settings(), **own)
    if settings.most_seconds < settings.least_seconds:
        raise LumosXError("--most-seconds: it is below --least-seconds; give a larger number.")
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lumosx_core.data", description=__doc__)
    build = parser.add_subparsers(required=True, metavar="COMMAND").add_parser("build", help="make cases from videos")
    build.add_argument("videos", metavar="VIDEOS", type=Path, help="a video, or a folder of them")
    build.add_argument("out", metavar="OUT", type=Path, help="gets cases/, work/, results.jsonl and report.html")
    build.add_argument("--url", default="http://127.0.0.1:1234/v1", help="of the language model (%(default)s)")
    build.add_argument("--model", required=True, metavar="NAME", help="as the server calls it; it must see pictures")
    build.add_argument("--key-variable", metavar="NAME", help="the environment variable that holds the server's key")
    build.add_argument("--timeout", type=_positive, default=300.0, metavar="SECONDS",
                       help="of one answer (%(default)s)")
    build.add_argument("--models", type=Path, default=Path("models"), metavar="DIR",
                       help="ComfyUI's folder of models, with insightface/ and lumosx/ in it (%(default)s)")
    build.add_argument("--faces", choices=DETECTORS, default=DETECTORS[0], help="detector (%(default)s)")
    build.add_argument("--shots", choices=FINDERS, default=CHANGE, help="what finds cuts (%(default)s)")
    build.add_argument("--device", default="cpu", help="of the locator, such as cuda (%(default)s)")
    plain = Settings()
    for name, words in (("least_seconds", "of a clip"), ("most_seconds", "of a clip; longer shots become several"),
                        ("least_motion", "mean change of a pixel, 0 to 255; 0 keeps stills")):
        build.add_argument(f"--{name.replace('_', '-')}", type=number, default=getattr(plain, name), metavar="N",
                           help=f"{words} (%(default)s)")
    sides = {"least_side": "pixels of a video's short side", "least_face": "pixels of a face's short side"}
    for name, words in sides.items():
        build.add_argument(f"--{name.replace('_', '-')}", type=_whole, default=getattr(plain, name), metavar="N",
                           help=f"{words} (%(default)s)")
    build.add_argument("--keep-subtitles", dest="refuse_subtitles", action="store_false",
                       help="keep clips with words over the picture")
    build.add_argument("--flag", action="store_true", help="keep clips whose votes disagree, with a note")
    return parser


def _positive(text: str) -> float:
    if not (seconds := number(text)):
        raise argparse.ArgumentTypeError("0 seconds are too few")
    return seconds


def _whole(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"{text} must be a whole number >= 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
