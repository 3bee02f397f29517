"""How much of what the video reads of something worn lies on the person who wears it.

    python dev.py bench relation_map [--scenes 32] [--steps 16] [--json FILE]

The small model samples scenes of two people of the held-out world. LumosX Relation Map then looks at each finished
latent. Where a person is, the drawn world knows: the pixels that change if somebody else plays the role. A token of the
video counts as a person's if one pixel in twenty is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.binding import CFG, EXACT, SHIFT, Bench, Job, share, variants
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.models.wan.config import WAN21_LATENT
from lumosx_core.tiny.trained import CODEC, TRAINED
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import Cast, draw_cast, visible_wear
from lumosx_core.tiny.world.measure import differing_pixels, draw_pixels
from lumosx_core.tiny.world.scenery import WIDTH
from lumosx_core.tiny.world.script import Script

LEVELS = (0.9, 0.7, 0.5, 0.3)
BLOCKS = {"deep": None, "all": frozenset(range(512)), **{f"block {number}": frozenset({number}) for number in range(5)}}
_OTHER_CASTS, _LEAST = 4, 0.05


def people_of(script: Script, cast: Cast, frames: int) -> torch.Tensor:
    """Where each person is: [people, frames, rows, columns] bool, for each token of a clip.

    Args:
        script, cast: the clip.
        frames: latent frames.
    """
    length = WAN21_LATENT.video_frames(frames)
    shown = range(0, length, WAN21_LATENT.frame_stride)
    random = np.random.default_rng(0)
    others = [draw_cast(random, script, Split.HELD_OUT) for _ in range(_OTHER_CASTS)]
    side = WAN21_LATENT.pixel_stride * WAN21_LATENT.patch[1]
    truth, found = draw_pixels(script, cast, shown, length, WIDTH), []
    for owner in range(len(cast.people)):
        people = [[*cast.people[:owner], other.people[owner], *cast.people[owner + 1:]] for other in others]
        casts = [replace(cast, people=tuple(one)) for one in people]
        clips = [truth, *(draw_pixels(script, one, shown, length, WIDTH) for one in casts)]
        pixels = torch.from_numpy(differing_pixels(clips)).float()
        found.append(torch.nn.functional.avg_pool2d(pixels[None], side)[0] >= _LEAST)
    return torch.stack(found)


def worn_by(script: Script) -> list[int | None]:
    """For each reference in token order, the index of the person who wears it; None for what nobody wears."""
    owners: list[int | None] = [None] * (bool(script.place_shown) + bool(script.thing and script.thing_shown))
    for number in script.subjects:
        owners += [None, *[number for _ in visible_wear(script.roles[number].wears)]]
    return owners


def shares_of_owners(heat: torch.Tensor, people: torch.Tensor, owners: list[int | None]) -> Iterator[dict[str, float]]:
    """For each worn thing, how much of its mass is on its owner: of what is on people, and of all there is.

    Args:
        heat: [references, frames, rows, columns].
        people: as ``people_of`` returns it.
        owners: as ``worn_by`` returns it.
    """
    for one, owner in zip(heat, owners):
        if owner is not None:
            own = one[people[owner]].sum().item()
            others = one[people.any(0) & ~people[owner]].sum().item()
            yield {"of people": own / (own + others), "of all": own / one.sum().item()}


def main(arguments: list[str], base: Path) -> int:
    """Print a row for each noise level and choice of blocks, and write them as JSON if ``--json`` is given."""
    from lumosx_core.host.sampling.relation_map import MapPlan, relation_map

    options = _parse(arguments)
    bench = Bench(TRAINED, base, options.scenes, (2,), CODEC)
    variant = variants(options.steps)[EXACT]
    model, rows = bench.model(variant), {}
    with torch.inference_mode():
        made = bench.latents(variant, {"steps": options.steps, "cfg": CFG, "shift": SHIFT}, options.scenes)
        for number, (job, cast, latent) in enumerate(made):
            print(f"relation_map: scene {number + 1} of {options.scenes}", file=sys.stderr, flush=True)
            people, owners = people_of(job.script, cast, latent.shape[1]), worn_by(job.script)
            for name, plan in _plans():
                shares = relation_map(model, _positive(job, cast), _latent(latent), MapPlan(*plan, seed=number))[0]
                rows.setdefault(name, []).extend(shares_of_owners(shares, people, owners))
    result = {
        "machine": describe_machine(), "scenes": options.scenes, "steps": options.steps,
        "rows": [{"variant": name, **_summary(found)} for name, found in rows.items()],
    }
    print(f"{result['machine']}; {options.scenes} scenes of two people.\n")
    print(table(result["rows"]))
    if options.json:
        write_json(options.json, result)
    return 0


def _plans() -> Iterator[tuple[str, tuple]]:
    for name, blocks in BLOCKS.items():
        yield f"{name}, noise level 0.7", ((0.7,), blocks)
    for level in LEVELS:
        if level != 0.7:
            yield f"deep, noise level {level}", ((level,), None)
    yield "deep, all four noise levels", (LEVELS, None)


def _positive(job: Job, cast: Cast) -> list:
    from lumosx_core.host.socket import model_conditions
    from lumosx_core.models.lumosx.sequence import Binding

    place = job.casts.index(cast)
    references = [reference[place:place + 1] for reference in job.references]
    return [[job.positive[:1], {"model_conds": model_conditions(references, Binding.of_words(job.words))}]]


def _latent(latent: torch.Tensor) -> dict:
    """A LATENT as the sampler returns it, of a normalised latent [16, frames, height, width]."""
    from lumosx_core.tiny.codec import denormalised

    return {"samples": denormalised(latent[None])}


def _summary(found: list[dict[str, float]]) -> dict:
    numbers = {name: np.asarray([one[name] for one in found]) for name in ("of people", "of all")}
    return {
        "things": len(found),
        **{name: {"mean": float(one.mean()), "error": float(1.96 * one.std(ddof=1) / len(one) ** 0.5)}
           for name, one in numbers.items()},
        "most on owner": share([bool(one > 0.5) for one in numbers["of people"]]),
    }


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    lines = ["| | of the mass on people | of all its mass | read most on its owner |", "|---|---|---|---|"]
    for row in rows:
        parts = (f"{row[name]['mean']:.1%} ± {row[name]['error']:.1%}" for name in ("of people", "of all"))
        most = row["most on owner"]
        lines.append(f"| {row['variant']} | {' | '.join(parts)} | {most['share']:.1%} of {most['count']} |")
    return "\n".join(lines)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench relation_map", description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=32, help="scenes of two people (%(default)s)")
    parser.add_argument("--steps", type=int, default=16, help="steps of the sampler (%(default)s)")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    _parse(sys.argv[1:])
    with own_comfyui(cpu=True) as own:
        sys.exit(main(sys.argv[1:], own))
