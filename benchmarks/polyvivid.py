"""PolyVivid on the small HunyuanVideo: how often each of two people looks like their own picture.

    python dev.py bench polyvivid [--base FILE] [--adapter FILE] [--ablations DIR] [--scenes 100] [--only NAME ...]
        [--json FILE]

Scenes of the held-out world, which was never used in training, go through the code of the nodes and ComfyUI's own
sampler. The two people of a scene wear the same kinds of clothes, and the prompt names no colours, so only the pictures
show what they look like. Each person in the last video frame of each latent frame is compared with both people in that
place and pose. With the adapter off, half of them should look like their own picture.

``--ablations`` is a folder of files that were trained equally long, each without one of the paper's parts:
``python dev.py train tiny-polyvivid --ablation NAME --out DIR/NAME.safetensors``.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.binding import share
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from lumosx_core.models.polyvivid.positions import TextLayout
from lumosx_core.tiny.hunyuan import PICTURE_SIDE, SCALE
from lumosx_core.tiny.learned import load_codec
from lumosx_core.tiny.trained import HUNYUAN, POLYVIVID
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.measure import PlaceMatch
from lumosx_core.tiny.world.whole import whole_scene_of
from lumosx_core.training.ablations import ABLATIONS, FULL, Ablation
from lumosx_core.training.whole_check import WholeScenes, people_in

OFF = "adapter off"
SEED, CASTS = 7, 4
"""Of the scenes; and how many of them share a script."""
STEPS, CFG = 16, 2.0
RESULTS = Path(__file__).with_name("results") / "polyvivid_cpu.json"


@dataclass(frozen=True)
class Conditions:
    """What a sampler gets for a scene.

    Attributes:
        fused: positive and negative of LumosX PolyVivid Encode.
        apart: the same, but the text is the prompt alone.
        plain: the same without subjects.
    """

    fused: tuple[list, list]
    apart: tuple[list, list]
    plain: tuple[list, list]


class Bench:
    """The small HunyuanVideo, the files of the variants, and the scenes.

    Args:
        base: the model's file.
        files: the file of each variant except ``OFF``.
        folder: that of ComfyUI; the files are copied into its ``models``.
        scenes: their number.
    """

    def __init__(self, base: Path, files: dict[str, Path], folder: Path, scenes: int) -> None:
        from lumosx_core.host.weights.tiny_hunyuan import load_hunyuan_encoders

        self._base, self._files, self._codec = base, files, load_codec()
        self._encoders = load_hunyuan_encoders()
        patches = folder / "models" / "model_patches"
        patches.mkdir(parents=True, exist_ok=True)
        for name, path in files.items():
            shutil.copyfile(path, patches / f"{name}.safetensors")
        drawn = [WholeScenes.draw([SEED, number], Split.HELD_OUT, CASTS) for number in range(math.ceil(scenes / CASTS))]
        self._scenes = [
            (one.script, cast, self._conditions(one, number))
            for one in drawn for number, cast in enumerate(one.casts)
        ][:scenes]

    def _conditions(self, scenes: WholeScenes, number: int) -> Conditions:
        from lumosx_core.host.conditioning.polyvivid import LATENTS, encode_subjects, with_subjects

        clip, vision, vae = self._encoders
        scene, prompt = whole_scene_of(scenes.script, scenes.example.pictures[number]), scenes.script.prompt
        fused = encode_subjects(clip, vision, vae, scene, prompt, "", PICTURE_SIDE)
        plain = encode_subjects(clip, vision, vae, None, prompt, "", PICTURE_SIDE)
        latents = fused.positive[0][1]["model_conds"][LATENTS].cond

        def with_pictures(entries: list) -> list:
            return [
                with_subjects(one, latents, TextLayout.without_images(one[0].shape[1], len(latents)))
                for one in entries
            ]

        return Conditions(
            (fused.positive, fused.negative), tuple(map(with_pictures, (plain.positive, plain.negative))),
            (plain.positive, plain.negative),
        )

    def _model(self, name: str, ablation: Ablation):
        from lumosx_core.host.methods.hunyuan_custom import hunyuan_custom_model
        from lumosx_core.host.methods.polyvivid import Part, polyvivid_model
        from lumosx_core.host.weights.tiny_hunyuan import load_hunyuan_transformer

        if name == OFF:
            return load_hunyuan_transformer(str(self._base))
        if ablation.concatenated:
            return hunyuan_custom_model(load_hunyuan_transformer(str(self._files[name])))
        base = load_hunyuan_transformer(str(self._base))
        return polyvivid_model(base, f"{name}.safetensors", ablation.options, Part())[0]

    def run(self, name: str, steps: int, cfg: float) -> Iterator[list[PlaceMatch]]:
        """Sample every scene with a variant; yield whom each person in it looks like."""
        ablation = ABLATIONS.get(name, Ablation())
        model = self._model(name, ablation)
        for number, (script, cast, conditions) in enumerate(self._scenes):
            entries = conditions.plain if name == OFF else conditions.fused if ablation.fusion else conditions.apart
            yield list(people_in(script, cast, sample(model, *entries, number, steps, cfg), self._codec))


def sample(model, positive: list, negative: list, seed: int, steps: int, cfg: float) -> torch.Tensor:
    """The normalised latent that KSampler makes, [16, frames, h, w]."""
    import comfy.sample

    empty = torch.zeros(1, 16, 3, 12, 16)
    noise = comfy.sample.prepare_noise(empty, seed)
    made = comfy.sample.sample(
        model, noise, steps, cfg, "euler", "simple", positive, negative, empty, disable_pbar=True, seed=seed
    )
    return made[0].float().cpu() * SCALE


def summary(found: list[list[PlaceMatch]]) -> dict:
    """The share of people who look like their own picture, with its interval, and whom each looks like."""
    places = [place for scene in found for place in scene]
    matrix = np.zeros((2, 2))
    for place in places:
        matrix[place.owner, place.nearest] += 1
    return {
        "scenes": len(found), "own": share([place.is_own for place in places]),
        "owners": (matrix / np.maximum(matrix.sum(1, keepdims=True), 1)).tolist(),
        "colour_error": float(np.mean([place.distances[place.owner] for place in places])),
    }


def table(rows: list[dict]) -> str:
    """The rows as Markdown."""
    lines = ["| variant | scenes | own picture | colour error | seconds |", "|---|---|---|---|---|"]
    for row in rows:
        own = row["own"]
        lines.append(
            f"| {row['variant']} | {row['scenes']} | {own['share']:.1%} ({own['low']:.1%} to {own['high']:.1%} of "
            f"{own['count']}) | {row['colour_error']:.1f} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str], folder: Path) -> int:
    """Print the table and write the JSON."""
    options = _parse(arguments)
    files = _files(options)
    bench = Bench(options.base, files, folder, options.scenes)
    rows = []
    with torch.inference_mode():
        for name in (FULL, OFF, *(name for name in ABLATIONS if name != FULL)):
            if name != OFF and name not in files or options.only and name not in options.only:
                continue
            print(f"polyvivid: {name}", file=sys.stderr, flush=True)
            started = time.monotonic()
            found = list(bench.run(name, options.steps, options.cfg))
            rows.append({"variant": name, **summary(found), "seconds": time.monotonic() - started})
    result = {
        "machine": describe_machine(), "base": options.base.name, "adapter": options.adapter.name,
        "steps": options.steps, "cfg": options.cfg, "rows": rows,
    }
    print(f"{result['machine']}; {options.steps} steps, cfg {options.cfg:g}.\n\n{table(rows)}")
    write_json(options.json, result)
    return 0


def _files(options: argparse.Namespace) -> dict[str, Path]:
    """The file of each variant that exists."""
    files = {FULL: options.adapter}
    if options.ablations is not None:
        files |= {name: options.ablations / f"{name}.safetensors" for name in ABLATIONS if name != FULL}
    return {name: path for name, path in files.items() if path.is_file()}


def _parse(arguments: list[str]) -> argparse.Namespace:
    names = [FULL, OFF, *(name for name in ABLATIONS if name != FULL)]
    parser = argparse.ArgumentParser(prog="dev.py bench polyvivid", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--base", type=Path, default=HUNYUAN, metavar="FILE",
        help="a file of dev.py train tiny-hunyuan (default: the shipped one)",
    )
    parser.add_argument(
        "--adapter", type=Path, default=POLYVIVID, metavar="FILE",
        help="a file of dev.py train tiny-polyvivid (default: the shipped one)",
    )
    parser.add_argument(
        "--ablations", type=Path, metavar="DIR",
        help="a folder with NAME.safetensors of train tiny-polyvivid --ablation NAME",
    )
    parser.add_argument("--scenes", type=int, default=100, help="scenes for each variant (%(default)s)")
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help=f"measure only some of: {', '.join(names)}"
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--cfg", type=float, default=CFG)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the results (%(default)s)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    _parse(sys.argv[1:])
    with own_comfyui(cpu=True) as folder:
        sys.exit(main(sys.argv[1:], folder))
