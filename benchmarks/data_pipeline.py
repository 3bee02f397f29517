"""Whether cases made of drawn videos say what their scripts say, whatever the language model answers.

    python dev.py bench data_pipeline [--clips 200] [--seed 0] [--wrong 0.4] [--malformed 0.2] [--json FILE]

Each film has one to three people; in some they change places, in many they wear the same kinds of things. The caption
is the script's. The language model names a wrong owner in ``--wrong`` of its answers, and breaks a rule that code can
check in ``--malformed`` of its first answers. Faces and things are found by stand-ins that know what is drawn where;
they miss one thing in twenty and take another's thing for one in three of a hundred, in each frame. So this measures
the pipeline's rules, not any model. The results go to ``benchmarks/results``; ``docs/data.md`` has the table.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.measuring import write_json
from lumosx_core.cases import load_case
from lumosx_core.data.build import CASES, MADE, Build
from lumosx_core.data.progress import shown_progress
from lumosx_core.data.settings import Settings
from tools.drawn_data import FRAMES, Films, ScriptedModel, draw_film, relations_of

RESULTS = Path(__file__).with_name("results") / "data_pipeline_cpu.json"
BATCH = 20
"""Films that are kept in memory at a time."""
SETTINGS = replace(Settings(), least_motion=0.0)
"""Drawn people may stand still for a whole clip."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, build, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wrong", type=float, default=0.4)
    parser.add_argument("--malformed", type=float, default=0.2)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the results (%(default)s)")
    options = parser.parse_args(arguments)
    began, rows = time.monotonic(), []
    for start in range(options.seed, options.seed + options.clips, BATCH):
        seeds = range(start, min(start + BATCH, options.seed + options.clips))
        rows += measure(seeds, options.wrong, options.malformed)
    result = {
        "machine": describe_machine(), "wrong": options.wrong, "malformed": options.malformed,
        "seconds": round(time.monotonic() - began, 1), "summary": summary_of(rows), "clips": rows,
    }
    print(table_of(result["summary"]))
    write_json(options.json, result)
    return 0


def measure(seeds: Sequence[int], wrong: float, malformed: float, frames: int = FRAMES) -> list[dict]:
    """For each film what its answer was, what became of it, and whether the case says what the script says."""
    with tempfile.TemporaryDirectory(prefix="lumosx-bench-") as folder:
        films = Films(Path(folder), [draw_film(seed, frames=frames) for seed in seeds])
        model = ScriptedModel(films, wrong, malformed)
        out = Path(folder, "out")
        with shown_progress() as progress:
            build = Build(out, films.backends(model), SETTINGS, progress)
            build.run(films.paths)
        return [
            {"seed": seed, "people": len(film.script.roles), "exchange": film.script.exchange,
             "fault": model.faults.get(film.script.prompt), "status": outcome.status, "reason": outcome.reason,
             **_compared(out, outcome, film)}
            for seed, film, outcome in zip(seeds, films.films, build.outcomes)
        ]


def _compared(out: Path, outcome, film) -> dict:
    """Whether a case has exactly the script's relations, or at least no other ones; None where there is no case."""
    if outcome.status != MADE:
        return {"exact": None, "no_wrong_one": None}
    people, things = relations_of(load_case(out / CASES / outcome.name))
    true_people, true_things = film.relations
    no_wrong_one = things <= true_things and len(people) == len(true_people) and all(
        words == true_words and attributes <= true_attributes
        for (words, attributes), (true_words, true_attributes) in zip(people, true_people)
    )
    return {"exact": (people, things) == (true_people, true_things), "no_wrong_one": no_wrong_one}


def summary_of(rows: Sequence[dict]) -> dict:
    """Counts of clips."""
    made = [row for row in rows if row["status"] == MADE]
    wrong = [row for row in rows if row["fault"]]
    right = [row for row in rows if not row["fault"]]
    faults = {}
    for fault in sorted({row["fault"] for row in wrong}):
        own = [row for row in wrong if row["fault"] == fault]
        faults[fault] = {"clips": len(own), "caught": sum(row["status"] != MADE for row in own)}
    return {
        "clips": len(rows), "made": len(made), "exact": sum(row["exact"] for row in made),
        "no_wrong_one": sum(row["no_wrong_one"] for row in made),
        "wrong": len(wrong), "caught": sum(row["status"] != MADE for row in wrong), "faults": faults,
        "right": len(right), "right_made": sum(row["status"] == MADE for row in right),
        "reasons": dict(Counter(row["reason"] for row in rows if row["status"] != MADE)),
    }


def table_of(summary: dict) -> str:
    """The summary as Markdown."""
    lines = [
        "| | clips |", "|---|---|",
        f"| all | {summary['clips']} |",
        f"| became cases | {summary['made']} |",
        f"| of these: exactly the script's relations | {summary['exact']} |",
        f"| of these: no wrong relation | {summary['no_wrong_one']} |",
        f"| right answers that became cases | {summary['right_made']} of {summary['right']} |",
        f"| wrong owners that were caught | {summary['caught']} of {summary['wrong']} |",
        *(f"| … {fault} | {each['caught']} of {each['clips']} |" for fault, each in summary["faults"].items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
