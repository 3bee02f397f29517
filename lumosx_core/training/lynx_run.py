"""Training of the small Lynx that ships with the pack: adapters for the small model, on faces of the drawn world."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ..models.lynx.sizes import ResamplerSizes
from ..scene.prompt import NEGATIVE_PROMPT
from ..tiny.learned import LearnedCodec, load_codec
from ..tiny.lynx_faces import EMBEDDING
from ..tiny.trained import TRAINED
from ..tiny.world.cast import Split
from .examples import Encode
from .lynx_adapters import TrainedAdapters, initialise_adapters
from .lynx_samples import FaceExamples, FaceSample, ReferencePass, nobody, sample_of
from .lynx_trainer import FaceCheck, LynxTrainer
from .options import add_small_options, check_small_options
from .plot import Shown
from .running import base_sha256, machine_of, train_to_file, write_record, write_weights
from .tiny_run import SIZE, drawn_aside, fast_encoder, load_start, repeated, small_network
from .trainer import TrainingPlan

RESAMPLER = ResamplerSizes(
    face_width=EMBEDDING, width=128, inner_width=128, hidden_width=512, heads=2, depth=2, queries=16,
    token_width=SIZE.dim,
)
REGISTERS = 16
STEPS, STILL_STEPS = 3000, 700
"""Steps in all, as for the shipped file, which started from other adapters; and of stills at first, without such."""
CLIPS, SAMPLES = 8, 2
"""Clips in a sample, and samples in a step."""
BLOCK, TIMES = 64, 8
"""Samples that are kept with their features (5 MB each), and how often each is used."""
WORLD_SEED, WEIGHTS_SEED = 47, 0
RATE, WARMUP, COOLDOWN, SHIFT, DECAY = 2e-3, 100, 0.6, 6.0, 0.995
OUT = "lumosx_tiny_lynx.safetensors"
_LOSS = "loss (mean squared error of the velocity, weighted towards the head)"
_SHOWN = Shown(", own", "nearest to their own face, %", (0, 103), 100.0)


def add_command(commands: Any) -> None:
    """Add ``lynx`` to the command line."""
    parser = commands.add_parser("lynx", help="train the small Lynx that ships with the pack, on the drawn world")
    parser.add_argument("--base", type=Path, default=TRAINED, metavar="FILE",
                        help="the small model to train it for, which does not change (default: the shipped one)")
    add_small_options(parser, OUT, STEPS)
    parser.add_argument("--start", type=Path, metavar="FILE", help="adapters to start from, instead of a seed")
    parser.set_defaults(run=train_lynx)


def train_lynx(options: argparse.Namespace) -> str:
    """Train, write the adapters, a record and a plot, and return a message that says where they are.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, there is no such device, ``--base`` is
            another model, ``--start`` contains other adapters, or ``--resume`` comes from another training.
    """
    check_small_options(options, STEPS)
    stills = STILL_STEPS if options.start is None else 0
    from ..host.training import TextSide
    from ..host.weights.tiny import load_tiny_clip

    base = small_network(options.base, "--base").requires_grad_(False)
    about = {
        "base": options.base.name, "base_sha256": base_sha256(options.base),
        "start": "" if options.start is None else options.start.name, "still_steps": str(stills),
    }
    device, codec, encode = torch.device(options.device), load_codec(), TextSide(load_tiny_clip()).encode
    adapters = TrainedAdapters(RESAMPLER, SIZE.dim, SIZE.num_layers, REGISTERS)
    if options.start is None:
        initialise_adapters(adapters, base, WEIGHTS_SEED)
    else:
        load_start(adapters, options.start, "--start", "the small Lynx")
    references = ReferencePass(base.to(device), encode)
    grey = references(nobody(codec))
    plan = TrainingPlan(
        options.steps, rate=RATE, full_rate_inputs=SIZE.dim, warmup=WARMUP, cooldown=COOLDOWN, accumulate=SAMPLES,
        shift=SHIFT, decay=DECAY,
    )
    trainer = LynxTrainer(base, adapters, grey, encode(NEGATIVE_PROMPT), plan, torch.bfloat16, device, about)
    if options.resume is not None:
        trainer.resume(options.resume)
    check = FaceCheck(base, adapters, codec, encode, references, grey)
    return train_to_file(
        trainer, lambda step: samples(step, codec, encode, references, stills), options.out,
        lambda: write_trained(options.out, trainer), check,
    )


def samples(
    first: int, codec: LearnedCodec, encode: Encode, references: ReferencePass, stills: int
) -> Iterator[FaceSample]:
    """The training's samples from step ``first`` on; pictures are drawn and encoded in a separate process.

    Args:
        first: the number of steps already done.
        codec, encode, references: encode the pictures and the prompts, and compute the reference features.
        stills: the number of steps, at the start, that use stills only.
    """
    examples = FaceExamples(fast_encoder(codec), WORLD_SEED, CLIPS, Split.TRAIN, stills * SAMPLES // TIMES)

    def drawn(start: int) -> Iterator[FaceSample]:
        return (sample_of(example, encode, references) for example in drawn_aside(examples, start, 8))

    return repeated(drawn, first * SAMPLES, BLOCK, TIMES)


def write_trained(path: Path, trainer: LynxTrainer) -> None:
    """Write the averaged weights in bf16 as a single Lynx file, and the record beside it."""
    write_weights(path, trainer)
    about = {
        "what": "the small Lynx of the drawn world",
        "command": f"python dev.py train lynx{' --start START' if trainer.about['start'] else ''}", **trainer.about,
        "world_seed": WORLD_SEED, "weights_seed": WEIGHTS_SEED,
        "clips_of_a_step": CLIPS * SAMPLES,
        "times_that_a_sample_is_seen": TIMES,
        "parameters": sum(weight.numel() for weight in trainer.weights),
        "machine": machine_of(trainer, threads=True),
    }
    write_record(path.with_suffix(".json"), trainer, about, _LOSS, _SHOWN)
