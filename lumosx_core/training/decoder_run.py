"""The learned decoder of the small VAE: trained on the drawn world and on what the small model makes of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from tqdm import tqdm

from ..files import write_aside
from ..tiny.decoder import Decoder, initialise_decoder
from ..tiny.trained import TRAINED
from ..tiny.world.cast import Split
from .decoder_trainer import DecoderTrainer, Painting, Paintings
from .made_latents import LatentMaker, write_made
from .painting import painted_figures
from .plot import Shown
from .running import run, write_record
from .tiny_run import check_options, leave_ctrl_c_to_the_trainer, machine_of, small_network
from .trainer import TrainingPlan

STEPS = 3000
PICTURES, THREADS = 6, 2
"""Pictures of a thread in each step, and threads."""
SCRIPTS = 299
"""Of which the small model makes clips."""
CHANCES_MADE = {1231: 0.5, 1830: 0.15}
"""How often a picture is of those clips, by the first step. They teach which errors there are; but where the model put
something elsewhere the decoder learns to blur, so that in the end few are left."""
WORLD_SEED, WEIGHTS_SEED, CHECK_SEED = 11, 0, 99
RATE, WARMUP, DECAY = 0.03, 50, 0.98
"""Averaged over 50 steps: an average over 500 was blurred, since Muon goes far in as many."""
CHECKED_EVERY, CHECKED, NOISES = 500, 48, (0.0, 0.2)
OUT = "lumosx_tiny_decoder.safetensors"
_LOSS = "loss (differences of colours and edges)"
_SHOWN = Shown("PSNR", "PSNR, dB", (0, 32))


def add_command(commands: Any) -> None:
    """Add ``decoder`` to the command line."""
    parser = commands.add_parser("decoder", help="train the decoder of the small VAE that ships with the pack")
    parser.add_argument("--out", type=Path, default=Path(OUT), help="the new file (%(default)s)")
    parser.add_argument(
        "--steps", type=int, default=STEPS,
        help="%(default)s, as for the shipped file; another number with --resume ends sooner or later",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--resume", type=Path, metavar="CHECKPOINT", help="go on from what a stopped training left")
    parser.set_defaults(run=train_decoder)


def train_decoder(options: argparse.Namespace) -> str:
    """Make the small model's clips, train, write weights, record and plot, and say where they are.

    Raises:
        LumosXError: ``--out`` cannot be written, ``--steps`` is too small, there is no such device, or ``--resume`` is
            of another training.
    """
    check_options(options, STEPS)
    device = torch.device(options.device)
    decoder = Decoder()
    initialise_decoder(decoder, WEIGHTS_SEED)
    plan = TrainingPlan(options.steps, rate=RATE, warmup=WARMUP, decay=DECAY, accumulate=THREADS)
    trainer = DecoderTrainer(
        decoder.bfloat16().to(memory_format=torch.channels_last), plan, torch.bfloat16, device
    )
    if options.resume is not None:
        trainer.resume(options.resume)
    made, checkpoint = options.out.with_suffix(".made.npy"), options.out.with_suffix(".checkpoint")
    if not made.exists():
        _make_clips(made)
    with _one_thread_each():
        run(trainer, samples(trainer.step, made), checkpoint, PaintingCheck(decoder, device), CHECKED_EVERY)
    write_decoder(options.out, trainer)
    for left in (checkpoint, made):
        left.unlink(missing_ok=True)
    return f"Trained in {trainer.record.seconds / 60:.0f} minutes: {options.out}"


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let each of the trainer's threads compute by itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _make_clips(path: Path) -> None:
    from ..host.training import TextSide
    from ..host.weights.tiny import load_tiny_clip

    text = TextSide(load_tiny_clip())
    network = small_network()
    network.load_state_dict(load_file(TRAINED))
    maker = LatentMaker(network, text.tokenise, text.encode, torch.bfloat16)
    write_made(path, maker, tqdm(range(SCRIPTS), unit="script", file=sys.stderr))


def samples(first: int, made: Path) -> torch.utils.data.DataLoader:
    """The training's samples from step ``first`` on; pictures are drawn in a process of their own."""
    chances = {step * THREADS * PICTURES: chance for step, chance in CHANCES_MADE.items()}
    paintings = Paintings(WORLD_SEED, PICTURES, Split.TRAIN, made, chances)
    return torch.utils.data.DataLoader(
        paintings, batch_size=None, num_workers=1, prefetch_factor=12, sampler=range(first * THREADS, 10**7),
        worker_init_fn=leave_ctrl_c_to_the_trainer,
    )


class PaintingCheck:
    """Called, it paints pictures of the validation world and says how near they come to the drawings."""

    def __init__(self, decoder: Decoder, device: torch.device) -> None:
        self._decoder, self._device = decoder, device
        self._seen: Painting = Paintings(CHECK_SEED, CHECKED, Split.VALIDATION)[0]

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        dtype = next(self._decoder.parameters()).dtype
        found = {}
        for noise in NOISES:
            added = noise * torch.randn(self._seen.latent.shape, generator=torch.Generator().manual_seed(0))
            painted = self._decoder((self._seen.latent + added).to(self._device, dtype)).float().cpu()
            figures = painted_figures(painted, self._seen.truth)
            found |= {f"{name} at noise {noise}": value for name, value in figures.items()}
        return found


def write_decoder(path: Path, trainer: DecoderTrainer) -> None:
    """The averaged weights in bf16, and the record beside it."""
    weights = {name: weight.to("cpu", torch.bfloat16).contiguous() for name, weight in trainer.state_dict().items()}
    write_aside(path, save(weights, metadata={"steps": str(trainer.step)}))
    about = {
        "what": "the decoder of the small VAE, at twice the size", "command": "python dev.py train decoder",
        "world_seed": WORLD_SEED, "weights_seed": WEIGHTS_SEED, "pictures_of_a_step": PICTURES * THREADS,
        "scripts_made": SCRIPTS, "chances_made_from_step": CHANCES_MADE,
        "parameters": sum(weight.numel() for weight in weights.values()), "machine": machine_of(trainer),
    }
    write_record(path.with_suffix(".json"), trainer, about, _LOSS, _SHOWN)
