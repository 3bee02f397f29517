"""Training of the small PolyVivid adapter that ships with the pack, and of ablations of it, on the drawn world."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from ..errors import LumosXError
from ..files import write_aside
from ..models.polyvivid.adapter import PolyVividAdapter
from ..models.polyvivid.checkpoint import write_adapter
from ..tiny.hunyuan import PICTURE_SIDE, RANK, SIZE, adapter_config
from ..tiny.learned import load_codec
from ..tiny.trained import HUNYUAN, POLYVIVID
from .ablations import ABLATIONS, FULL, Ablation
from .adapter_cases import AdapterSample, CaseEncoder, EncodedText, left_out
from .adapter_trainer import AdapterTrainer
from .concatenation_trainer import ConcatenationTrainer
from .hunyuan_base import check_hunyuan_file, read_hunyuan
from .hunyuan_trainer import HunyuanTrainer
from .options import add_small_options, check_files, check_small_options
from .running import base_sha256, machine_of, train_to_file, write_record
from .tiny_run import repeated
from .trainer import TrainingPlan
from .whole_check import WholeCheck
from .whole_examples import PEOPLE_WEIGHT, WholeExample, prompt_rows, whole_examples

STEPS, SINGLE = 6000, 0.25
"""Steps in all, and the part of them, at the start, that uses only one subject of each clip."""
SCRIPTS, CLIPS = 2, 4
"""Scripts in a step, and clips that share one."""
BLOCK, TIMES = 256, 6
"""Examples that are kept, and how often each is used."""
WORLD_SEED, WEIGHTS_SEED = 3, 0
RATE, COOLDOWN, SHIFT, DECAY = 2e-3, 0.5, 5.0, 0.995
DROP = 0.05
CONCATENATED_RANK = 28
"""With it, the LoRAs of token concatenation have about as many weights as the adapter."""


def add_command(commands: Any) -> None:
    """Add ``tiny-polyvivid`` to the command line."""
    parser = commands.add_parser(
        "tiny-polyvivid", help="train the small PolyVivid adapter that ships with the pack, or an ablation of it"
    )
    parser.add_argument("--base", type=Path, default=HUNYUAN, metavar="FILE",
                        help="a file of dev.py train tiny-hunyuan (default: the shipped one)")
    parser.add_argument("--ablation", choices=ABLATIONS, default=FULL,
                        help="what to leave out, or token concatenation instead of the adapter (%(default)s)")
    add_small_options(parser, POLYVIVID.name, STEPS)
    parser.set_defaults(run=train_tiny_polyvivid)


def train_tiny_polyvivid(options: argparse.Namespace) -> str:
    """Train, write the weights, a record and a plot, and return a message that says where they are.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, there is no such device, ``--base`` is not
            the small HunyuanVideo, or ``--resume`` comes from another training.
    """
    check_small_options(options, STEPS)
    check_files({"--base": options.base, "--resume": options.resume})
    if check_hunyuan_file(options.base) != SIZE:
        raise LumosXError(f"--base: {options.base} is not the small HunyuanVideo; give a file of train tiny-hunyuan.")
    from ..host.conditioning.polyvivid_training import SubjectsSide
    from ..host.weights.tiny_hunyuan import load_hunyuan_encoders

    ablation = ABLATIONS[options.ablation]
    encoder = SubjectsSide(*load_hunyuan_encoders())
    trainer = _trainer(options, ablation)
    if options.resume is not None:
        trainer.resume(options.resume)
    encode = SubjectEncoder(encoder, ablation.fusion)
    return train_to_file(
        trainer, lambda step: subject_samples(step, int(SINGLE * options.steps), encode), options.out,
        lambda: _write(options, trainer), WholeCheck(trainer, load_codec(), encode),
    )


class SubjectEncoder:
    """Makes a sample of an example when called; each clip becomes a row.

    Args:
        encoder: of prompts and pictures.
        fusion: whether the text encoder reads the subjects' lines.
    """

    def __init__(self, encoder: CaseEncoder, fusion: bool = True) -> None:
        self._encoder, self._fusion = encoder, fusion
        self._negative = EncodedText(*encoder.text(""))
        self._white = encoder.picture(Image.new("RGB", (1, 1), "white"), PICTURE_SIDE)

    def __call__(
        self, example: WholeExample, only: int | None = None, no_lines: bool = False, no_pictures: bool = False
    ) -> AdapterSample:
        kept = range(len(example.words)) if only is None else (only,)
        words = [example.words[one] for one in kept]
        pictures = [[of_clip[one] for one in kept] for of_clip in example.pictures]
        if no_lines or not self._fusion:
            text = prompt_rows(self._encoder, example.prompts).for_subjects(len(words))
        else:
            text = EncodedText.together([
                EncodedText(*self._encoder.text(prompt, words, [*map(self._encoder.features, of_clip)]))
                for prompt, of_clip in zip(example.prompts, pictures)
            ])
        subjects = (self._white,) * len(words) if no_pictures else tuple(
            torch.cat([self._encoder.picture(one, PICTURE_SIDE) for one in of_subject])
            for of_subject in zip(*pictures)
        )
        return AdapterSample(
            example.latent, subjects, text, self._negative.for_subjects(len(words)), example.weights
        )


def subject_samples(first: int, single_steps: int, encode: SubjectEncoder) -> Iterator[AdapterSample]:
    """The training's samples from step ``first`` on; clips are drawn and encoded in a separate process.

    Args:
        first: the number of steps already done.
        single_steps: the number of steps, at the start, that use only one subject.
        encode: the text side.
    """
    codec = load_codec()

    def drawn(start: int) -> Iterator[AdapterSample]:
        for number, example in zip(itertools.count(start), whole_examples(codec, WORLD_SEED, CLIPS, start)):
            random = np.random.default_rng([WORLD_SEED, number, 1])
            single = number * TIMES < single_steps * SCRIPTS
            only = int(random.integers(len(example.words))) if single else None
            yield encode(example, only, *left_out(random, DROP))

    return repeated(drawn, first * SCRIPTS, BLOCK, TIMES)


def _trainer(options: argparse.Namespace, ablation: Ablation) -> HunyuanTrainer:
    plan = TrainingPlan(
        options.steps, rate=RATE, full_rate_inputs=SIZE.hidden_size, cooldown=COOLDOWN, shift=SHIFT, decay=DECAY,
        accumulate=SCRIPTS,
    )
    about = {
        "ablation": options.ablation, "base": options.base.name, "base_sha256": base_sha256(options.base),
    }
    dtype, device = torch.bfloat16, torch.device(options.device)
    base = read_hunyuan(options.base, dtype)
    if ablation.concatenated:
        trainer: HunyuanTrainer = ConcatenationTrainer(
            base, CONCATENATED_RANK, WEIGHTS_SEED, plan, dtype, device, about
        )
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(WEIGHTS_SEED)
            adapter = PolyVividAdapter(adapter_config())
        trainer = AdapterTrainer(base, adapter, plan, dtype, device, about, options=ablation.options)
    trainer.threads = 2
    trainer.may_change = ("steps", "cooldown")
    return trainer


def _write(options: argparse.Namespace, trainer: HunyuanTrainer) -> None:
    """Write the averaged weights in bf16, as an adapter or as a whole base, and the record beside it."""
    if isinstance(trainer, ConcatenationTrainer):
        weights = {name: weight.bfloat16().contiguous() for name, weight in trainer.merged().items()}
        write_aside(options.out, save(weights, metadata={"about": json.dumps(trainer.about)}))
    else:
        adapter = PolyVividAdapter(adapter_config())
        adapter.load_state_dict(trainer.state_dict())
        write_adapter(options.out, adapter, torch.bfloat16)
    chosen = "" if options.ablation == FULL else f" --ablation {options.ablation}"
    about = {
        "what": "the small PolyVivid adapter of the drawn world",
        "command": f"python dev.py train tiny-polyvivid{chosen}",
        **trainer.about, "world_seed": WORLD_SEED, "weights_seed": WEIGHTS_SEED, "single_part": SINGLE,
        "weight_of_people": PEOPLE_WEIGHT,
        "rank": CONCATENATED_RANK if isinstance(trainer, ConcatenationTrainer) else RANK,
        "clips_of_a_script": CLIPS, "times_that_a_sample_is_seen": TIMES,
        "parameters": sum(weight.numel() for weight in trainer.weights), "machine": machine_of(trainer, threads=True),
    }
    write_record(options.out.with_suffix(".json"), trainer, about)
