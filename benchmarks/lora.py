"""What a LoRA costs beside weights of 8 bits, in time and in error: computed beside the layers, and in their weights.

    python dev.py bench lora [--rank 32] [--grid 1 8 13] [--rounds 5] [--json FILE]

One block of the real model's width (1536, feed-forward 8960) with drawn weights, loaded as LumosX Model Loader loads
it, and one forward with two people. The LoRA is on all linear layers of the block. "In the weights" is what happened
before LumosX computed LoRAs beside the layers: GGUF was unpacked and patched at every use, and ComfyUI merged into fp8.
All variants take turns in one process and ratios are of processor time. The error is that of the velocity against
float32 with the LoRA merged.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.machine import describe_machine, own_comfyui
from benchmarks.measuring import interleaved, spread, timed, write_json
from benchmarks.quant_once import inputs
from lumosx_core.models.wan.config import WAN21_1_3B
from lumosx_core.weights.convert import convert
from lumosx_core.weights.precision import ending
from tools.golden import drawn_weight, relative_error
from tools.weight_files import make_lora

ONE_BLOCK = replace(WAN21_1_3B, num_layers=1)
FORMATS = ("f32", "q8_0", "fp8_scaled")
NO_LORA, BESIDE, IN_WEIGHTS = "no LoRA", "LoRA", "LoRA in the weights"
CPU = torch.device("cpu")


class Bench:
    """The files, the LoRA, and one forward of any variant."""

    def __init__(self, folder: Path, rank: int, grid: tuple[int, int, int]):
        weights = {name: drawn_weight(name, shape, 1) for name, shape in ONE_BLOCK.shapes().items()}
        self.files = {name: folder / f"weights_{name}{ending(name)}" for name in FORMATS}
        save_file(weights, self.files["f32"])
        for name in FORMATS[1:]:
            convert(self.files["f32"], self.files[name], name)
        linear = [name for name, weight in weights.items() if name.startswith("blocks.") and weight.ndim == 2]
        self.lora = make_lora(weights, rank, layers=[name.removesuffix(".weight") for name in linear])
        for name in self.lora:
            if name.endswith("lora_B.weight"):
                self.lora[name] *= 0.1 * rank**-0.5
        frames, height, width = grid
        self.inputs = inputs(frames, 2 * height, 2 * width)
        self.patchers = {}

    def patcher(self, kind: str, variant: str):
        """A patcher of this variant; all of one format share their weights where that is possible."""
        import comfy.sd
        from comfy.model_patcher import ModelPatcher

        from lumosx_core.host.weights.loader import load_patcher

        if kind not in self.patchers:
            self.patchers[kind] = load_patcher(str(self.files[kind]))
        patcher = self.patchers[kind]
        if variant == IN_WEIGHTS and kind == "fp8_scaled":
            patcher = ModelPatcher(patcher.model, patcher.load_device, patcher.offload_device)
        if variant != NO_LORA:
            patcher = comfy.sd.load_lora_for_models(patcher, None, self.lora, 1.0, 0)[0]
        if variant == IN_WEIGHTS and kind == "q8_0":
            for key in patcher.patches:
                patcher.add_weight_wrapper(key, lambda weight: weight)
        return patcher

    def run(self, kind: str, variant: str):
        """(milliseconds of processor time, velocity) of one forward; a first one is not counted."""
        from comfy.ldm.modules.attention import optimized_attention

        from lumosx_core.models.lumosx import relational_forward

        latent, context, references, binding = self.inputs
        patcher, kept = self.patcher(kind, variant), []
        patcher.patch_model(patcher.load_device)

        def forward():
            kept[:] = [relational_forward(
                patcher.model.diffusion_model, latent, torch.tensor([600.0]), context, references, binding,
                optimized_attention,
            )]

        with torch.inference_mode():
            forward()
            # What else the machine does at that time is not in it.
            processor = timed(forward, CPU)[1]
        patcher.unpatch_model(patcher.offload_device)
        return processor, kept[0]


def measure(bench: Bench, rounds: int) -> list[dict]:
    """One row a variant: its times, their ratio to the same weights without the LoRA, and its error."""
    variants = {f"{kind}, {variant}": (kind, variant) for kind in FORMATS for variant in (NO_LORA, BESIDE, IN_WEIGHTS)
                if (kind, variant) != ("f32", IN_WEIGHTS)}
    found = interleaved(variants, rounds, lambda name: bench.run(*variants[name]))
    exact = {variant: found[f"f32, {variant}"][0][1].double() for variant in (NO_LORA, BESIDE)}
    rows = []
    for name, (kind, variant) in variants.items():
        alone, times = ([time for time, _ in found[one]] for one in (f"{kind}, {NO_LORA}", name))
        meant = exact[NO_LORA if variant == NO_LORA else BESIDE]
        rows.append({
            "variant": name, "processor_milliseconds": spread(times),
            "of_no_lora": spread(time / other for time, other in zip(times, alone)),
            "relative_error": relative_error(found[name][0][1].double(), meant),
        })
    return rows


def table(rows: list[dict]) -> str:
    """The rows as Markdown."""
    lines = ["| weights | processor time, median | of no LoRA, median (range) | relative error |", "|---|---|---|---|"]
    for row in rows:
        ratio = row["of_no_lora"]
        lines.append(
            f"| {row['variant']} | {row['processor_milliseconds']['median']:.0f} ms | {ratio['median']:.2f} "
            f"({ratio['min']:.2f} to {ratio['max']:.2f}) | {row['relative_error']:.1e} |"
        )
    return "\n".join(lines)


def main(arguments):
    """Print the table; write JSON where asked."""
    parser = argparse.ArgumentParser(prog="dev.py bench lora", description=__doc__.partition("\n")[0])
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--grid", type=int, nargs=3, default=(1, 8, 13), help="frames, rows and columns, in tokens")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    with own_comfyui(cpu=True) as folder:
        bench = Bench(folder, options.rank, tuple(options.grid))
        rows = measure(bench, options.rounds)
    machine = describe_machine()
    setting = {"rank": options.rank, "grid": list(options.grid), "rounds": options.rounds}
    print(f"{machine}; {setting}, interleaved.\n\n{table(rows)}")
    if options.json:
        write_json(options.json, {"machine": machine, **setting, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
