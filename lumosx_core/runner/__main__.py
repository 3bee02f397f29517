"""Run every case folder in ROOT on a running ComfyUI; the same command continues where it stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..cli import number, run_command, say
from ..errors import LumosXError
from .client import Server
from .graph import DEMO, Graph, read_graph
from .journal import DONE, FAILED, Journal, Results, only_runner
from .progress import shown_progress
from .run import Batch, Settings, find_cases


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 when every case is done, 1 when some failed or it cannot go on, 130 after Ctrl-C; 2 for wrong
        arguments.
    """
    return run_command(
        _parser(), _run, arguments, "Stopped; the server finishes what it has, and the same command continues here."
    )


def _run(options: argparse.Namespace) -> int:
    cases, others = find_cases(options.root)
    server, graph = Server(options.server), _graph(options)
    if others:
        _say(f"Ignored, since they are not cases: {', '.join(others)}.")
    if options.download is not None:
        _make_folder(options.download)
    path = options.results or options.root / "lumosx_results.jsonl"
    with only_runner(path):
        results, journal = Results(path), Journal(path.with_name(f"{path.name}.journal"))
        if results.passed_over:
            numbers = ", ".join(map(str, results.passed_over[:10])) + (" …" if len(results.passed_over) > 10 else "")
            _say(f"results: ignored line {numbers} of {path}, which cannot be read; its case runs again.")
        if options.retry_failed:
            _forget_failed(results, journal)
        _say_what_differs(results, graph)
        settings = Settings(options.root, graph, options.download, options.wait, options.timeout)
        with shown_progress(len({*cases, *results.lines}), len(results.lines)) as progress:
            Batch(settings, server, results, journal, progress).run(cases)
    failed = sum(line["status"] == FAILED for line in results.lines.values())
    print(f"{len(results.lines)} cases: {len(results.lines) - failed} done, {failed} failed; see {path}.", flush=True)
    return 1 if failed else 0


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LumosXError(f"download: {path} cannot be created ({error.strerror}); give another folder.") from error


def _graph(options: argparse.Namespace) -> Graph:
    if options.workflow is None:
        _say("No --workflow: the demo's small models make the videos; give your own graph, exported with Workflow > "
             "Export (API).")
    graph = read_graph(options.workflow or DEMO)
    return graph if options.seed is None else graph.with_seed(options.seed)


def _forget_failed(results: Results, journal: Journal) -> None:
    failed = [case for case, line in results.lines.items() if line["status"] == FAILED]
    # The journal first: their old prompts must not be looked up again once the lines are gone.
    for case in results.lines:
        journal.drop(case)
    results.drop(failed)


def _say_what_differs(results: Results, graph: Graph) -> None:
    done = [line for line in results.lines.values() if line["status"] == DONE]
    others = sum((line.get("workflow"), line.get("seed")) != (graph.sha256, graph.seed) for line in done)
    if others:
        _say(f"{others} cases were done earlier with another workflow or seed and stay as they are.")


def _say(text: str) -> None:
    say(text, sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lumosx_core.runner", description=__doc__)
    parser.add_argument("root", metavar="ROOT", type=Path, help="a folder of case folders")
    parser.add_argument("--server", metavar="URL", default="http://127.0.0.1:8188", help="default: %(default)s")
    parser.add_argument("--workflow", metavar="FILE", type=Path, help="a graph in API form with one LumosX Load Case")
    parser.add_argument("--seed", metavar="N", type=_seed, help="for every seed in the graph (default: the graph's)")
    parser.add_argument("--results", metavar="FILE", type=Path, help="default: ROOT/lumosx_results.jsonl")
    parser.add_argument("--download", metavar="DIR", type=Path, help="fetch the videos to DIR/<case>.mp4")
    parser.add_argument("--retry-failed", action="store_true", help="run the cases that failed earlier again")
    parser.add_argument("--timeout", metavar="MINUTES", type=_minutes, help="stop a case that runs longer")
    parser.add_argument("--wait", metavar="SECONDS", type=number, default=600.0,
                        help="for a server that does not answer (default: 600)")
    return parser


def _seed(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**64):
        raise argparse.ArgumentTypeError(f"{text} must be a whole number from 0 to 2^64 - 1")
    return int(text)


def _minutes(text: str) -> float:
    if not (minutes := number(text)):
        raise argparse.ArgumentTypeError("no case ends within 0 minutes")
    return 60 * minutes


if __name__ == "__main__":
    sys.exit(main())
