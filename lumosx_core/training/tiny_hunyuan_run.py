"""Training of the small HunyuanVideo that ships with the pack: text to video on the drawn world, from a seed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ..models.hunyuan.network import HunyuanNetwork
from ..tiny.hunyuan import SIZE
from ..tiny.learned import load_codec
from ..tiny.trained import HUNYUAN, VERSION, VERSION_KEY
from .adapter_cases import AdapterSample, CaseEncoder, EncodedText
from .hunyuan_trainer import TextTrainer, initialise
from .options import add_small_options, check_small_options
from .running import machine_of, train_to_file, write_record, write_weights
from .tiny_run import repeated
from .trainer import Trainer, TrainingPlan
from .whole_examples import WholeExample, prompt_rows, whole_examples

STEPS, LESSONS = 8000, 0.4
"""Steps in all, and the part of them, at the start, that uses stills only."""
SCRIPTS, CLIPS = 2, 4
"""Scripts in a step, and clips that share one."""
COLOURED = 0.5
"""How often prompts name the colours of clothes: the base learns whose colours a text means, which an adapter needs."""
BLOCK, TIMES = 256, 4
"""Examples that are kept, and how often each is used: drawing them takes as long as a step."""
WORLD_SEED, WEIGHTS_SEED = 2, 0
RATE, COOLDOWN, SHIFT, DECAY = 2e-3, 0.5, 5.0, 0.995


def add_command(commands: Any) -> None:
    """Add ``tiny-hunyuan`` to the command line."""
    parser = commands.add_parser(
        "tiny-hunyuan", help="train the small HunyuanVideo that ships with the pack, on the drawn world"
    )
    add_small_options(parser, HUNYUAN.name, STEPS)
    parser.set_defaults(run=train_tiny_hunyuan)


def train_tiny_hunyuan(options: argparse.Namespace) -> str:
    """Train, write the weights, a record and a plot, and return a message that says where they are.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, there is no such device, or ``--resume``
            comes from another training.
    """
    check_small_options(options, STEPS)
    from ..host.conditioning.polyvivid_training import SubjectsSide
    from ..host.weights.tiny_hunyuan import load_hunyuan_encoders

    encoder = SubjectsSide(*load_hunyuan_encoders())
    plan = TrainingPlan(
        options.steps, rate=RATE, full_rate_inputs=SIZE.hidden_size, cooldown=COOLDOWN, shift=SHIFT, decay=DECAY,
        accumulate=SCRIPTS,
    )
    network = HunyuanNetwork(SIZE)
    initialise(network, WEIGHTS_SEED)
    trainer = TinyHunyuanTrainer(network.bfloat16(), plan, torch.bfloat16, torch.device(options.device))
    if options.resume is not None:
        trainer.resume(options.resume)
    return train_to_file(
        trainer, lambda step: text_samples(step, encoder, int(LESSONS * options.steps)), options.out,
        lambda: write_hunyuan(options.out, trainer),
    )


class TinyHunyuanTrainer(TextTrainer):
    """A resumed training may have fewer or more steps than planned."""

    threads = 2
    may_change = ("steps", "cooldown")


def text_samples(first: int, encoder: CaseEncoder, lesson_steps: int = 0) -> Iterator[AdapterSample]:
    """The training's samples from step ``first`` on; pictures are drawn and encoded in a separate process.

    Args:
        first: the number of steps already done.
        encoder: of prompts.
        lesson_steps: steps of stills at the start.
    """
    codec, negative = load_codec(), EncodedText(*encoder.text(""))

    def sample(example: WholeExample) -> AdapterSample:
        return AdapterSample(example.latent, (), prompt_rows(encoder, example.prompts), negative)

    def drawn(start: int) -> Iterator[AdapterSample]:
        lessons = lesson_steps * SCRIPTS // TIMES
        return map(sample, whole_examples(codec, WORLD_SEED, CLIPS, start, lessons, COLOURED))

    return repeated(drawn, first * SCRIPTS, BLOCK, TIMES)


def write_hunyuan(path: Path, trainer: Trainer) -> None:
    """Write the averaged weights in bf16 as a HunyuanVideo checkpoint in ComfyUI's naming, and the record beside it."""
    write_weights(path, trainer, {VERSION_KEY: VERSION})
    about = {
        "what": "the small HunyuanVideo of the drawn world",
        "command": "python dev.py train tiny-hunyuan",
        "lesson_part": LESSONS, "world_seed": WORLD_SEED, "weights_seed": WEIGHTS_SEED, "clips_of_a_script": CLIPS,
        "chance_of_colour_words": COLOURED,
        "times_that_a_sample_is_seen": TIMES,
        "parameters": sum(weight.numel() for weight in trainer.weights),
        "machine": machine_of(trainer, threads=True),
    }
    write_record(path.with_suffix(".json"), trainer, about)
