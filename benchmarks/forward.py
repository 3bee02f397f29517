"""One forward: ours against the release's way (a) and ComfyUI's dense forward over the same tokens (b).

    python dev.py bench forward [--device cpu|cuda] [--shape small|full] [--grid T H W] [--layers N]
                                [--references 0 1 3 6 10] [--rounds N] [--peak-tflops X] [--json FILE]

All three share one set of random weights and one process, and take turns (A B C A B C …). Attention is PyTorch's in
all of them. Ours is timed as it runs from a sampling run's second step on, with the tables of the run made; its memory
includes them. Without references LumosX leaves ComfyUI's forward alone, so there "ours" is that one.

On a CPU everything is float32, the small shape is the default and memory is that of live tensors. On CUDA it is bf16,
the full shape and what PyTorch has allocated, and each row also has the share of the card's peak rate, the cost of
weights that stay in the computer's memory, and what attention in 8 bits gains and changes where there is a backend.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks import card
from benchmarks.counting import count_flops, count_operations
from benchmarks.live import LiveBytes
from benchmarks.machine import describe_machine
from benchmarks.measuring import interleaved, spread, timed, write_json
from benchmarks.shapes import PROMPT_TOKENS, SCENES, SHAPES, Inputs, Shape, draw_inputs, draw_model, drawn_binding
from benchmarks.variants import NAMES, Ours, all_variants
from tools.golden import relative_error

WARM_UPS = 2
COLUMNS = (
    "references", "tokens", "release_ms", "dense_ms", "ours_ms", "speedup_vs_release", "time_vs_dense",
    "peak_added_ratio", "flops", "flops_formula",
)
PROCESSOR_COLUMNS = ("processor_speedup_vs_release", "processor_time_vs_dense")
"""The same two ratios of processor time, which neighbours on a CPU disturb less."""
CARD_COLUMNS = ("mfu", "resident_peak_gib", "streamed_peak_gib", "streamed_slowdown")


def measure(model: torch.nn.Module, inputs: Inputs, rounds: int) -> dict:
    """One row: what is counted, then what is timed. The times in the issue's columns are minima; all are in the row."""
    device = inputs.latent.device
    # First, since a later call of ours finds its tables.
    memory = {name: _added_bytes(run, device) for name, run in all_variants(model, inputs).items()}
    variants = all_variants(model, inputs)
    with torch.no_grad():
        error = relative_error(variants["ours"](), variants["release"]())
    counts = {name: count_operations(run) for name, run in variants.items()}
    flops = {name: count_flops(run) for name, run in variants.items()}
    times = _take_turns(variants, rounds, device)
    wall, processor = ({name: spread(run[part] for run in runs) for name, runs in times.items()} for part in (0, 1))
    fastest, busy = ({name: found[name]["min"] for name in NAMES} for found in (wall, processor))
    return {
        "references": inputs.binding.references,
        "tokens": inputs.layout.tokens,
        **{f"{name}_ms": fastest[name] for name in NAMES},
        "speedup_vs_release": fastest["release"] / fastest["ours"],
        "time_vs_dense": fastest["ours"] / fastest["dense"],
        "peak_added_ratio": memory["ours"] / memory["release"],
        "flops": flops["ours"],
        "flops_formula": variants["ours"].flops(),
        "processor_speedup_vs_release": busy["release"] / busy["ours"],
        "processor_time_vs_dense": busy["ours"] / busy["dense"],
        "error_vs_release": error,
        "wall_ms": wall,
        "processor_ms": processor,
        "peak_added_bytes": memory,
        "counted_flops": flops,
        "operations": {name: count.operations for name, count in counts.items()},
        "attention_kernels": {name: count.attention for name, count in counts.items()},
    }


def _added_bytes(run: Callable[[], torch.Tensor], device: torch.device) -> int:
    """The most memory that a call takes beside weights and inputs."""
    with torch.no_grad():
        if device.type == "cuda":
            most, before = card.peak_bytes(run, device)
            return most - before
        with LiveBytes() as live:
            run()
    return live.peak


@torch.inference_mode()
def _take_turns(
    variants: dict[str, Callable[[], torch.Tensor]], rounds: int, device: torch.device
) -> dict[str, list[tuple[float, float]]]:
    for run in WARM_UPS * list(variants.values()):
        run()
    return interleaved(variants, rounds, lambda name: timed(variants[name], device))


@torch.no_grad()
def measure_on_card(model: torch.nn.Module, inputs: Inputs, rounds: int, tflops: float, row: dict) -> dict:
    """The share of the card's peak rate, counted on the formula's FLOPs; streamed weights; attention in 8 bits."""
    device, run = inputs.latent.device, Ours(model, inputs)
    run()
    resident, _ = card.peak_bytes(run, device)
    in_8_bits = attention_in_8_bits(model, inputs, rounds)
    with card.streamed(model, device):
        for _ in range(WARM_UPS):
            run()
        streamed, _ = card.peak_bytes(run, device)
        times = spread(timed(run, device)[0] for _ in range(rounds))
    return {
        "mfu": row["flops_formula"] / (row["ours_ms"] / 1000) / (tflops * 1e12),
        "resident_peak_gib": resident / 2**30,
        "streamed_peak_gib": streamed / 2**30,
        "streamed_slowdown": times["min"] / row["ours_ms"] - 1,
        "streamed_ms": times,
        "attention_in_8_bits": in_8_bits,
    }


@torch.no_grad()
def attention_in_8_bits(model: torch.nn.Module, inputs: Inputs, rounds: int) -> dict[str, dict]:
    """Speed and likeness of each backend that is there, in turns with the exact forward; none without references."""
    device = inputs.latent.device
    backends = card.eight_bit_attention(device, inputs.latent.dtype) if inputs.references else {}
    if not backends:
        return {}
    runs = {"exact": Ours(model, inputs)} | {name: Ours(model, inputs, found) for name, found in backends.items()}
    exact, *velocities = (run().double().flatten() for run in runs.values())
    turns = _take_turns(runs, rounds, device)
    times = {name: spread(wall for wall, _ in found) for name, found in turns.items()}
    return {
        name: {
            "ms": times[name],
            "speedup": times["exact"]["min"] / times[name]["min"],
            "cosine": torch.nn.functional.cosine_similarity(velocity, exact, dim=0).item(),
        }
        for name, velocity in zip(backends, velocities)
    }


def table(rows: list[dict]) -> str:
    """The rows as Markdown."""
    columns = (*COLUMNS, *(CARD_COLUMNS if "mfu" in rows[0] else PROCESSOR_COLUMNS))
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(row[name]) for name in columns)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value) if value < 1e9 else f"{value / 1e9:.3f}e9"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def main(arguments: list[str]) -> int:
    """Print the table; write JSON where asked."""
    options = _parse(arguments)
    device = torch.device(options.device)
    on_card = device.type == "cuda"
    dtype = torch.bfloat16 if on_card else torch.float32
    shape = _chosen_shape(options)
    model = draw_model(shape, device, dtype)
    tflops = (options.peak_tflops or card.peak_tflops(device, dtype)) if on_card else None
    rows = []
    for references in options.references:
        print(f"{references} references", file=sys.stderr, flush=True)
        inputs = draw_inputs(shape, drawn_binding(*SCENES[references]), device, dtype)
        with card.best_kernels(device):
            row = measure(model, inputs, options.rounds)
            further = measure_on_card(model, inputs, options.rounds, tflops, row) if on_card else {}
        rows.append({**row, **further})
    result = {
        "machine": describe_machine(), "device": options.device, "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(), "shape": asdict(shape), "prompt_tokens": PROMPT_TOKENS,
        "rounds": options.rounds, "peak_tflops": tflops, "rows": rows,
    }
    print(f"{result['machine']}; {result['dtype']}, {shape}, {options.rounds} interleaved rounds, minima.\n")
    print(table(rows))
    if options.json:
        write_json(options.json, result)
    return 0


def _chosen_shape(options: argparse.Namespace) -> Shape:
    shape = SHAPES[options.shape or ("full" if options.device.startswith("cuda") else "small")]
    return replace(shape, grid=tuple(options.grid or shape.grid), layers=options.layers or shape.layers)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench forward", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--shape", choices=SHAPES, help="small is the default on a CPU, full on CUDA")
    parser.add_argument("--grid", type=int, nargs=3, metavar=("T", "H", "W"), help="of the video, in tokens")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--references", type=int, nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--peak-tflops", type=float, help="of the card; measured with a large product unless given")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    from tools import in_process
    from tools.server import needs_cpu_flag

    in_process.prepare(os.environ["LUMOSX_TEST_COMFYUI"], needs_cpu_flag())
    sys.exit(main(sys.argv[1:]))
