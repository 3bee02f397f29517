"""Memory: what is predicted against what is alive, and whether a second run returns to where the first began.

    python dev.py bench memory [--device cpu|cuda] [--shape small|full] [--runs 20] [--json FILE]

The first table counts the bytes of all tensors that one forward makes, at its peak; nothing on the machine disturbs
that number. On a card it also shows what PyTorch's allocator gave out. ``full`` is the real model's shape with random
weights, for cards. The second table is from the small models, in this process.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.card import peak_bytes as peak_on_card
from benchmarks.dense import pytorch_attention
from benchmarks.live import LiveBytes
from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import write_json
from benchmarks.second_runs import repeat_runs
from benchmarks.shapes import SCENES, SHAPES, Shape, draw_inputs, draw_model, drawn_binding
from lumosx_core.models.lumosx import TableCache, relational_forward
from lumosx_core.models.lumosx.cost import CHUNK_TOKENS, Chunks, forward_bytes
from lumosx_core.models.wan.config import WanConfig

CHUNKS = {"small": 1024, "full": CHUNK_TOKENS}
PASSES = {1: "one after the other", 2: "together"}


def measure_forwards(name: str, device: torch.device) -> Iterator[dict]:
    """One row for each number of references, whole and in chunks, with passes apart and together.

    Without references ComfyUI's own forward runs, so there is nothing of ours to measure; only the prediction is there.
    """
    shape, dtype = SHAPES[name], torch.bfloat16 if device.type == "cuda" else torch.float32
    model = draw_model(shape, device, dtype)
    for references in SCENES:
        for chunk_tokens in (0, CHUNKS[name]):
            for passes in PASSES:
                yield _measure_forward(model, shape, references, chunk_tokens, passes, device, dtype)


def _measure_forward(
    model: torch.nn.Module, shape: Shape, references: int, chunk_tokens: int, passes: int, device: torch.device,
    dtype: torch.dtype,
) -> dict:
    inputs, tables = draw_inputs(shape, drawn_binding(*SCENES[references]), device, dtype), TableCache()
    tensors = (inputs.latent, inputs.context, *inputs.references)
    latent, context, *pictures = (tensor.expand(passes, *tensor.shape[1:]).contiguous() for tensor in tensors)

    def run():
        return relational_forward(
            model, latent, inputs.timestep.expand(passes), context, pictures, inputs.binding, pytorch_attention,
            cache=tables, chunk_tokens=chunk_tokens,
        )

    live = card = None
    if references:
        with torch.inference_mode():
            run()
            with LiveBytes() as counted:
                run()
            live = counted.peak
            if device.type == "cuda":
                highest, before = peak_on_card(run, device)
                card = highest - before
    predicted = forward_bytes(inputs.layout, WanConfig.of_module(model), dtype.itemsize, passes, Chunks(chunk_tokens))
    return {
        "references": references, "tokens": inputs.layout.tokens, "chunk_tokens": chunk_tokens, "passes": passes,
        "predicted_bytes": predicted, "live_bytes": live, "card_bytes": card,
        "ratio": predicted / live if live else None,
    }


def forward_table(rows: list[dict]) -> str:
    """The rows as Markdown; the ratio is predicted over alive."""
    lines = [
        "| references | tokens | chunks of | passes | predicted | alive | on the card | predicted / alive |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
        lines.append(
            f"| {row['references']} | {row['tokens']} | {row['chunk_tokens'] or 'all'} | {PASSES[row['passes']]} "
            f"| {_megabytes(row['predicted_bytes'])} | {_megabytes(row['live_bytes'])} "
            f"| {_megabytes(row['card_bytes'])} | {ratio} |"
        )
    return "\n".join(lines)


def run_table(rows: list[dict]) -> str:
    """What is left after each run."""
    lines = ["| run | references | live tensors | their bytes | resident | on the card |", "|---|---|---|---|---|---|"]
    for number, row in enumerate(rows, 1):
        lines.append(
            f"| {number} | {row['references']} | {row['tensors']} | {_megabytes(row['tensor_bytes'])} "
            f"| {_megabytes(row['resident_bytes'])} | {_megabytes(row['card_bytes'])} |"
        )
    return "\n".join(lines)


def _megabytes(amount: int | None) -> str:
    return "" if amount is None else f"{amount / 1e6:.1f} MB"


def small_models() -> tuple:
    """MODEL with the relational forward, CLIP and VAE."""
    from lumosx_core.host.methods.lumosx import relational_model
    from lumosx_core.host.weights.tiny import load_tiny_models
    from lumosx_core.models.lumosx import RelationalOptions

    model, clip, vae = load_tiny_models()
    return relational_model(model, RelationalOptions()), clip, vae


def main(arguments: list[str]) -> int:
    """Print both tables; write JSON where asked."""
    options = _parse(arguments)
    device = torch.device(options.device)
    forwards = list(measure_forwards(options.shape, device))
    with torch.inference_mode():
        runs = list(repeat_runs(small_models(), options.runs))
    result = {
        "machine": describe_machine(), "device": options.device, "shape": options.shape, "forwards": forwards,
        "runs": runs,
    }
    print(
        f"{result['machine']}; {options.shape} shape on {options.device}.\n\n{forward_table(forwards)}\n\n"
        f"Small models, after each of {options.runs} runs:\n\n{run_table(runs)}"
    )
    if options.json:
        write_json(options.json, result)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="small")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    with own_comfyui(_parse(sys.argv[1:]).device == "cpu"):
        sys.exit(main(sys.argv[1:]))
