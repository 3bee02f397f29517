"""How often the small Lynx reproduces the face of its photo, and how much worse the known wrong ways are.

    python dev.py bench lynx [--lynx FILE] [--clips 200] [--only NAME ...] [--json FILE]

The code of the nodes samples clips of one person of the held-out world, which was never used in training. Two crops of
a face that looks in another direction become an identity; the prompt does not describe the face. The last video frame
of each latent frame is compared with drawings of the same figure: one with the right face, eight with other faces.
Chance is one in nine. In the row with two people, each has a LumosX Lynx with a mask of one half of the picture. This
was not trained; chance is one in two.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.binding import share, share_words
from benchmarks.lynx_wrong_ways import Way, adapter_in_its_own_pass, attending_to_the_video, rotated_query
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.models.lynx.adapters import Adapters
from lumosx_core.models.wan.config import WAN21_LATENT
from lumosx_core.scene.prompt import NEGATIVE_PROMPT
from lumosx_core.tiny.codec import normalised
from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.lynx_faces import face_crops
from lumosx_core.tiny.trained import LYNX
from lumosx_core.tiny.world.cast import DrawnFace, Split
from lumosx_core.tiny.world.clip import Cast, draw_cast, draw_strangers
from lumosx_core.tiny.world.measure import FACE
from lumosx_core.tiny.world.scenery import HEIGHT, WIDTH
from lumosx_core.tiny.world.script import Script, draw_script
from lumosx_core.training.checking import face_is_own, measured
from lumosx_core.training.lynx_trainer import OTHERS

FRAMES = 3
"""Latent frames of a clip."""
STEPS, CFG, IMAGE_CFG, SHIFT = 16, 5.0, 6.0, 5.0
SEED = 12
"""Of the clips. The guidance above was chosen on the clips of seed 11."""
EXACT, TWO = "as trained", "two people, a mask each"
_SHAPE = WAN21_LATENT.shape(WIDTH, HEIGHT, WAN21_LATENT.video_frames(FRAMES))
_REFERENCE_TOKENS = 256
_FIRST_BLOCKS = frozenset(range(3))


@dataclass(frozen=True)
class Variant:
    """A way to run Lynx.

    Attributes:
        appearance: fields of ``Appearance`` that differ from their defaults; None runs without Lynx.
        image_cfg: of LumosX Lynx Guidance; None runs without that node.
        way: what another port does instead.
        people: number of people in each clip.
    """

    appearance: dict | None = None
    image_cfg: float | None = IMAGE_CFG
    way: Way | None = None
    people: int = 1


def variants() -> dict[str, Variant]:
    """The variants that are compared, by their names in the table; the right way comes first."""
    return {
        EXACT: Variant({}),
        "adapters off": Variant(None, None),
        "ID layers alone": Variant({"ref_scale": 0.0}),
        "reference layers alone": Variant({"id_scale": 0.0}),
        "without LumosX Lynx Guidance": Variant({}, None),
        "blocks 0 to 2": Variant({"blocks": _FIRST_BLOCKS}),
        "wrong: query with positions": Variant(
            {}, way=rotated_query(WAN21_LATENT.token_grid(_SHAPE), _REFERENCE_TOKENS)),
        "wrong: adapter in its own reference pass": Variant({}, way=adapter_in_its_own_pass),
        "wrong: blocks 0 to 2, while the others attend to the video": Variant(
            {"blocks": _FIRST_BLOCKS}, way=attending_to_the_video),
        "wrong: no photo, reference layers attend to the video": Variant(
            {"ref_scale": 0.0}, way=attending_to_the_video),
        TWO: Variant({}, people=2),
    }


@dataclass(frozen=True)
class Job:
    """A clip to sample: what happens, who appears, and what the result is compared with.

    Attributes:
        script: what happens.
        cast: who should appear.
        other: another cast of the same script, which measuring a clip of two people needs.
        strangers: the other faces, for clips of one person.
        turns: where each face looks in its crops.
        seed: of the sampler.
    """

    script: Script
    cast: Cast
    other: Cast
    strangers: tuple[DrawnFace, ...]
    turns: tuple[float, ...]
    seed: int


class Bench:
    """Samples and measures clips with the small models.

    Args:
        lynx: a file that ``dev.py train lynx`` wrote.
    """

    def __init__(self, lynx: Path) -> None:
        from lumosx_core.host.weights.tiny import LEARNED, load_tiny_models

        self.adapters, self._codec = Adapters.of_files([lynx]), load_codec()
        self._model, self._clip, self._vae = load_tiny_models(LEARNED)

    @cached_property
    def _negative(self) -> list:
        return self._text(NEGATIVE_PROMPT)

    def _text(self, prompt: str) -> list:
        """The same as the output of CLIP Text Encode."""
        return self._clip.encode_from_tokens_scheduled(self._clip.tokenize(prompt))

    @staticmethod
    def job(number: int, people: int) -> Job:
        """Clip ``number`` among those with this number of people."""
        random = np.random.default_rng([SEED, people, number])
        script = draw_script(random, people, colour_words=False, same_kinds=True, drop=False, chance_of_exchange=0.0)
        cast, other = (draw_cast(random, script, Split.HELD_OUT) for _ in range(2))
        strangers = draw_strangers(random, cast.people[0].face, OTHERS, Split.HELD_OUT)
        turns = tuple(random.choice([-1.0, -0.5, 0.5, 1.0], people).tolist())
        return Job(script, cast, other, strangers, turns, 1000 * people + number)

    def person(self, face: DrawnFace, turn: float) -> Any:
        """The identity that LumosX Lynx Identity makes from two crops of a face."""
        from lumosx_core.host.media.lynx import FacePlan, make_person

        id_crop, ref_crop = (crop[None].float() / 255 for crop in face_crops(face, turn))
        return make_person(
            self.adapters, None, id_crop, ref_crop, self._vae, self._clip, FacePlan("CenterFace")
        )[0]

    def run(self, variant: Variant, plan: dict, clips: int) -> Iterator[list[bool]]:
        """For each clip, whether each person in it has the right face."""
        with way_of(variant, self.adapters):
            for number in range(clips):
                job = self.job(number, variant.people)
                yield self._own(job, self.sample(job, variant, plan))

    def sample(self, job: Job, variant: Variant, plan: dict) -> torch.Tensor:
        """The latent that the nodes sample, normalised [16, frames, height, width]."""
        from lumosx_core.host.methods.lynx import Appearance, lynx_guidance, lynx_model
        from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler

        model, positive, negative = self._model, self._text(job.script.prompt), self._negative
        if variant.appearance is not None:
            for person, turn, region in zip(job.cast.people, job.turns, regions(job.script)):
                appearance = Appearance(**variant.appearance)
                appearance = replace(appearance, region=region) if variant.people > 1 else appearance
                model = lynx_model(model, self.person(person.face, turn), appearance)
            if variant.image_cfg is not None:
                model, positive, negative, _ = lynx_guidance(model, positive, negative, variant.image_cfg)
        latent = {"samples": torch.zeros(_SHAPE)}
        made = run_sampler(model, positive, negative, latent, SamplingPlan(**{"seed": job.seed, **plan}))
        # The sampler returns latents in the range of the VAE.
        return normalised(made["samples"].float().cpu())[0]

    def _own(self, job: Job, latent: torch.Tensor) -> list[bool]:
        if len(job.script.roles) == 1:
            return [face_is_own(job.script, job.cast, job.strangers, latent, self._codec)]
        found = measured(job.script, job.cast, job.other, latent, self._codec)
        return [place.is_own for place in found.places if place.kind == FACE]


def way_of(variant: Variant, adapters: Adapters) -> AbstractContextManager[None]:
    """A context manager in which the variant's wrong way, if any, is active."""
    return nullcontext() if variant.way is None else variant.way(adapters)


def regions(script: Script) -> Sequence[torch.Tensor]:
    """A mask for each person, [1, height, width]: the part of the picture that is closest to them."""
    middles = torch.tensor([role.x for role in script.roles])
    nearest = (torch.arange(WIDTH)[:, None] + 0.5 - middles).abs().argmin(1)
    return [(nearest == number).float().expand(1, HEIGHT, WIDTH) for number in range(len(middles))]


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    lines = ["| | right face | seconds per clip |", "|---|---|---|"]
    for row in rows:
        lines.append(f"| {row['variant']} | {share_words(row['faces'])} | {row['seconds'] / row['clips']:.1f} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the table, and write it as JSON if ``--json`` is given."""
    options = _parse(arguments)
    plan = {"steps": options.steps, "cfg": options.cfg, "shift": options.shift}
    bench, rows = Bench(options.lynx), []
    chosen = {name: one for name, one in variants().items() if not options.only or name in options.only}
    with torch.inference_mode():
        for name, variant in chosen.items():
            print(f"lynx: {name}", file=sys.stderr, flush=True)
            clips, started = options.clips if name == EXACT else options.other_clips, time.monotonic()
            found = [own for clip in bench.run(variant, plan, clips) for own in clip]
            rows.append({
                "variant": name, "clips": clips, "seconds": time.monotonic() - started, "faces": share(found),
            })
    result = {
        "machine": describe_machine(), "lynx": options.lynx.name, "frames": FRAMES, "others": OTHERS, **plan,
        "image_cfg": IMAGE_CFG, "rows": rows,
    }
    print(f"{result['machine']}; {options.steps} steps, cfg {options.cfg:g}, image_cfg {IMAGE_CFG:g}.\n")
    print(table(rows))
    if options.json:
        write_json(options.json, result)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    names = list(variants())
    parser = argparse.ArgumentParser(prog="dev.py bench lynx", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--lynx", type=Path, default=LYNX, metavar="FILE", help="file of dev.py train lynx (default: the shipped one)"
    )
    parser.add_argument("--clips", type=int, default=200, help="number of clips for the first row (%(default)s)")
    parser.add_argument("--other-clips", type=int, default=60, help="number of clips for the other rows (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"some of: {', '.join(names)}")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--cfg", type=float, default=CFG)
    parser.add_argument("--shift", type=float, default=SHIFT)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    options.other_clips = min(options.other_clips, options.clips)
    return options


if __name__ == "__main__":
    _parse(sys.argv[1:])
    with own_comfyui(cpu=True):
        sys.exit(main(sys.argv[1:]))
