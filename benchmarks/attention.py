"""Every attention backend that works here, at LumosX's shapes: time, and distance from float64.

    python dev.py bench attention [--device cpu|cuda] [--shape small|full] [--references 0 to 10] [--dtype NAME]
                                  [--rounds N] [--json FILE]

One block's attention calls are measured: "video" (its rows over all tokens), "groups" (each person's and object's
pictures among themselves) and "text" (the video's rows over 512 text tokens). So are the other ways to self-attention:
one call with a mask over all tokens, and one dense call without. Inputs are random numbers, which real ones are not:
errors can be compared with each other only.

PyTorch's kernels are also measured one by one, and ComfyUI's own choice beside them. Backends take turns (A B C A B
C …). On a CPU the small shape in float32 is the default, on CUDA the full one in bf16. What cannot run is listed with
the reason.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.card import attention_of
from benchmarks.machine import describe_machine
from benchmarks.measuring import interleaved, spread, timed, write_json
from benchmarks.shapes import SCENES, SHAPES, Shape, drawn_binding
from lumosx_core.attention.backend_kernels import hardware_of, kernel_order, load_pytorch
from lumosx_core.attention.backends import BACKENDS, resolve_backend
from lumosx_core.errors import LumosXError
from lumosx_core.models.attention import DenseAttention
from lumosx_core.models.lumosx.sequence import SequenceLayout
from lumosx_core.models.wan.config import UMT5
from tools.golden import relative_error

WARM_UPS = 2
SAMPLED_ROWS = 256
"""Rows of q whose result is compared with float64, which would take too long for all."""
KERNELS = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH")

Call = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""q, k and v, each [batch, tokens, heads * head_dim]."""


def draw_calls(shape: Shape, layout: SequenceLayout, device: torch.device, dtype: torch.dtype) -> dict[str, list[Call]]:
    """The attention calls of one block, by kind."""
    generator = torch.Generator().manual_seed(7)

    def draw(tokens):
        return torch.randn(1, tokens, shape.dim, generator=generator).to(device, dtype)

    q, k, v = (draw(layout.tokens) for _ in range(3))
    video = q[:, :layout.video_tokens]
    groups = []
    for start, count, tokens in layout.group_calls:
        rows = (x[:, start:start + count * tokens].unflatten(1, (count, tokens)).flatten(0, 1) for x in (q, k, v))
        groups.append(tuple(rows))
    return {"video": [(video, k, v)], "groups": groups, "text": [(video, draw(UMT5.length), draw(UMT5.length))]}


def find_backends(device: torch.device, dtype: torch.dtype) -> tuple[dict[str, DenseAttention], dict[str, str]]:
    """(name -> attention, name -> why it cannot run)."""
    from comfy.ldm.modules.attention import optimized_attention

    order = kernel_order(hardware_of(device))
    found: dict[str, DenseAttention] = {"pytorch": attention_of(load_pytorch(order))}
    for kernel in KERNELS:
        found[f"pytorch, {kernel.partition('_')[0].lower()} alone"] = partial(_with_kernel, getattr(SDPBackend, kernel))
    found[f"ComfyUI's {optimized_attention.__name__}"] = optimized_attention
    missing = {}
    for choice in BACKENDS:
        try:
            found[choice] = attention_of(resolve_backend(choice, hardware_of(device), device, dtype).kernel)
        except LumosXError as error:
            missing[choice] = str(error)
    return found, missing


def _with_kernel(kernel: SDPBackend, q, k, v, heads: int) -> torch.Tensor:
    with sdpa_kernel(kernel):
        return attention_of(load_pytorch(()))(q, k, v, heads)


def drop_failing(
    found: dict[str, DenseAttention], missing: dict[str, str], calls: dict[str, list[Call]], heads: int
) -> dict[str, DenseAttention]:
    """Those that get through a first round; the others join ``missing``."""
    passed = {}
    for name, attention in found.items():
        print(f"trying {name}", file=sys.stderr, flush=True)
        try:
            for kind in calls:
                _run(attention, calls[kind], heads)
            passed[name] = attention
        except (RuntimeError, ValueError, NotImplementedError) as error:
            missing[name] = (str(error).strip() or type(error).__name__).splitlines()[0]
    return passed


def _run(attention: DenseAttention, calls: list[Call], heads: int) -> None:
    for q, k, v in calls:
        attention(q, k, v, heads)


def measure_backends(
    found: dict[str, DenseAttention], calls: dict[str, list[Call]], heads: int, rounds: int
) -> list[dict]:
    """One row a backend."""
    device = calls["video"][0][0].device
    jobs = {(name, kind): partial(_run, found[name], calls[kind], heads) for name in found for kind in calls}
    times = _times(jobs, rounds, device)
    exact = _exact_rows(calls["video"][0], heads)
    rows = []
    for name, attention in found.items():
        measured = attention(*calls["video"][0], heads)[:, _sampled(calls["video"][0][0])].double()
        found_times = {kind: times[name, kind] for kind in calls}
        rows.append({
            "backend": name,
            "ms": found_times,
            "all_ms": sum(spread["min"] for spread in found_times.values()),
            "relative_error": relative_error(measured, exact),
            "cosine": F.cosine_similarity(measured.flatten(), exact.flatten(), dim=0).item(),
        })
    return rows


def _times(jobs: dict, rounds: int, device: torch.device) -> dict:
    for job in WARM_UPS * list(jobs.values()):
        job()
    found = interleaved(jobs, rounds, lambda name: timed(jobs[name], device)[0])
    return {name: spread(values) for name, values in found.items()}


def _sampled(q: torch.Tensor) -> torch.Tensor:
    return torch.linspace(0, q.shape[1] - 1, min(SAMPLED_ROWS, q.shape[1])).long()


def _exact_rows(call: Call, heads: int) -> torch.Tensor:
    q, k, v = (x.double() for x in (call[0][:, _sampled(call[0])], *call[1:]))
    return attention_of(load_pytorch(("MATH",)))(q, k, v, heads)


def measure_ways(calls: dict[str, list[Call]], layout: SequenceLayout, heads: int, rounds: int) -> dict:
    """Self-attention in PyTorch: ours, one call with a mask of all tokens, and one dense call."""
    device = calls["video"][0][0].device
    pytorch = load_pytorch(kernel_order(hardware_of(device)))
    video, k, v = calls["video"][0]
    all_rows = torch.cat([video, *(q.flatten(0, 1)[None] for q, _, _ in calls["groups"])], dim=1)
    mask = torch.zeros(layout.tokens, layout.tokens, dtype=torch.bool, device=device)
    mask[:layout.video_tokens] = True
    for start, end in layout.groups:
        mask[start:end, start:end] = True

    def masked():
        q, keys, values = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (all_rows, k, v))
        return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask).transpose(1, 2).flatten(2)

    def ours():
        parts = [attention_of(pytorch)(*call, heads) for kind in ("video", "groups") for call in calls[kind]]
        return torch.cat([parts[0], *(part.flatten(0, 1)[None] for part in parts[1:])], dim=1)

    dense = partial(attention_of(pytorch), all_rows, k, v, heads)
    jobs = {"ours": ours, "one masked call": masked, "one dense call": dense}
    difference = relative_error(ours(), masked())
    return {"ms": _times(jobs, rounds, device), "difference_of_ours_and_masked": difference}


def table(rows: list[dict], ways: dict, missing: dict[str, str]) -> str:
    """Everything as Markdown; times are minimum / median in ms, "all" the sum of the minima."""
    base = rows[0]["all_ms"]
    lines = [
        "| backend | video | groups | text | all | of pytorch | cosine | relative error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = " | ".join(_milliseconds(row["ms"][kind]) for kind in ("video", "groups", "text"))
        lines.append(
            f"| {row['backend']} | {times} | {row['all_ms']:.1f} | {row['all_ms'] / base:.2f} "
            f"| {row['cosine']:.6f} | {row['relative_error']:.1e} |"
        )
    lines += ["", "| self-attention in PyTorch | ms | of ours |", "|---|---|---|"]
    for name, times in ways["ms"].items():
        lines.append(f"| {name} | {_milliseconds(times)} | {times['min'] / ways['ms']['ours']['min']:.2f} |")
    lines += ["", "Not measured:", "", *(f"- {name}: {reason}" for name, reason in missing.items())]
    return "\n".join(lines)


def _milliseconds(times: dict[str, float]) -> str:
    return f"{times['min']:.1f} / {times['median']:.1f}"


def main(arguments: list[str]) -> int:
    """Print the tables; write JSON where asked."""
    options = _parse(arguments)
    device = torch.device(options.device)
    on_card = device.type == "cuda"
    shape = SHAPES[options.shape or ("full" if on_card else "small")]
    dtype = getattr(torch, options.dtype or ("bfloat16" if on_card else "float32"))
    layout = SequenceLayout(*shape.grid, drawn_binding(*SCENES[options.references]))
    with torch.no_grad():
        calls = draw_calls(shape, layout, device, dtype)
        found, missing = find_backends(device, dtype)
        found = drop_failing(found, missing, calls, shape.heads)
        rows = measure_backends(found, calls, shape.heads, options.rounds)
        ways = measure_ways(calls, layout, shape.heads, options.rounds)
    result = {
        "machine": describe_machine(), "device": options.device, "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(), "shape": asdict(shape), "references": options.references,
        "tokens": layout.tokens, "rounds": options.rounds, "rows": rows, "self_attention": ways, "missing": missing,
    }
    print(
        f"{result['machine']}; {result['dtype']}, {shape.heads} heads of 128, {layout.tokens} tokens with "
        f"{options.references} references, {options.rounds} interleaved rounds, minimum / median in ms.\n"
    )
    print(table(rows, ways, missing))
    if options.json:
        write_json(options.json, result)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py bench attention", description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--shape", choices=SHAPES, help="small is the default on a CPU, full on CUDA")
    parser.add_argument("--references", type=int, choices=SCENES, default=6)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    from tools import in_process
    from tools.server import needs_cpu_flag

    in_process.prepare(os.environ["LUMOSX_TEST_COMFYUI"], needs_cpu_flag())
    sys.exit(main(sys.argv[1:]))
