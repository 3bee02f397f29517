"""How many errors a clip has when the best of several seeds is finished, against one seed, on the small model.

    python dev.py bench best_of [--scenes 48] [--people 3] [--seeds 4] [--first-steps 5] [--steps 16] [--json FILE]

Every seed of a scene is sampled twice: in a few steps, as the first sampler of the template does, and in all. Clips are
measured as in ``bench binding``: an error is a face or a worn thing that looks more like somebody else's. The choice is
made by the rule of LumosX Best Of from what is measured in the few steps, and counted in all steps; a second rule sees
the finished clips, to say what choosing could gain at most. Real videos are chosen by face models and not by drawings.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.binding import CASTS, CFG, SHIFT, STEPS, Bench, Job, Variant, sample_casts
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.scores.choosing import ClipScore, best_clip
from lumosx_core.tiny.trained import TRAINED
from lumosx_core.tiny.world.measure import FACE, Measured
from lumosx_core.training.checking import measured

RESAMPLES, CONFIDENCE = 2000, 0.95
_FAR = 255.0


def errors_of(found: Measured) -> int:
    """Faces and worn things that look more like somebody else's."""
    return sum(not place.is_own for place in found.places)


def score_of(found: Measured) -> ClipScore:
    """What the rule of LumosX Best Of takes, from drawings: likeness is 1 where nothing differs from the drawing."""
    faces = [place for place in found.places if place.kind == FACE]
    worn = [place for place in found.places if place.kind != FACE]
    near = [1 - (place.distances[place.owner] or 0.0) / _FAR for place in faces]
    return ClipScore(
        sum(not place.is_own for place in faces), sum(not place.is_own for place in worn),
        sum(near) / len(near) if near else 0.0,
    )


def run(bench: Bench, options: argparse.Namespace) -> list[dict]:
    """A row for each scene: errors of each seed, in few steps and in all, and which seed each rule takes."""
    plan = {"cfg": options.cfg, "shift": options.shift}
    variant, rows = Variant(), []
    model = bench.model(variant)
    jobs = [job for jobs in bench.jobs.values() for job in jobs][:math.ceil(options.scenes / CASTS)]
    for job in jobs:
        print(f"best_of: {len(rows)} scenes", file=sys.stderr, flush=True)
        few, whole = (
            [_found(bench, model, job, variant, {**plan, "steps": steps}, seed) for seed in range(options.seeds)]
            for steps in (options.first_steps, options.steps)
        )
        for cast in range(len(job.casts)):
            rows.append({
                "people": len(job.script.roles),
                "few": [errors_of(seed[cast]) for seed in few], "whole": [errors_of(seed[cast]) for seed in whole],
                "chosen": best_clip([score_of(seed[cast]) for seed in few]),
                "places": len(whole[0][cast].places),
            })
    return rows


def _found(bench: Bench, model, job: Job, variant: Variant, plan: dict, seed: int) -> list[Measured]:
    """Of all casts with one seed."""
    job = dataclasses.replace(job, seed=job.seed + 10**6 * seed)
    latents = sample_casts(model, job, variant, plan)
    return [
        measured(job.script, cast, job.casts[number - 1], latent, bench.codec)
        for number, (cast, latent) in enumerate(zip(job.casts, latents))
    ]


def summary(rows: Sequence[dict]) -> dict:
    """Errors a clip of one seed, of the chosen one, and of the best that there was; each with an interval."""
    first = np.array([row["whole"][0] for row in rows], float)
    mean = np.array([np.mean(row["whole"]) for row in rows])
    chosen = np.array([row["whole"][row["chosen"]] for row in rows], float)
    best = np.array([min(row["whole"]) for row in rows], float)
    return {
        "scenes": len(rows), "places a scene": float(np.mean([row["places"] for row in rows])),
        "one seed": _interval(mean), "first seed": _interval(first), "chosen": _interval(chosen),
        "least of all": _interval(best), "chosen less one seed": _interval(chosen - mean),
    }


def _interval(values: np.ndarray) -> dict:
    """Mean with a bootstrap interval over scenes."""
    random = np.random.default_rng(0)
    means = values[random.integers(0, len(values), (RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def table(found: dict) -> str:
    """As Markdown."""
    lines = ["| errors a clip | mean | 95 % |", "|---|---|---|"]
    lines += [
        f"| {name} | {one['mean']:.3f} | {one['low']:.3f} to {one['high']:.3f} |"
        for name, one in found.items() if isinstance(one, dict)
    ]
    return "\n".join(lines)


def main(arguments: list[str], base: Path) -> int:
    """Print the table; write JSON where asked."""
    options = _parse(arguments)
    with torch.inference_mode():
        bench = Bench(TRAINED, base, options.scenes, (options.people,))
        started = time.monotonic()
        rows = run(bench, options)
        result = {
            "machine": describe_machine(), "steps": options.steps, "first_steps": options.first_steps,
            "seeds": options.seeds, "people": options.people, "cfg": options.cfg, "shift": options.shift,
            "seconds": time.monotonic() - started, "found": summary(rows), "rows": rows,
        }
    print(f"{result['machine']}; {options.people} people, {options.seeds} seeds, {options.first_steps} of "
          f"{options.steps} steps.\n\n{table(result['found'])}")
    if options.json:
        write_json(options.json, result)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python dev.py bench best_of", description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--people", type=int, choices=(2, 3), default=3)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-steps", type=int, default=5, help="of the clips that are chosen from (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--cfg", type=float, default=CFG)
    parser.add_argument("--shift", type=float, default=SHIFT)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    _parse(sys.argv[1:])
    with own_comfyui(cpu=True) as folder:
        sys.exit(main(sys.argv[1:], folder))
