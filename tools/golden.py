"""Golden files against the functions that the nodes run: ``python dev.py golden FILE…``."""

from __future__ import annotations

import json
import math
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open

from lumosx_core.media import letterbox
from lumosx_core.models.lumosx.sequence import Binding
from lumosx_core.sampling.solvers import FlowSchedule, solve
from lumosx_core.scene.phrases import exact_spans
from tools import golden_lynx, golden_polyvivid

FORWARD_BOUND = 2e-5
SAMPLER_BOUND = 1e-9
EXACT_BOUND = 0.0
UNITS_BOUND = 1.0


@dataclass(frozen=True)
class Verdict:
    """One golden file's figure: relative RMS for forward and sampler, differing values for the exact kinds.

    For files with several tolerances it is the largest error in units of what is allowed. PolyVivid's are in
    ``golden_polyvivid``.
    """

    name: str
    measured: float
    bound: float

    @property
    def ok(self) -> bool:
        return self.measured <= self.bound

    def __str__(self) -> str:
        return f"{self.name} measured={self.measured:.3g} bound={self.bound:g} {'ok' if self.ok else 'FAIL'}"


def check(path: Path) -> Verdict:
    """Compare one golden file, of the kind that its content shows; PolyVivid's are known by their names.

    Raises:
        ValueError: content of no known kind, or no JSON.
        OSError, SafetensorError, KeyError: an unreadable file.
    """
    if path.stem.startswith("polyvivid_"):
        return Verdict(path.stem, *golden_polyvivid.check(path))
    if path.suffix == ".json":
        cases = json.loads(path.read_text(encoding="utf-8"))
        if not cases:
            raise ValueError("it holds no cases")
        measured = golden_lynx.worst_of_cases(cases)
        if measured is not None:
            return Verdict(path.stem, measured, UNITS_BOUND)
        return Verdict(path.stem, _phrase_spans(cases), EXACT_BOUND)
    tensors, case = load_golden(path)
    measured = golden_lynx.worst(path, tensors, case)
    if measured is not None:
        return Verdict(path.stem, measured, UNITS_BOUND)
    if "velocity" in tensors:
        return Verdict(path.stem, _forward(tensors, case), FORWARD_BOUND)
    if "timesteps" in tensors:
        return Verdict(path.stem, _sampler(tensors, case), SAMPLER_BOUND)
    if "in0" in tensors:
        return Verdict(path.stem, _letterbox(tensors), EXACT_BOUND)
    raise ValueError("it holds none of velocity, timesteps and in0")


def relative_error(measured: torch.Tensor, expected: torch.Tensor) -> float:
    """RMS of the difference over RMS of what is expected."""
    return ((measured.double() - expected.double()).norm() / expected.double().norm()).item()


def drawn_weight(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """A parameter as the golden files' notes say it is drawn."""
    generator = torch.Generator().manual_seed(seed * 1000003 + zlib.crc32(name.encode()))
    z = torch.randn(shape, generator=generator)
    if name.endswith(".weight") and "norm" in name:
        return (1 + 0.1 * z) * (2 if name.endswith(("norm_q.weight", "norm_k.weight")) else 1)
    if name.endswith("modulation"):
        return 0.2 * z
    if name.endswith(".bias"):
        return 0.05 * z
    return z / math.sqrt(math.prod(shape[1:]))


def load_golden(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """The tensors of a golden file and its case."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata.get("case", "{}"))  # noqa: SIM118


def _forward(tensors: dict[str, torch.Tensor], case: dict) -> float:
    """The whole way: ComfyUI's WanModel, its wrappers, our wrapper."""
    from lumosx_core.host.methods.lumosx import RelationalWrapper
    from lumosx_core.host.socket import BINDING, REFERENCES, MissingModelNode
    from lumosx_core.models.lumosx import RelationalOptions

    model = wan_model(case["cfg"], case["seed"])
    wrapper = RelationalWrapper(RelationalOptions(ratio=case["cfg"]["ratio"]))
    conditions = {
        REFERENCES: [reference[None, :, None] for reference in tensors["references"]],
        BINDING: golden_binding(case),
        "time_dim_concat": MissingModelNode(),
    }
    options = {"wrappers": {"diffusion_model": {"lumosx": [wrapper]}}}
    with torch.no_grad():
        velocity = model(
            tensors["video_latent"][None], torch.tensor([float(case["t"])]), context=tensors["text"][None],
            transformer_options=options, **conditions,
        )
    return relative_error(velocity[0], tensors["velocity"])


def wan_model(sizes: dict, seed: int) -> torch.nn.Module:
    """ComfyUI's own WanModel in float32 with the golden files' weights."""
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    sizes = {name: value for name, value in sizes.items() if name != "ratio"}
    model = WanModel(
        **sizes, cross_attn_norm=True, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init
    )
    weights = {name: drawn_weight(name, tuple(value.shape), seed) for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    return model


def golden_binding(case: dict) -> Binding:
    """The binding that a forward case describes."""
    def spans(found):
        return tuple(tuple(span) for span in found)

    return Binding(
        non_human_spans=tuple(spans(found) for found in case["spans_nh"]),
        subject_spans=tuple(tuple(span for image in human for span in spans(image)) for human in case["spans_h"]),
        subject_images=tuple(case["humans"]),
    )


def _sampler(tensors: dict[str, torch.Tensor], case: dict) -> float:
    schedule = FlowSchedule.build(case["steps"], case["shift"])
    if list(schedule.timesteps) != tensors["timesteps"].tolist() or list(schedule.sigmas) != tensors["sigmas"].tolist():
        return math.inf

    def velocity(x, timestep, bias):
        return torch.tanh(0.7 * x + bias) * (0.5 + timestep / 2000) + 0.6 * (x - tensors["target"])

    def denoise(x, sigma, timestep):
        without = velocity(x, timestep, case["bias_uncond"])
        guided = without + case["cfg"] * (velocity(x, timestep, case["bias_cond"]) - without)
        return x - sigma * guided

    return relative_error(solve(denoise, tensors["noise"], schedule.sigmas, schedule), tensors["sample"])


def _letterbox(tensors: dict[str, torch.Tensor]) -> float:
    differing = 0
    inputs = {name for name in tensors if name.startswith("in")}
    if {name.replace("in", "out") for name in inputs} != tensors.keys() - inputs:
        raise ValueError("its in and out tensors are not pairs")
    for name in sorted(inputs):
        expected = tensors[name.replace("in", "out")]
        fitted = letterbox(Image.fromarray(tensors[name].numpy()), expected.shape[1], expected.shape[0])
        measured = torch.frombuffer(bytearray(fitted.tobytes()), dtype=torch.uint8).reshape(expected.shape)
        differing += int((measured != expected).sum())
    return float(differing)


def _phrase_spans(cases: list[dict]) -> float:
    differing = 0
    for case in cases:
        spans = exact_spans(case["prompt_ids"], case["phrase_ids"])
        marked = {index for start, end in spans for index in range(start, end)}
        differing += len(marked ^ set(case["mask_indices"]))
    return float(differing)


def main(arguments: list[str]) -> int:
    """Print a line for each file; 1 if any fails or cannot be read, 2 without files."""
    if not arguments:
        print("golden: name at least one golden file, e.g. tests/golden/*.", file=sys.stderr)
        return 2
    failed = False
    for argument in arguments:
        path = Path(argument)
        try:
            verdict = check(path)
        except (OSError, SafetensorError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            print(f"{path.stem} measured=nan bound=nan FAIL ({error})")
            failed = True
            continue
        print(verdict)
        failed = failed or not verdict.ok
    return int(failed)


if __name__ == "__main__":
    import os

    from tools import in_process

    # The golden numbers are a CPU's.
    in_process.prepare(os.environ["LUMOSX_TEST_COMFYUI"], cpu=True)
    sys.exit(main(sys.argv[1:]))
