"""A whole clip on the small models: where its time goes, and what the options of sampling save and cost.

    python dev.py bench clip [--device cpu|cuda] [--steps 50] [--size 320 192 17] [--rounds 3] [--json FILE]

The drawn case is encoded, encoded again from what the first time left on disk, sampled and decoded, each stage timed
apart. Then every option is sampled in interleaved rounds (A B C A B C …) and compared with the run that leaves nothing
out. The small models know nothing of the world: times hold for their size, errors for them alone.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.caching import with_cache
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import interleaved, spread, timed, write_json
from tools.golden import relative_error

EXACT = "exact"
GUIDED_PART = 0.6
STAGES = ("text", "pictures", "encode", "denoise", "decode")


@dataclass(frozen=True)
class Option:
    """A way to sample.

    Attributes:
        plan: what it changes in the plan of the exact run.
        cache: a core node, with its defaults.
        comparable: False where the small model was not trained for it, and only the time means something.
    """

    plan: dict = field(default_factory=dict)
    cache: str | None = None
    comparable: bool = True


def options_of(steps: int) -> dict[str, Option]:
    """What is compared, by the name in the table; the exact run comes first."""
    shorter = {"guidance_end_step": round(GUIDED_PART * steps)}
    return {
        EXACT: Option(),
        "EasyCache": Option(cache="EasyCacheNode"),
        "LazyCache": Option(cache="LazyCacheNode"),
        f"guidance for {GUIDED_PART:.0%} of the steps": Option(shorter),
        "EasyCache and that guidance": Option(shorter, "EasyCacheNode"),
        "8 steps, cfg 1 (for CausVid LoRAs)": Option({"steps": 8, "cfg": 1.0}, comparable=False),
        "3 steps, cfg 1 (schedule FastWan)": Option({"steps": 3, "cfg": 1.0, "schedule": "FastWan"}, comparable=False),
    }


class Clip:
    """The small models, the drawn case, and the size and plan of the clip."""

    def __init__(self, size: tuple[int, int, int], steps: int):
        from lumosx_core.host.conditioning.video_size import VideoSize
        from lumosx_core.host.media.cases import BUILT_IN, open_case
        from lumosx_core.host.methods.lumosx import relational_model
        from lumosx_core.host.weights.tiny import load_tiny_models
        from lumosx_core.models.lumosx import RelationalOptions

        base, self.clip, self.vae = load_tiny_models()
        self.model = relational_model(base, RelationalOptions())
        self.case = open_case(BUILT_IN)
        self.size, self.steps = VideoSize(*size), steps

    def encode(self, reuse: bool):
        """As LumosX Relational Encode does it."""
        from lumosx_core.host.conditioning.encoder import encode_scene

        return encode_scene(
            self.clip, self.vae, self.case.scene, self.case.prompt, "blurred, static", self.size, reuse=reuse
        )

    def sample(self, model, encoded, changes: dict) -> torch.Tensor:
        """As LumosX Sampler does it; float32 on the CPU."""
        from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler

        plan = SamplingPlan(**{"seed": 0, "steps": self.steps, **changes})
        return run_sampler(model, encoded.positive, encoded.negative, encoded.latent, plan)["samples"].float().cpu()

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Frames [frames, height, width, 3] in [0, 1], on the CPU."""
        frames = self.vae.decode(latent)
        return frames.reshape(-1, *frames.shape[-3:]).float().cpu().clamp(0, 1)


@contextlib.contextmanager
def seconds_of(kind: type, method: str) -> Iterator[list[float]]:
    """The list that gets the seconds of each call of a class's method; a changed object would not be cached."""
    seconds, real = [], getattr(kind, method)

    def call(*arguments, **options):
        start = time.perf_counter()
        result = real(*arguments, **options)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        return result

    setattr(kind, method, call)
    try:
        yield seconds
    finally:
        setattr(kind, method, real)


def measure_stages(clip: Clip, device: torch.device) -> dict:
    """One clip made twice, as two runs of the same workflow: seconds and calls of each stage, first and second time."""
    from lumosx_core.host.conditioning.encodings import encodings_folder

    shutil.rmtree(encodings_folder(), ignore_errors=True)
    return {run: _measure_run(clip, device) for run in ("first", "second")}


def _measure_run(clip: Clip, device: torch.device) -> dict:
    made = {}

    def encode():
        made["encoded"] = clip.encode(reuse=True)

    def sample():
        made["latent"] = clip.sample(clip.model, made["encoded"], {})

    with (
        seconds_of(type(clip.clip), "encode_from_tokens_scheduled") as text,
        seconds_of(type(clip.vae), "encode") as pictures,
    ):
        whole, _ = timed(encode, device)
    denoise, _ = timed(sample, device)
    decode, _ = timed(lambda: clip.decode(made["latent"]), device)
    return {
        "text": sum(text), "pictures": sum(pictures), "encode": whole / 1000, "denoise": denoise / 1000,
        "decode": decode / 1000, "text_calls": len(text), "pictures_calls": len(pictures),
    }


def prepared(clip: Clip, option: Option) -> tuple[object, list[int]]:
    """A model with the option's cache, and the list that gets the batch of each pass that is really computed."""
    passes = []

    def count(arguments, extra):
        passes.append(arguments["img"].shape[0])
        return extra["original_block"](arguments)

    model = with_cache(clip.model, option.cache) if option.cache else clip.model.clone()
    model.set_model_patch_replace(count, "dit", "double_block", 0)
    return model, passes


def measure_options(clip: Clip, options: dict[str, Option], rounds: int, device: torch.device) -> list[dict]:
    """One row an option."""
    encoded = clip.encode(reuse=False)
    latents, passes = {}, {}

    def run(name):
        model, computed = prepared(clip, options[name])

        def sample():
            latents[name] = clip.sample(model, encoded, options[name].plan)

        wall, processor = timed(sample, device)
        passes[name] = sum(computed)
        return {"wall": wall / 1000, "processor": processor / 1000}

    clip.sample(clip.model, encoded, {"steps": 2})
    found = interleaved(options, rounds, run)
    seconds = {
        clock: {name: spread(figures[clock] for figures in found[name]) for name in options}
        for clock in ("wall", "processor")
    }
    counted = seconds[clock_of(device)]
    frames = {name: clip.decode(latent) for name, latent in latents.items()}
    return [
        {
            "option": name, "steps": option.plan.get("steps", clip.steps), "passes": passes[name],
            "wall_seconds": seconds["wall"][name], "processor_seconds": seconds["processor"][name],
            "time_ratio": {part: counted[name][part] / counted[EXACT][part] for part in ("min", "median")},
            **(_errors(latents[name], latents[EXACT], frames[name], frames[EXACT]) if option.comparable else {}),
        }
        for name, option in options.items()
    ]


def clock_of(device: torch.device) -> str:
    """What ratios are made of. Processor time leaves out what else runs on a CPU; it does not see a card."""
    return "wall" if device.type == "cuda" else "processor"


def _errors(latent: torch.Tensor, exact: torch.Tensor, frames: torch.Tensor, exact_frames: torch.Tensor) -> dict:
    squared = (frames - exact_frames).double().square().mean().item()
    return {
        "relative_error": relative_error(latent, exact),
        "cosine": torch.nn.functional.cosine_similarity(latent.flatten(), exact.flatten(), dim=0).item(),
        # None for frames that do not differ: their ratio is infinite, which JSON has no word for.
        "psnr_db": -10 * math.log10(squared) if squared else None,
    }


def stage_rows(runs: list[dict]) -> list[dict]:
    """Seconds of each stage over all rounds."""
    return [
        {"stage": stage, **{run: spread(figures[run][stage] for figures in runs) for run in ("first", "second")}}
        for stage in STAGES
    ]


def stage_table(rows: list[dict], calls: dict, steps: int) -> str:
    """Minimum and median seconds of each stage; ``encode`` holds text and pictures."""
    notes = {
        "text": f"UMT5, {calls['first']['text_calls']} texts, then {calls['second']['text_calls']}",
        "pictures": f"VAE, {calls['first']['pictures_calls']} pictures, then {calls['second']['pictures_calls']}",
        "encode": "all of LumosX Relational Encode", "denoise": f"{steps} steps with guidance", "decode": "VAE",
    }
    lines = ["| stage | what | first run | second run |", "|---|---|---|---|"]
    for row in rows:
        stage, first, second = row["stage"], row["first"], row["second"]
        lines.append(f"| {stage} | {notes[stage]} | {_seconds(first)} | {_seconds(second)} |")
        if stage == "denoise":
            lines.append(f"| | one step | {_seconds(first, steps)} | {_seconds(second, steps)} |")
    return "\n".join(lines)


def _seconds(found: dict[str, float], parts: int = 1) -> str:
    return f"{found['min'] / parts:.3f} / {found['median'] / parts:.3f} s"


def option_table(rows: list[dict]) -> str:
    """Times as ratios to the exact run, minimum over minimum and median over median."""
    lines = [
        "| option | steps | passes | time of exact, min / median | relative error | cosine | PSNR |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = row["time_ratio"]
        errors = "only the time counts | | |"
        if "cosine" in row:
            psnr = "the same" if row["psnr_db"] is None else f"{row['psnr_db']:.1f} dB"
            errors = f"{row['relative_error']:.2e} | {row['cosine']:.5f} | {psnr} |"
        lines.append(
            f"| {row['option']} | {row['steps']} | {row['passes']} "
            f"| {ratio['min']:.2f} / {ratio['median']:.2f} | {errors}"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print both tables; write JSON where asked."""
    options = _parse(arguments)
    device = torch.device(options.device)
    clip = Clip(tuple(options.size), options.steps)
    with torch.inference_mode():
        clip.encode(reuse=False)
        runs = [measure_stages(clip, device) for _ in range(options.rounds)]
        rows = measure_options(clip, options_of(options.steps), options.rounds, device)
    model = clip.model.model
    result = {
        "machine": describe_machine(), "device": options.device, "size": options.size, "steps": options.steps,
        "dtype": str(model.manual_cast_dtype or model.get_dtype()).removeprefix("torch."), "rounds": options.rounds,
        "stages": stage_rows(runs), "options": rows,
    }
    width, height, frames = options.size
    print(
        f"{result['machine']}; small models in {result['dtype']}, {width}x{height}, {frames} frames, "
        f"{options.rounds} rounds, minimum / median.\n\n{stage_table(result['stages'], runs[0], options.steps)}\n\n"
        f"Ratios of {clock_of(device)} time:\n\n{option_table(rows)}"
    )
    if options.json:
        write_json(options.json, result)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench clip", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--size", type=int, nargs=3, default=[320, 192, 17], metavar=("WIDTH", "HEIGHT", "FRAMES"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    with own_comfyui(_parse(sys.argv[1:]).device == "cpu"):
        sys.exit(main(sys.argv[1:]))
