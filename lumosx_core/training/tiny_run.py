"""The small model that ships with the pack: trained on the drawn world, from a seed."""

from __future__ import annotations

import argparse
import platform
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ..errors import LumosXError
from ..files import write_aside
from ..models.wan.config import WanConfig
from ..models.wan.network import Network, initialise
from ..scene.prompt import NEGATIVE_PROMPT
from ..tiny.trained import VERSION, VERSION_KEY
from ..tiny.world.cast import Split
from .checking import WorldCheck
from .examples import Encode, Example, Tokenise, WorldExamples, bind
from .running import run, write_record
from .trainer import Sample, Trainer, TrainingPlan

SIZE = WanConfig(dim=256, ffn_dim=512, num_layers=5)
STEPS, LESSON_STEPS = 7000, 700
"""Of all, and of easy scripts at first."""
CLIPS, BINDINGS = 3, 4
"""Clips that share a binding, and bindings of each step."""
WORLD_SEED, WEIGHTS_SEED = 1, 0
RATE, SHIFT = 1e-3, 6.0
CHECKED_EVERY = 750
OUT = "lumosx_tiny_dit.safetensors"


def add_command(commands: Any) -> None:
    """Add ``tiny`` to the command line."""
    parser = commands.add_parser("tiny", help="train the small model that ships with the pack, on the drawn world")
    parser.add_argument("--out", type=Path, default=Path(OUT), help="the new file (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="%(default)s, as for the shipped file")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--resume", type=Path, metavar="CHECKPOINT", help="go on from what a stopped training left")
    parser.set_defaults(run=train_tiny)


def train_tiny(options: argparse.Namespace) -> str:
    """Train, write weights, record and plot, and say where they are.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, there is no such device, or ``--resume`` is
            of another training.
    """
    check_options(options, STEPS)
    from ..host.training import TextSide
    from ..host.weights.tiny import load_tiny_clip

    text = TextSide(load_tiny_clip())
    device = torch.device(options.device)
    plan = TrainingPlan(options.steps, rate=RATE, full_rate_inputs=SIZE.dim, shift=SHIFT, accumulate=BINDINGS)
    trainer = Trainer(small_network(), plan, torch.bfloat16, device)
    if options.resume is not None:
        trainer.resume(options.resume)
    checkpoint = options.out.with_suffix(".checkpoint")
    check = WorldCheck(trainer.network, text.tokenise, text.encode, torch.bfloat16, device)
    run(trainer, samples(trainer.step, text.tokenise, text.encode), checkpoint, check, CHECKED_EVERY)
    write_trained(options.out, trainer)
    checkpoint.unlink(missing_ok=True)
    return f"Trained in {trainer.record.seconds / 60:.0f} minutes: {options.out}"


def small_network() -> Network:
    """The network at its first step, computing in bf16 but for the patch embedding, which is given float32."""
    network = Network(SIZE)
    initialise(network, WEIGHTS_SEED)
    network.bfloat16().patch_embedding.float()
    return network


def samples(first: int, tokenise: Tokenise, encode: Encode) -> Iterator[Sample]:
    """The training's samples from step ``first`` on; pictures are drawn in a process of their own."""
    examples = WorldExamples(WORLD_SEED, CLIPS, Split.TRAIN, LESSON_STEPS * BINDINGS)
    loader = torch.utils.data.DataLoader(
        examples, batch_size=None, num_workers=1, prefetch_factor=6, sampler=range(first * BINDINGS, 10**7),
        worker_init_fn=leave_ctrl_c_to_the_trainer,
    )
    negative = encode(NEGATIVE_PROMPT)
    for example in loader:
        yield _sample(example, negative, tokenise, encode)


def leave_ctrl_c_to_the_trainer(worker: int) -> None:
    """For a process that draws: the trainer stops it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _sample(example: Example, negative: torch.Tensor, tokenise: Tokenise, encode: Encode) -> Sample:
    bindings = {bind(scene, prompt, tokenise) for scene, prompt in zip(example.scenes, example.prompts)}
    if len(bindings) > 1:
        raise LumosXError(
            f"training: the phrases of {example.prompts} are not at the same tokens; let tiny.world.script.reworded "
            "exchange words of one token only."
        )
    contexts = torch.cat([encode(prompt) for prompt in example.prompts])
    return Sample(example.latent, example.references, contexts, negative, bindings.pop())


def write_trained(path: Path, trainer: Trainer) -> None:
    """The averaged weights in bf16 as a Wan2.1 checkpoint, and the record beside it."""
    weights = {name: weight.to("cpu", torch.bfloat16).contiguous() for name, weight in trainer.state_dict().items()}
    write_aside(path, save(weights, metadata={VERSION_KEY: VERSION, "steps": str(trainer.step)}))
    about = {
        "what": "the small LumosX of the drawn world", "command": "python dev.py train tiny",
        "world_seed": WORLD_SEED, "weights_seed": WEIGHTS_SEED, "clips_of_a_binding": CLIPS,
        "lesson_steps": LESSON_STEPS,
        "parameters": sum(weight.numel() for weight in weights.values()),
        "machine": machine_of(trainer),
    }
    write_record(path.with_suffix(".json"), trainer, about)


def machine_of(trainer: Trainer) -> str:
    """Where a training ran, for its record."""
    return (
        f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} CPU threads, device {trainer.device}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def check_options(options: argparse.Namespace, steps: int) -> None:
    """Refuse what cannot work before anything is computed; ``steps`` is what is advised.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, or there is no such device.
    """
    if options.out.suffix != ".safetensors":
        raise LumosXError(f"--out: {options.out} does not end in .safetensors; give it that ending.")
    if not options.out.absolute().parent.is_dir():
        raise LumosXError(f"--out: there is no folder {options.out.absolute().parent}; make it or choose another.")
    if options.steps < 1:
        raise LumosXError(f"--steps: {options.steps} is below 1; use {steps}.")
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise LumosXError("--device: this PyTorch finds no CUDA card; use cpu.")
