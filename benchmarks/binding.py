"""Who wears what: how often the small model binds a face and what is worn to its owner, and what each option costs.

    python dev.py bench binding [--model FILE] [--scenes 200] [--people 2 3] [--only NAME ...] [--json FILE]
        [--picture FILE]

Scenes of the held-out world, which no training ever drew from, are sampled through the code of the nodes. Everybody in
a scene wears things of the same kinds and the prompt names no colours, so that nothing but the relations says what is
whose. Each place in the last video frame of each latent frame is compared with what everybody's references would look
like there. With ``--model``, ``--codec``, ``--steps``, ``--cfg`` and ``--shift`` at their defaults the first row gives
the figures of docs/binding.md again.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import binding_chunks as chunks
from benchmarks.binding_picture import draw_owner_matrices
from benchmarks.caching import with_cache
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.models.lumosx.negative import NegativeGuidance
from lumosx_core.models.lumosx.presence import Presence
from lumosx_core.models.lumosx.sequence import Binding, BoundWord, bound_words
from lumosx_core.scene.binding import bind_prompt
from lumosx_core.scene.influence import Influence
from lumosx_core.scene.prompt import NEGATIVE_PROMPT
from lumosx_core.tiny.codec import normalised
from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.trained import CODEC, TRAINED
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import Cast, draw_cast
from lumosx_core.tiny.world.measure import FACE, Measured
from lumosx_core.tiny.world.relations import scene_of
from lumosx_core.tiny.world.script import Script, draw_script
from lumosx_core.training.checking import measured
from lumosx_core.training.examples import encode_references

CASTS, FRAMES = 4, 3
"""Scenes that share a script, and are sampled together; latent frames of each."""
STEPS, CFG, SHIFT = 16, 2.0, 5.0
SEED = 7
CONFIDENCE = 1.96
EXACT = "as trained"


@dataclass(frozen=True)
class Variant:
    """A way to run the model.

    Attributes:
        weights: format of the copy that is loaded.
        options: constants of LumosX Model.
        plan: what it changes in the sampling.
        cache: a core node, with its defaults.
        blank_references: give the unconditional pass zero latents instead of the references.
        away: guide the video away from the negative prompt inside the pass, as LumosX Negative at CFG 1.
        strength: of every reference.
        part: of the steps in which every reference is there, in [0, 1].
        clip: 0 for clips of ``FRAMES``; 1 or 2 for that of two clips of ``chunks.FRAMES`` in which the second one
            continues the first, in scenes where nobody changes places.
    """

    weights: str = "bf16"
    options: RelationalOptions = RelationalOptions()
    plan: dict = field(default_factory=dict)
    cache: str = ""
    blank_references: bool = False
    away: bool = False
    strength: float = 1.0
    part: tuple[float, float] = (0.0, 1.0)
    clip: int = 0

    @property
    def frames(self) -> int:
        """Latent frames of a clip."""
        return chunks.FRAMES if self.clip else FRAMES


def variants(steps: int) -> dict[str, Variant]:
    """What is compared, by the name in the table; the trained model comes first."""
    return {
        EXACT: Variant(),
        "without R2PE": Variant(options=RelationalOptions(r2pe=False)),
        "without CSAM": Variant(options=RelationalOptions(csam=False)),
        "without MCAM": Variant(options=RelationalOptions(ratio=0.0)),
        "without all three": Variant(options=RelationalOptions(ratio=0.0, r2pe=False, csam=False)),
        "fp8_scaled": Variant("fp8_scaled"),
        "q8_0": Variant("q8_0"),
        "q4_0": Variant("q4_0"),
        "bf16 residual": Variant(options=RelationalOptions(float32_residual=False)),
        "EasyCache": Variant(cache="EasyCacheNode"),
        "LazyCache": Variant(cache="LazyCacheNode"),
        "guidance for 60% of the steps": Variant(plan={"guidance_end_step": round(0.6 * steps)}),
        "no guidance (cfg 1)": Variant(plan={"cfg": 1.0}),
        "negative prompt at cfg 1 (NAG)": Variant(plan={"cfg": 1.0}, away=True),
        "cfg 6": Variant(plan={"cfg": 6.0}),
        "half the steps": Variant(plan={"steps": max(1, steps // 2)}),
        "zero latents in the negative": Variant(blank_references=True),
        "strength 0.5": Variant(strength=0.5),
        "strength 2": Variant(strength=2.0),
        "references up to 50% of the steps": Variant(part=(0.0, 0.5)),
        "references from 50% of the steps": Variant(part=(0.5, 1.0)),
        "first of two clips": Variant(clip=1),
        "second of two clips (LumosX Continue)": Variant(clip=2),
    }


@dataclass(frozen=True)
class Job:
    """Scenes that share a script, encoded."""

    script: Script
    casts: list[Cast]
    references: list[torch.Tensor]
    positive: torch.Tensor
    negative: torch.Tensor
    words: tuple[BoundWord, ...]
    seed: int


class Bench:
    """The small model in every format, and the scenes.

    Args:
        trained: the model's file.
        base: folder of ComfyUI's own, where the copies are written.
        scenes: how many, for each number of people.
        codec: of its latents.
    """

    def __init__(self, trained: Path, base: Path, scenes: int, people: tuple[int, ...], codec: Path = CODEC):
        from lumosx_core.host.training import TextSide
        from lumosx_core.host.weights.tiny import load_tiny_clip

        self._trained, self.codec = trained, load_codec(codec)
        self._folder = base / "models" / "diffusion_models"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._text = TextSide(load_tiny_clip())
        self._negative = self._text.encode(NEGATIVE_PROMPT)
        self.jobs = {
            count: [self._job(number, count) for number in range(math.ceil(scenes / CASTS))] for count in people
        }

    def _job(self, number: int, people: int) -> Job:
        random = np.random.default_rng([SEED, people, number])
        script = draw_script(random, people, colour_words=False, same_kinds=True, drop=False)
        casts = [draw_cast(random, script, Split.HELD_OUT) for _ in range(CASTS)]
        references = encode_references(self.codec, random, [script] * CASTS, casts)
        return Job(
            script, casts, references, self._text.encode(script.prompt), self._negative,
            bound_words(bind_prompt(self._text.tokenise, scene_of(script), script.prompt)), 100 * people + number,
        )

    def model(self, variant: Variant):
        """The MODEL that LumosX Model Loader and LumosX Model give."""
        from lumosx_core.host.methods.lumosx import relational_model
        from lumosx_core.host.methods.lumosx_negative import model_away_from
        from lumosx_core.host.weights.loader import load_model
        from lumosx_core.weights.convert import convert
        from lumosx_core.weights.precision import ending

        name = f"lumosx_tiny_{variant.weights}{ending(variant.weights)}"
        if not (self._folder / name).exists():
            convert(self._trained, self._folder / name, variant.weights)
        model = relational_model(load_model(name), variant.options)
        if variant.away:
            model = model_away_from(model, [[self._negative[:1], {}]], NegativeGuidance())
        return with_cache(model, variant.cache) if variant.cache else model

    def run(self, variant: Variant, plan: dict, scenes: int) -> Iterator[tuple[Script, Measured]]:
        """Sample and measure the first ``scenes`` scenes of each number of people."""
        for job, cast, latent in self.latents(variant, plan, scenes):
            other = job.casts[job.casts.index(cast) - 1]
            if variant.clip:
                found = chunks.measured_where_new(job.script, cast, other, latent, self.codec, variant.clip == 2)
            else:
                found = measured(job.script, cast, other, latent, self.codec)
            yield job.script, found

    def latents(self, variant: Variant, plan: dict, scenes: int) -> Iterator[tuple[Job, Cast, torch.Tensor]]:
        """What is sampled of the same scenes, normalised [16, frames, h, w]."""
        model = self.model(variant)
        vae = chunks.vae_of(self.codec) if variant.clip == 2 else None
        plan = {**plan, **variant.plan}
        for job in (job for jobs in self.jobs.values() for job in jobs[:math.ceil(scenes / CASTS)]):
            if variant.clip and job.script.exchange:
                continue
            made = sample_casts(model, job, variant, plan)
            if variant.clip == 2:
                # Other noise, as a user would choose another seed.
                again = dataclasses.replace(job, seed=job.seed + 10**6)
                made = chunks.second_clips(made, self.codec, vae, partial(_sampled, model, again, variant, plan))
            for cast, latent in zip(job.casts, made):
                yield job, cast, latent


def sample_casts(model, job: Job, variant: Variant, plan: dict) -> torch.Tensor:
    """All casts at once, from noise, normalised."""
    latent = torch.zeros(CASTS, 16, variant.frames, *job.references[0].shape[-2:])
    # ComfyUI hands latents on as the VAE takes them.
    return normalised(_sampled(model, job, variant, plan, {"samples": latent}).float().cpu())


def _sampled(model, job: Job, variant: Variant, plan: dict, latent: dict) -> torch.Tensor:
    """As LumosX Sampler does it."""
    from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
    from lumosx_core.host.socket import model_conditions

    start, end = (_share(at, {"shift": SHIFT, **plan}["shift"], model) for at in variant.part)
    influence = Influence(variant.strength, start, end)
    words = tuple(dataclasses.replace(word, influence=influence) for word in job.words)

    def condition(text: torch.Tensor, references: list[torch.Tensor]) -> list:
        return [[text, {"model_conds": model_conditions(references, Binding.of_words(words), Presence(words))}]]

    unseen = [torch.zeros_like(reference) for reference in job.references]
    made = run_sampler(
        model, condition(job.positive, job.references),
        condition(job.negative, unseen if variant.blank_references else job.references),
        latent, SamplingPlan(**{"seed": job.seed, **plan}),
    )
    return made["samples"]


def _share(steps: float, shift: float, model) -> float:
    """The share of the sampling, which goes by the model's own shift, at which these steps of a schedule are done."""
    if steps in (0, 1):
        return steps
    sigma = shift * (1 - steps) / (1 + (shift - 1) * (1 - steps))
    own = model.get_model_object("model_sampling").shift
    return 1 - sigma / (own - (own - 1) * sigma)


def summary(found: list[tuple[Script, Measured]], people: int) -> dict:
    """Shares over the scenes with this many people, each with its 95 % interval, and the owner matrices."""
    scenes = [(script, measured) for script, measured in found if len(script.roles) == people]
    places = [place for _, measured in scenes for place in measured.places]
    faces = [place for place in places if place.kind == FACE]
    worn = [place for place in places if place.kind != FACE]
    return {
        "people": people, "scenes": len(scenes),
        "faces": share([place.is_own for place in faces]),
        "worn": share([place.is_own for place in worn]),
        "worn_by_kind": {
            kind: share([place.is_own for place in worn if place.kind == kind])
            for kind in sorted({place.kind for place in worn})
        },
        "face_owners": _matrix(faces, people), "worn_owners": _matrix(worn, people),
        "background": _fidelity([measured.background for _, measured in scenes]),
        "thing": _fidelity([measured.thing for _, measured in scenes]),
    }


def share(found: list[bool]) -> dict | None:
    """Share of True with Wilson's score interval; None without anything to count."""
    if not found:
        return None
    count, part, z = len(found), sum(found) / len(found), CONFIDENCE
    middle = (part + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(part * (1 - part) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return {"share": part, "low": max(0.0, middle - half), "high": min(1.0, middle + half), "count": count}


def _matrix(places: list, people: int) -> list[list[float]]:
    """Row: whose place it is; column: whose it looks like; shares of the row."""
    counts = np.zeros((people, people))
    for place in places:
        counts[place.owner, place.nearest] += 1
    return (counts / np.maximum(counts.sum(1, keepdims=True), 1)).tolist()


def _fidelity(found: list) -> dict | None:
    known = [one for one in found if one is not None]
    if not known:
        return None
    return {
        "own": share([one.own < one.other for one in known]),
        "colour_error": float(np.mean([one.own for one in known])),
        "error_to_another": float(np.mean([one.other for one in known])),
    }


def table(rows: list[dict], people: int) -> str:
    """The rows as Markdown."""
    lines = [
        f"| {people} people | scenes | faces | worn | object | background | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        part = next(one for one in row["results"] if one["people"] == people)
        lines.append(
            f"| {row['variant']} | {part['scenes']} | {share_words(part['faces'])} | {share_words(part['worn'])} "
            f"| {_near(part['thing'])} | {_near(part['background'])} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def share_words(share: dict | None) -> str:
    """A share as a cell of a table: in brackets its interval, and of how many it is."""
    if share is None:
        return "none"
    return f"{share['share']:.1%} ({share['low']:.1%} to {share['high']:.1%} of {share['count']})"


def _near(fidelity: dict | None) -> str:
    return "none" if fidelity is None else f"{fidelity['own']['share']:.0%}, error {fidelity['colour_error']:.1f}"


def main(arguments: list[str], base: Path) -> int:
    """Print the tables; write JSON and the owner matrices where asked."""
    options = _parse(arguments)
    plan = {"steps": options.steps, "cfg": options.cfg, "shift": options.shift}
    bench = Bench(options.model, base, options.scenes, tuple(options.people), options.codec)
    chosen = {name: one for name, one in variants(options.steps).items() if not options.only or name in options.only}
    rows = []
    with torch.inference_mode():
        for name, variant in chosen.items():
            print(f"binding: {name}", file=sys.stderr, flush=True)
            started = time.monotonic()
            found = list(bench.run(variant, plan, options.scenes if name == EXACT else options.other_scenes))
            seconds = time.monotonic() - started
            results = [summary(found, people) for people in options.people]
            rows.append({"variant": name, "frames": variant.frames, "seconds": seconds, "results": results})
    result = {
        "machine": describe_machine(), "model": options.model.name, **plan,
        "codec": options.codec.name, "rows": rows,
    }
    print(f"{result['machine']}; {options.steps} steps, cfg {options.cfg:g}, shift {options.shift:g}.\n")
    print("\n\n".join(table(rows, people) for people in options.people))
    if options.json:
        write_json(options.json, result)
    if options.picture:
        options.picture.write_bytes(draw_owner_matrices(rows[0]))
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    names = list(variants(STEPS))
    parser = argparse.ArgumentParser(prog="dev.py bench binding", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--model", type=Path, default=TRAINED, metavar="FILE", help="a file of dev.py train tiny (the one that ships)"
    )
    parser.add_argument(
        "--codec", type=Path, default=CODEC, metavar="FILE", help="a file of dev.py train codec (the one that ships)"
    )
    parser.add_argument("--scenes", type=int, default=200, help="for each number of people (%(default)s)")
    parser.add_argument("--other-scenes", type=int, default=60, help="the same for all but the first row (%(default)s)")
    parser.add_argument("--people", type=int, nargs="+", choices=(2, 3), default=[2, 3])
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--cfg", type=float, default=CFG)
    parser.add_argument("--shift", type=float, default=SHIFT)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="PNG of the owner matrices of the first variant")
    options = parser.parse_args(arguments)
    options.other_scenes = min(options.other_scenes, options.scenes)
    return options


if __name__ == "__main__":
    _parse(sys.argv[1:])
    with own_comfyui(cpu=True) as folder:
        sys.exit(main(sys.argv[1:], folder))
