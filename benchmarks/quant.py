"""Every weight format against float32: error of the velocity, size, load time, peak memory, forward time.

    python dev.py bench quant [--rounds 3] [--shape tiny|full] [--json FILE]

The formats are made by our converter from one float32 file and loaded as LumosX Model Loader loads them, each in a
process of its own, in rounds over all formats (A B C A B C …), so that a slow moment of the machine hits them alike.
``--shape full`` has the real model's 30 blocks of width 1536 with weights drawn at random; it needs 20 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.machine import describe_machine
from benchmarks.measuring import interleaved, spread, write_json
from lumosx_core.models.wan.config import WAN21_1_3B
from lumosx_core.weights.convert import convert
from lumosx_core.weights.precision import ending
from tools.golden import drawn_weight, relative_error
from tools.weight_files import small_transformer

MADE = (
    "bf16", "f16", "fp8_scaled", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0",
    *(("int8", "nvfp4") if find_spec("comfy_kitchen") else ()),
)
"""Formats that the converter can make here."""
CAST = ("fp8_e4m3fn", "fp8_e5m2")
"""Formats that ComfyUI makes while it loads a bf16 file."""


def make_files(folder, shape):
    """Write the float32 file and every format made from it; return format -> (file, weight dtype of the loader)."""
    plain = folder / "f32.safetensors"
    save_file(small_transformer() if shape == "tiny" else random_full_weights(), plain)
    files = {"f32": (plain, "default")}
    for name in MADE:
        path = folder / f"{name}{ending(name)}"
        convert(plain, path, name)
        files[name] = (path, "default")
    files.update({name: (folder / "bf16.safetensors", name) for name in CAST})
    return files


def random_full_weights():
    """Weights with the names and shapes of Wan2.1-T2V-1.3B, drawn as for the golden files."""
    return {name: drawn_weight(name, shape, 1) for name, shape in WAN21_1_3B.shapes().items()}


def measure(file, weight_dtype, output, shape):
    """One load and forward in a process of its own: its figures, and the velocity in OUTPUT."""
    command = [sys.executable, "-m", "benchmarks.quant_once", str(file), weight_dtype, str(output), shape]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"bench quant: {file.name} with {weight_dtype} failed:\n{answer.stderr[-2000:]}")
    return json.loads(answer.stdout.splitlines()[-1])


def rows_of(files, figures, folder):
    """One row a format, with its distance from float32."""
    exact = load_file(folder / "f32.velocity")["velocity"].double()
    for name, (file, weight_dtype) in files.items():
        velocity = load_file(folder / f"{name}.velocity")["velocity"].double()
        runs = figures[name]
        yield {
            "format": name,
            "made_by": "ComfyUI, from bf16, while loading" if weight_dtype != "default" else "the converter",
            "relative_error": relative_error(velocity, exact),
            "cosine": torch.nn.functional.cosine_similarity(velocity.flatten(), exact.flatten(), dim=0).item(),
            "file_bytes": file.stat().st_size,
            "load_seconds": spread(run["load_seconds"] for run in runs),
            "load_peak_bytes": spread(run["load_peak_bytes"] for run in runs),
            "peak_bytes": spread(run["peak_bytes"] for run in runs),
            "forward_seconds": spread(second for run in runs for second in run["forward_seconds"]),
        }


def table(rows):
    """The rows as Markdown; times and memory are medians, forward times also as a ratio to float32."""
    rows = list(rows)
    base = rows[0]["forward_seconds"]["median"]
    lines = [
        "| format | relative error | cosine | file | load | RAM to load | with a forward | forward | of f32 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['format']} | {row['relative_error']:.2e} | {row['cosine']:.6f} "
            f"| {row['file_bytes'] / 2**20:.1f} MiB | {row['load_seconds']['median']:.2f} s "
            f"| {_mebibytes(row['load_peak_bytes'])} | {_mebibytes(row['peak_bytes'])} "
            f"| {row['forward_seconds']['median']:.3f} s | {row['forward_seconds']['median'] / base:.2f} |"
        )
    return "\n".join(lines)


def _mebibytes(spread):
    return f"{spread['median'] / 2**20:.0f} MiB" if spread else "unknown"


def main(arguments):
    """Print the table; write JSON where asked."""
    parser = argparse.ArgumentParser(prog="dev.py bench quant", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="lumosx-bench-") as name:
        folder = Path(name)
        files = make_files(folder, options.shape)
        figures = interleaved(
            files, options.rounds, lambda name: measure(*files[name], folder / f"{name}.velocity", options.shape)
        )
        rows = list(rows_of(files, figures, folder))
    machine = describe_machine()
    print(f"{machine}; {options.shape} model, {options.rounds} interleaved rounds, medians.\n\n{table(rows)}")
    if options.json:
        write_json(options.json, {"machine": machine, "shape": options.shape, "rounds": options.rounds, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
