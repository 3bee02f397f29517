"""The learned codec of the small VAE, trained on the drawn world from a seed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ..files import write_aside
from ..tiny.learned import LearnedCodec, initialise_codec, load_codec
from ..tiny.world.cast import Split
from .codec_trainer import CodecTrainer, Sight, Sights, decoded, measure_statistics, pixels
from .options import add_small_options, check_small_options
from .painting import painted_figures
from .plot import Shown
from .running import machine_of, train_to_file, write_record
from .tiny_run import drawn_aside
from .trainer import TrainingPlan

STEPS = 400
CLIPS, SAMPLES = 4, 2
"""Clips of a sample, and samples of each step."""
WORLD_SEED, WEIGHTS_SEED, CHECK_SEED = 21, 0, 99
RATE, WARMUP, COOLDOWN, DECAY = 0.01, 20, 0.9, 0.98
"""Averaged over 50 steps: an average over 500 was blurred, since Muon goes far in as many."""
CHECKED_EVERY, CHECKED, NOISES = 250, 16, (0.0, 0.3)
OUT = "lumosx_tiny_codec.safetensors"
_LOSS = "loss (differences of colours and edges)"
_SHOWN = Shown("PSNR", "PSNR, dB", (0, 40))


def add_command(commands: Any) -> None:
    """Add ``codec`` to the command line."""
    parser = commands.add_parser("codec", help="train the codec of the small VAE that ships with the pack")
    add_small_options(parser, OUT, STEPS)
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to start from, instead of a seed")
    parser.add_argument(
        "--compile", action="store_true", help="compile the loss, which takes a third less time; needs a C++ compiler"
    )
    parser.set_defaults(run=train_codec)


def train_codec(options: argparse.Namespace) -> str:
    """Train, write weights, record and plot, and say where they are.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, there is no such device, or ``--resume`` is
            of another training.
    """
    check_small_options(options, STEPS)
    device = torch.device(options.device)
    codec = LearnedCodec()
    initialise_codec(codec, WEIGHTS_SEED)
    if options.start is not None:
        codec.load_state_dict(load_codec(options.start).state_dict())
    plan = TrainingPlan(options.steps, rate=RATE, warmup=WARMUP, cooldown=COOLDOWN, decay=DECAY, accumulate=SAMPLES)
    codec = codec.bfloat16()
    codec.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload] Missing in its types.
    trainer = CodecTrainer(codec, plan, torch.bfloat16, device)
    if options.compile:
        trainer.compile_loss()
    if options.resume is not None:
        trainer.resume(options.resume)
    return train_to_file(
        trainer, codec_samples, options.out, lambda: write_codec(options.out, trainer), CodecCheck(trainer),
        CHECKED_EVERY,
    )


def codec_samples(first: int) -> torch.utils.data.DataLoader:
    """The training's samples from step ``first`` on; pictures are drawn in a process of their own."""
    return drawn_aside(Sights(WORLD_SEED, CLIPS, Split.TRAIN), first * SAMPLES, 8)


def trained_codec(trainer: CodecTrainer) -> LearnedCodec:
    """The averaged weights, as they will be written in bf16, in float32 on the CPU, with the world's statistics."""
    codec = LearnedCodec().requires_grad_(False)
    weights = {name: weight.to("cpu", torch.bfloat16).float() for name, weight in trainer.state_dict().items()}
    codec.load_state_dict(weights | {"mean": codec.mean, "std": codec.std})
    measure_statistics(codec, Sights(CHECK_SEED, CHECKED, Split.TRAIN))
    return codec


class CodecCheck:
    """Called, it paints clips and references of the validation world and says how near they come to the drawings."""

    def __init__(self, trainer: CodecTrainer) -> None:
        self._trainer = trainer
        self._seen: Sight = Sights(CHECK_SEED, CHECKED, Split.VALIDATION)[0]

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        codec = trained_codec(self._trainer)
        found = {}
        truth = pixels(self._seen.painted_clips).transpose(1, 2).flatten(0, 1)
        for level in NOISES:
            painted = decoded(codec, self._seen.clips, level).transpose(1, 2).flatten(0, 1)
            found |= {f"{name} at noise {level}": value for name, value in painted_figures(painted, truth).items()}
        return found


def write_codec(path: Path, trainer: CodecTrainer) -> None:
    """The averaged weights in bf16, the statistics in float32, and the record beside it."""
    codec = trained_codec(trainer)
    in_bf16 = dict(codec.named_parameters())
    weights = {
        name: (weight.bfloat16() if name in in_bf16 else weight).contiguous()
        for name, weight in codec.state_dict().items()
    }
    write_aside(path, save(weights, metadata={"steps": str(trainer.step)}))
    about = {
        "what": "the codec of the small VAE, which paints at twice the size", "command": "python dev.py train codec",
        "world_seed": WORLD_SEED, "weights_seed": WEIGHTS_SEED, "clips_of_a_step": CLIPS * SAMPLES,
        "parameters": sum(weight.numel() for weight in weights.values()), "machine": machine_of(trainer, threads=True),
    }
    write_record(path.with_suffix(".json"), trainer, about, _LOSS, _SHOWN)
