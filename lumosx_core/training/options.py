"""What the training commands have in common: their options, and checks of these before anything is computed."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

import torch

from ..errors import LumosXError
from ..models.wan.config import WAN21_LATENT
from .processes import current_processes
from .trainer import TrainingPlan

DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}
_SIDE_STEP = WAN21_LATENT.token_pixels
_WARMUP = 100
_MOST_ACCUMULATED = 1024
_RESUME = "continue from the checkpoint of a stopped training"


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of how to train and where, which every such command has."""
    parser.add_argument("--alpha", type=float, help="default: the rank")
    parser.add_argument("--accumulate", type=int, metavar="CASES",
                        help="cases of each step, in all processes together (default: one for each process)")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="%(default)s")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu",
                        help="here %(default)s")
    parser.add_argument("--dtype", choices=DTYPES, help="to compute in: bf16 on a card, f32 on the CPU")
    parser.add_argument("--save-memory", action="store_true", help="compute blocks twice rather than store their "
        "activations")
    parser.add_argument("--resume", type=Path, metavar="CHECKPOINT", help=_RESUME)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def add_small_options(parser: argparse.ArgumentParser, out: str, steps: int) -> None:
    """Add the options that the trainings of all small models have.

    Args:
        out: the name of the new file.
        steps: of the training that made the shipped file.
    """
    parser.add_argument("--out", type=Path, default=Path(out), help="the new file (%(default)s)")
    parser.add_argument(
        "--steps", type=int, default=steps,
        help="%(default)s, as for the shipped file; with --resume it may differ from before",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--resume", type=Path, metavar="CHECKPOINT", help=_RESUME)


def plan_of(options: argparse.Namespace) -> TrainingPlan:
    """How to train.

    Raises:
        LumosXError: a step has no cases, or several processes cannot share them.
    """
    processes = current_processes()
    accumulate = processes.count if options.accumulate is None else options.accumulate
    if not 1 <= accumulate <= _MOST_ACCUMULATED:
        raise LumosXError(f"--accumulate: {accumulate} is not from 1 to {_MOST_ACCUMULATED}; use 1, or leave it out.")
    processes.check_shares(accumulate, f"give --accumulate a multiple of {processes.count}, or start another number")
    # What is kept is an average over about the last tenth: pairs grow from zero, so a longer one would lag behind.
    decay = max(0.0, 1 - 10 / options.steps)
    warmup = min(_WARMUP, options.steps // 10)
    return TrainingPlan(
        options.steps, options.rate, warmup=warmup, decay=decay, accumulate=accumulate, seed=options.seed
    )


def check_out(options: argparse.Namespace) -> None:
    """Whether the new file can be written without taking another one's place.

    Raises:
        LumosXError: it cannot.
    """
    check_place(options.out)
    if not options.overwrite and options.resume is None:
        if options.out.exists():
            raise LumosXError(f"--out: {options.out} already exists; choose another name, or add --overwrite.")
        if checkpoint_of(options.out).exists():
            raise LumosXError(
                f"--out: {checkpoint_of(options.out)} is the checkpoint of a stopped training; continue with "
                "--resume, or add --overwrite."
            )
    check_device(options.device)


def check_small_options(options: argparse.Namespace, steps: int) -> None:
    """Check the options that ``add_small_options`` adds.

    Args:
        options: the parsed command line.
        steps: the number to recommend.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, or there is no such device.
    """
    check_place(options.out)
    if options.steps < 1:
        raise LumosXError(f"--steps: {options.steps} is below 1; use {steps}.")
    check_device(options.device)


def check_place(out: Path) -> None:
    """Raise LumosXError for a name or a place that no new file of weights can have."""
    if out.suffix != ".safetensors":
        raise LumosXError(f"--out: {out} does not end in .safetensors; use that extension.")
    if not out.absolute().parent.is_dir():
        raise LumosXError(f"--out: there is no folder {out.absolute().parent}; create it or choose another.")


def check_device(device: str) -> None:
    """Raise LumosXError for a card that is not there."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise LumosXError("--device: this PyTorch finds no CUDA card; use cpu.")


def check_files(files: Mapping[str, Path | None]) -> None:
    """Raise LumosXError for the first option whose file does not exist; options without a file are skipped."""
    for option, file in files.items():
        if file is not None and not file.is_file():
            raise LumosXError(f"{option}: there is no file {file}; choose another.")


def dtype_name(options: argparse.Namespace) -> str:
    """The key of ``DTYPES`` to compute in."""
    return options.dtype or ("bf16" if options.device == "cuda" else "f32")


def check_numbers(options: argparse.Namespace) -> None:
    """Raise LumosXError for a number that is out of range."""
    for side in options.size:
        if side < _SIDE_STEP or side % _SIDE_STEP:
            raise LumosXError(f"--size: {side} is not a multiple of {_SIDE_STEP}; use one, such as 832 480.")
    if not WAN21_LATENT.has_frames(options.frames):
        raise LumosXError(f"--frames: {options.frames} is not 4 n + 1; use 81, or 1 for stills.")
    for name in ("rank", "steps"):
        if getattr(options, name) < 1:
            raise LumosXError(f"--{name}: {getattr(options, name)} is below 1; use 1 or more.")
    for name, value in (("rate", options.rate), ("alpha", alpha_of(options))):
        if not 0 < value < math.inf:
            raise LumosXError(f"--{name}: {value} must be > 0; leave it out, or use such a number.")
    if not 0 <= options.drop_references < 1:
        raise LumosXError(f"--drop-references: {options.drop_references} is not a probability; use 0 to 0.9.")


def alpha_of(options: argparse.Namespace) -> float:
    """The rank unless said otherwise."""
    return options.rank if options.alpha is None else options.alpha


def checkpoint_of(out: Path) -> Path:
    """Where a stopped training leaves its checkpoint."""
    return out.with_suffix(".checkpoint")
