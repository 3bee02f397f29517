"""Who is found in drawn clips: cliques of crops, beside linking neighbours as Union-Find does.

    python dev.py bench subjects [--clips 100] [--seed 0] [--tau 0.1] [--json FILE]

Each clip has two or three people, every third clip twins, many clips of two an exchange of places, and each two
crops that hold two people. A clip counts if it gives exactly the script's people: as many subjects as people, no
subject with crops of two of them, and a crop of one person to stand for each. Crops are told apart by their colours.
The results go to ``benchmarks/results``; ``docs/polyvivid.md`` has the table.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import networkx
import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.measuring import write_json
from lumosx_core.models.polyvivid.cliques import consolidate, least_size, similarity_graph
from lumosx_core.scores.attributes.colour import ColourLikeness
from lumosx_core.scores.crop_likeness import COLOUR_TAU
from tools.clip_crops import BRIDGE, ClipCrops, draw_clip_crops

CLIQUES, LINKED = "cliques", "linked neighbours"
TWINS, EXCHANGE = "with twins (same face, different clothes)", "two people change places"
TWINS_EVERY = 3
RESULTS = Path(__file__).with_name("results") / "subjects_cpu.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, group, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tau", type=float, default=COLOUR_TAU)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the results (%(default)s)")
    options = parser.parse_args(arguments)
    result = {
        "machine": describe_machine(), "tau": options.tau,
        "clips": measure(range(options.seed, options.seed + options.clips), options.tau),
    }
    print(table_of(result))
    write_json(options.json, result)
    return 0


def table_of(result: dict) -> str:
    """The clips of each kind in which exactly the people were found, as Markdown."""
    lines = [f"| clips | number | {CLIQUES} | {LINKED} |", "|---|---|---|---|"]
    for kind, rows in result["clips"].items():
        exact = {way: sum(row[way] for row in rows) for way in (CLIQUES, LINKED)}
        lines.append(f"| {kind} | {len(rows)} | {exact[CLIQUES]} exact | {exact[LINKED]} exact |")
    return "\n".join(lines)


def measure(seeds: Sequence[int], tau: float) -> dict[str, list[dict]]:
    """For each kind of clip, and for all, whether each way found exactly the people."""
    found: dict[str, list[dict]] = defaultdict(list)
    for seed in seeds:
        twins = seed % TWINS_EVERY == 0
        clip = draw_clip_crops(seed, twins=twins)
        vectors = ColourLikeness().of_crops(clip.pictures)
        similarity = vectors @ vectors.T
        row = {
            "seed": seed, CLIQUES: _by_cliques(clip, similarity, tau), LINKED: _by_linking(clip, similarity, tau),
        }
        kinds = ["all", *([TWINS] if twins else []), *([EXCHANGE] if clip.script.exchange else [])]
        for kind in kinds:
            found[kind].append(row)
    return dict(found)


def is_exact(clip: ClipCrops, groups: Sequence[Sequence[int]], standing: Sequence[int]) -> bool:
    """Whether groups of crops, and the crops that stand for them, are exactly the clip's people."""
    people = list(range(len(clip.script.roles)))
    owners = [{clip.owners[one] for one in group} - {BRIDGE} for group in groups]
    single = sorted(min(each) for each in owners if len(each) == 1)
    return single == people == sorted(clip.owners[one] for one in standing) and len(groups) == len(people)


def _by_cliques(clip: ClipCrops, similarity: np.ndarray, tau: float) -> bool:
    subjects = consolidate(similarity, clip.frames, tau).subjects
    return is_exact(clip, [one.members for one in subjects], [one.representative for one in subjects])


def _by_linking(clip: ClipCrops, similarity: np.ndarray, tau: float) -> bool:
    graph = similarity_graph(similarity, clip.frames, tau)
    least = least_size(len(set(clip.frames)))
    groups = [sorted(one) for one in networkx.connected_components(graph) if len(one) >= least]
    standing = [max(group, key=lambda one, group=group: similarity[one, group].sum()) for group in groups]
    return is_exact(clip, groups, standing)


if __name__ == "__main__":
    sys.exit(main())
