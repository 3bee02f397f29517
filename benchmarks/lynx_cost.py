"""What Lynx adds to a forward: operations and bytes at the sizes of Wan 14B, and time on smaller shapes.

    python dev.py bench lynx_cost [--width 5120] [--grid 1 15 26] [--rounds 7] [--json FILE]

Counted: operations and bytes of Lynx full at 14B. Measured: one block of Wan 14B (2.2 GB in float32), or of a smaller
width, with drawn weights and the adapters' hooks; and the whole small model of the pack through LumosX Sampler. Runs
with and without Lynx take turns in one process, and ratios are of processor time, which a busy machine changes least.
Keys and values are made before, since that happens once for a person and not in each run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.counting import count_flops
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import interleaved, spread, timed, write_json
from lumosx_core.models.lynx.attention import Addition, KeysValues
from lumosx_core.models.lynx.sizes import AdapterSizes, adapter_flops, folded_bytes
from lumosx_core.models.wan.config import WAN21_14B, WAN21_LATENT, WanConfig
from lumosx_core.models.wan.cost import forward_flops

SIZES = ((832, 480, 81), (832, 480, 121), (1280, 720, 81))
WITHOUT, WITH = "without Lynx", "with Lynx"
ID_TOKENS, REGISTERS, REF_TOKENS = 16, 16, 256
_STEPS = 4


def adapters_of(config: WanConfig) -> dict[AdapterSizes, int]:
    """The ID layers and reference layers of Lynx full for a transformer, each with its tokens."""
    blocks = tuple(range(config.num_layers))
    return {
        AdapterSizes("full", config.dim, config.dim, REGISTERS, blocks): ID_TOKENS,
        AdapterSizes("ref", config.dim, config.dim, 0, blocks): REF_TOKENS,
    }


def counted(size: tuple[int, int, int]) -> dict:
    """Of one forward at 14B, and what stays in memory.

    Args:
        size: width, height and frames of the video.
    """
    frames, rows, columns = WAN21_LATENT.token_grid(WAN21_LATENT.shape(*size))
    tokens, adapters = frames * rows * columns, adapters_of(WAN21_14B)
    added = sum(adapter_flops(adapter, tokens, count) for adapter, count in adapters.items())
    kept = sum(folded_bytes(adapter, count) for adapter, count in adapters.items())
    forward = forward_flops(WAN21_14B, tokens)
    return {
        "size": list(size), "tokens": tokens, "forward_flops": forward, "added_flops": added, "share": added / forward,
        "kept_bytes": kept,
    }


def one_block(width: int) -> WanConfig:
    """A block of Wan 14B, or one of another width in the same proportions."""
    return replace(WAN21_14B, num_layers=1, dim=width, ffn_dim=WAN21_14B.ffn_dim * width // WAN21_14B.dim)


def block_runs(config: WanConfig, grid: tuple[int, int, int]) -> dict[str, Callable[[], object]]:
    """One forward of a transformer of one block on so many tokens, without and with both adapters."""
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    from lumosx_core.host.methods.lynx_layers import added

    drawn = torch.Generator().manual_seed(0)
    model = WanModel(
        dim=config.dim, ffn_dim=config.ffn_dim, freq_dim=config.freq_dim, text_dim=config.text_dim,
        num_heads=config.num_heads, num_layers=config.num_layers, cross_attn_norm=True, dtype=torch.float32,
        device="cpu", operations=comfy.ops.disable_weight_init,
    ).requires_grad_(False)
    for weight in model.parameters():
        weight.normal_(std=weight.shape[-1] ** -0.5, generator=drawn)
    frames, rows, columns = grid
    x = torch.randn(1, config.in_dim, frames, 2 * rows, 2 * columns, generator=drawn)
    text = torch.randn(1, 512, config.text_dim, generator=drawn)

    def addition(tokens: int) -> dict[int, list[Addition]]:
        pair = [torch.randn(1, tokens, config.dim, generator=drawn) for _ in range(2)]
        return {0: [Addition(KeysValues(*pair), 1.0)]}

    ids, refs = addition(ID_TOKENS + REGISTERS), addition(REF_TOKENS)

    def run(*additions: dict) -> None:
        with torch.no_grad(), added(model, *additions):
            model(x, torch.tensor([500.0]), text)

    return {WITHOUT: lambda: run({}, {}), WITH: lambda: run(ids, refs)}


def small_model() -> dict[str, Callable[[], object]]:
    """A few steps of the small model at cfg 1, without and with the small Lynx."""
    from benchmarks.lynx import Bench
    from lumosx_core.host.methods.lynx import Appearance, lynx_model
    from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
    from lumosx_core.host.weights.tiny import LEARNED, load_tiny_models
    from lumosx_core.tiny.trained import LYNX

    job, (model, clip, _) = Bench.job(0, 1), load_tiny_models(LEARNED)
    person = Bench(LYNX).person(job.cast.people[0].face, job.turns[0])
    models = {WITHOUT: model, WITH: lynx_model(model, person, Appearance())}
    text = clip.encode_from_tokens_scheduled(clip.tokenize(job.script.prompt))
    latent = {"samples": torch.zeros(WAN21_LATENT.shape(128, 96, 9))}

    def run(name: str) -> None:
        run_sampler(models[name], text, text, latent, SamplingPlan(seed=0, steps=_STEPS, cfg=1.0))

    return {name: lambda name=name: run(name) for name in models}


def measure(what: str, runs: dict[str, Callable[[], object]], rounds: int) -> dict:
    """Counted operations, and seconds of runs that take turns; a first round is not counted."""
    for run in runs.values():
        run()
    flops = {name: count_flops(run) for name, run in runs.items()}
    found = interleaved(runs, rounds, lambda name: timed(runs[name], torch.device("cpu")))
    ratios = [after[1] / before[1] for before, after in zip(found[WITHOUT], found[WITH])]
    return {
        "what": what, "counted": flops[WITH] / flops[WITHOUT], "processor_time": spread(ratios),
        **{name: {"flops": flops[name], "seconds": spread(wall / 1000 for wall, _ in found[name]),
                  "processor_seconds": spread(processor / 1000 for _, processor in found[name])} for name in runs},
    }


def table(counts: list[dict], rows: list[dict]) -> str:
    """Both halves as Markdown."""
    lines = ["| Wan 14B | video tokens | forward | added by Lynx full | kept |", "|---|---|---|---|---|"]
    for row in counts:
        width, height, frames = row["size"]
        lines.append(
            f"| {width} x {height}, {frames} frames | {row['tokens']:,} | {row['forward_flops'] / 1e12:,.0f} TFLOP | "
            f"{row['added_flops'] / 1e12:.1f} TFLOP, {row['share']:.2%} | {row['kept_bytes'] / 1e9:.2f} GB |"
        )
    lines += ["", "| measured | without | with | processor time with / without | operations with / without |",
              "|---|---|---|---|---|"]
    for row in rows:
        ratio, (before, after) = row["processor_time"], (row[name]["seconds"]["median"] for name in (WITHOUT, WITH))
        lines.append(
            f"| {row['what']} | {before:.2f} s | {after:.2f} s | {ratio['median']:.3f} ({ratio['min']:.3f} to "
            f"{ratio['max']:.3f}) | {row['counted']:.3f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the tables; write JSON where asked."""
    parser = argparse.ArgumentParser(prog="dev.py bench lynx_cost", description=__doc__.partition("\n")[0])
    parser.add_argument("--width", type=int, default=WAN21_14B.dim, help="of the block; a multiple of 640")
    parser.add_argument("--grid", type=int, nargs=3, default=(1, 15, 26), help="frames, rows and columns, in tokens")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    grid, config = tuple(options.grid), one_block(options.width)
    tokens = grid[0] * grid[1] * grid[2]
    rows = [
        measure(f"a block {config.dim} wide, {tokens} tokens", block_runs(config, grid), options.rounds),
        measure(f"the small model, {_STEPS} steps", small_model(), options.rounds),
    ]
    machine, counts = describe_machine(), [counted(size) for size in SIZES]
    print(f"{machine}; {options.rounds} interleaved rounds.\n\n{table(counts, rows)}")
    if options.json:
        write_json(options.json, {
            "machine": machine, "width": config.dim, "grid": list(grid), "rounds": options.rounds, "counted": counts,
            "rows": rows,
        })
    return 0


if __name__ == "__main__":
    with own_comfyui(cpu=True):
        sys.exit(main(sys.argv[1:]))
