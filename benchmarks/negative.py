"""A negative text at cfg 1: what a forward with it takes, relative to one without and to two, as cfg above 1 computes.

    python dev.py bench negative [--device cpu|cuda] [--shape small|full] [--grid T H W] [--references N]
        [--rounds N] [--json FILE]

The forwards share one set of random weights and one process, and take turns (A B C A B C …). Each is timed as it runs
from a sampling run's second step on. Counted operations are exact; times on a busy machine are not.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks.counting import count_flops
from benchmarks.machine import describe_machine
from benchmarks.measuring import interleaved, spread, timed, write_json
from benchmarks.shapes import SCENES, SHAPES, Inputs, draw_inputs, draw_model, drawn_binding
from benchmarks.variants import pytorch_attention
from lumosx_core.models.lumosx import TableCache, relational_forward
from lumosx_core.models.lumosx.cost import CHUNK_TOKENS
from lumosx_core.models.lumosx.negative import NegativeGuidance, NegativeText

NAMES = ("one pass", "one pass with a negative text", "two passes")
WARM_UPS = 2


def variants(model: torch.nn.Module, inputs: Inputs) -> dict[str, Callable[[], object]]:
    """Name -> call, in the order of NAMES."""
    tables = TableCache()
    text = torch.randn(inputs.context.shape, generator=torch.Generator().manual_seed(7)).to(inputs.context)
    # As long as the prompt, so that both have as many keys.
    text[inputs.context == 0] = 0
    negative = NegativeText(text, NegativeGuidance())

    def forward(away: NegativeText | None = None) -> torch.Tensor:
        return relational_forward(
            model, inputs.latent, inputs.timestep, inputs.context, inputs.references, inputs.binding,
            pytorch_attention, cache=tables, chunk_tokens=CHUNK_TOKENS, negative=away,
        )

    return dict(zip(NAMES, (forward, lambda: forward(negative), lambda: (forward(), forward()))))


@torch.inference_mode()
def measure(model: torch.nn.Module, inputs: Inputs, rounds: int) -> dict:
    """FLOPs and milliseconds of each, and both relative to one pass."""
    runs, device = variants(model, inputs), inputs.latent.device
    for run in WARM_UPS * list(runs.values()):
        run()
    flops = {name: count_flops(run) for name, run in runs.items()}
    times = interleaved(NAMES, rounds, lambda name: timed(runs[name], device))
    plain = times[NAMES[0]]
    ratios = {
        name: {
            "flops": flops[name] / flops[NAMES[0]],
            "time": spread(one[0] / other[0] for one, other in zip(found, plain)),
            "processor_time": spread(one[1] / other[1] for one, other in zip(found, plain)),
        }
        for name, found in times.items()
    }
    return {"flops": flops, "ms": {name: spread(one[0] for one in found) for name, found in times.items()}, **ratios}


def main(arguments: list[str]) -> int:
    """Measure, print a table, and write the figures if asked for."""
    parser = argparse.ArgumentParser(prog="dev.py bench negative", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--shape", default="small", choices=SHAPES)
    parser.add_argument("--grid", type=int, nargs=3, metavar=("T", "H", "W"), help="of the video, in tokens")
    parser.add_argument("--references", type=int, default=3, choices=SCENES)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    shape = SHAPES[options.shape]
    shape = replace(shape, grid=tuple(options.grid or shape.grid))
    model = draw_model(shape, device, dtype)
    inputs = draw_inputs(shape, drawn_binding(*SCENES[options.references]), device, dtype)
    found = measure(model, inputs, options.rounds)
    print("| | operations | time, median (range) | processor time |\n|---|---|---|---|")
    for name in NAMES:
        time, processor = found[name]["time"], found[name]["processor_time"]
        print(
            f"| {name} | {found[name]['flops']:.3f} | {time['median']:.2f} ({time['min']:.2f} to {time['max']:.2f}) | "
            f"{processor['median']:.2f} |"
        )
    if options.json:
        setting = {"machine": describe_machine(), "shape": asdict(shape), "rounds": options.rounds}
        write_json(options.json, {**setting, **found})
    return 0


if __name__ == "__main__":
    from tools import in_process
    from tools.server import needs_cpu_flag

    in_process.prepare(os.environ["LUMOSX_TEST_COMFYUI"], needs_cpu_flag())
    sys.exit(main(sys.argv[1:]))
