"""The small model that ships with the pack: trained on the drawn world, from a seed or from other weights."""

from __future__ import annotations

import argparse
import copy
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import LumosXError
from ..models.wan.config import WanConfig
from ..models.wan.network import Network, initialise
from ..scene.prompt import NEGATIVE_PROMPT
from ..tiny.learned import LearnedCodec, load_codec
from ..tiny.trained import VERSION, VERSION_KEY
from ..tiny.world.cast import Split
from .checking import WorldCheck
from .examples import CHANCE_BARE, NO_REFERENCES, Encode, Example, Tokenise, WorldExamples, bind
from .options import add_small_options, check_small_options
from .running import machine_of, train_to_file, write_record, write_weights
from .trainer import RelationalTrainer, Sample, TrainingPlan

SIZE = WanConfig(dim=256, ffn_dim=512, num_layers=5)
STEPS, LESSON_STEPS = 2500, 700
"""Of all, as for the shipped file, which started from other weights; and of easy scripts at first without such."""
CLIPS, BINDINGS = 3, 4
"""Clips that share a binding, and bindings of each step."""
BLOCK, TIMES = 256, 3
"""Examples that are kept, and how often each is seen: drawing and encoding take a third of a step's time."""
WORLD_SEED, WEIGHTS_SEED = 1, 0
RATE, COOLDOWN, SHIFT, DECAY = 1e-3, 0.6, 6.0, 0.995
OUT = "lumosx_tiny_dit.safetensors"


def add_command(commands: Any) -> None:
    """Add ``tiny`` to the command line."""
    parser = commands.add_parser("tiny", help="train the small model that ships with the pack, on the drawn world")
    add_small_options(parser, OUT, STEPS)
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to start from, instead of a seed")
    parser.set_defaults(run=train_tiny)


def train_tiny(options: argparse.Namespace) -> str:
    """Train, write weights, record and plot, and say where they are.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, there is no such device, ``--start`` holds
            other weights, or ``--resume`` is of another training.
    """
    check_small_options(options, STEPS)
    lessons = LESSON_STEPS if options.start is None else 0
    from ..host.training import TextSide
    from ..host.weights.tiny import load_tiny_clip

    text = TextSide(load_tiny_clip())
    device = torch.device(options.device)
    plan = TrainingPlan(
        options.steps, rate=RATE, full_rate_inputs=SIZE.dim, cooldown=COOLDOWN, shift=SHIFT, decay=DECAY,
        accumulate=BINDINGS,
    )
    trainer = TinyTrainer(small_network(options.start), plan, torch.bfloat16, device)
    if options.resume is not None:
        trainer.resume(options.resume)
    codec = load_codec()
    check = WorldCheck(trainer.network, codec, text.tokenise, text.encode, torch.bfloat16, device)
    return train_to_file(
        trainer, lambda step: tiny_samples(step, codec, text.tokenise, text.encode, lessons), options.out,
        lambda: write_trained(options.out, trainer, lessons, options.start), check,
    )


def small_network(start: Path | None = None, option: str = "--start") -> Network:
    """The network at its first step, computing in bf16 but for the patch embedding, which is given float32.

    Args:
        start: weights to begin with; None draws them.
        option: that named the file, for messages.

    Raises:
        LumosXError: ``start`` cannot be read, or holds weights of another network.
    """
    network = Network(SIZE)
    initialise(network, WEIGHTS_SEED)
    if start is not None:
        load_start(network, start, option, "the small model")
    network.bfloat16().patch_embedding.float()
    return network


def load_start(network: torch.nn.Module, start: Path, option: str, what: str) -> None:
    """Load the weights to start from.

    Raises:
        LumosXError: ``start`` cannot be read, or contains other weights than ``what`` should.
    """
    try:
        network.load_state_dict(load_file(start))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise LumosXError(f"{option}: {start} is not a file of {what} ({reason}).") from error


Drawn = TypeVar("Drawn")


class TinyTrainer(RelationalTrainer):
    """A resumed training may end sooner or later than was planned."""

    threads = 2
    may_change = ("steps", "cooldown")


def tiny_samples(
    first: int, codec: LearnedCodec, tokenise: Tokenise, encode: Encode, lessons: int
) -> Iterator[Sample]:
    """The training's samples from step ``first`` on; pictures are drawn and encoded in a process of their own.

    Args:
        first: steps that were taken.
        codec: encodes the pictures.
        tokenise, encode: the text side.
        lessons: steps of easy scripts at the beginning.
    """
    lessons = lessons * BINDINGS // TIMES
    examples = WorldExamples(fast_encoder(codec), WORLD_SEED, CLIPS, Split.TRAIN, lessons, CHANCE_BARE)
    negative = encode(NEGATIVE_PROMPT)

    def drawn(start: int) -> Iterator[Sample]:
        return (_sample(example, negative, tokenise, encode) for example in drawn_aside(examples, start, 24))

    return repeated(drawn, first * BINDINGS, BLOCK, TIMES)


def repeated(drawn: Callable[[int], Iterator[Drawn]], first: int, block: int, times: int) -> Iterator[Drawn]:
    """Samples from number ``first`` on, where each block of them comes several times, in another order each time.

    Args:
        drawn: new samples from a number on.
        first: how many have been seen.
        block: samples that are kept.
        times: how often each comes.
    """
    number, seen = divmod(first, block * times)
    new = drawn(number * block)
    while True:
        kept: list[Drawn] = []
        orders = np.random.default_rng(number)
        wanted = [place for _ in range(times) for place in orders.permutation(block)]
        # The first time they come as they are drawn, so that nobody waits for a whole block.
        wanted[:block] = range(block)
        for place in wanted[seen:]:
            while len(kept) <= place:
                kept.append(next(new))
            yield kept[place]
        number, seen = number + 1, 0


def fast_encoder(codec: LearnedCodec) -> LearnedCodec:
    """A copy of the codec that encodes samples in bf16, in the memory format that is fastest on a CPU."""
    codec = copy.deepcopy(codec).bfloat16()
    codec.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload] Missing in its types.
    return codec


def drawn_aside(examples: torch.utils.data.Dataset, first: int, ahead: int) -> torch.utils.data.DataLoader:
    """Examples from number ``first`` on, drawn in a separate process, at most ``ahead`` of them in advance."""
    return torch.utils.data.DataLoader(
        examples, batch_size=None, num_workers=1, prefetch_factor=ahead, sampler=range(first, 10**7),
        worker_init_fn=_leave_ctrl_c_to_the_trainer,
    )


def _leave_ctrl_c_to_the_trainer(worker: int) -> None:
    """For a process that draws: the trainer stops it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _sample(example: Example, negative: torch.Tensor, tokenise: Tokenise, encode: Encode) -> Sample:
    bindings = {bind(scene, prompt, tokenise) for scene, prompt in zip(example.scenes, example.prompts)}
    bindings = bindings or {NO_REFERENCES}
    if len(bindings) > 1:
        raise LumosXError(
            f"training: the phrases of {example.prompts} are not at the same tokens; let tiny.world.script.reworded "
            "exchange words of one token only."
        )
    contexts = torch.cat([encode(prompt) for prompt in example.prompts])
    return Sample(example.latent, example.references, contexts, negative, bindings.pop())


def write_trained(path: Path, trainer: RelationalTrainer, lessons: int, start: Path | None) -> None:
    """The averaged weights in bf16 as a Wan2.1 checkpoint, and the record beside it."""
    write_weights(path, trainer, {VERSION_KEY: VERSION})
    about = {
        "what": "the small LumosX of the drawn world",
        "command": f"python dev.py train tiny{'' if start is None else ' --start START'}",
        "start": None if start is None else start.name,
        "world_seed": WORLD_SEED, "weights_seed": WEIGHTS_SEED, "clips_of_a_binding": CLIPS,
        "lesson_steps": lessons, "chance_of_no_references": CHANCE_BARE, "times_that_a_sample_is_seen": TIMES,
        "parameters": sum(weight.numel() for weight in trainer.weights),
        "machine": machine_of(trainer, threads=True),
    }
    write_record(path.with_suffix(".json"), trainer, about)
