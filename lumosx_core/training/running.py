"""One training from start to end at a terminal: progress, checkpoints, what is written down, and Ctrl-C."""

from __future__ import annotations

import json
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from tqdm import tqdm

from ..files import write_aside
from ..weights.checksum import weights_sha256
from ..weights.opening import open_weights
from .options import checkpoint_of
from .plot import OWNERS, VELOCITY_LOSS, Shown, plot_record
from .trainer import Example, Trained, Trainer

CHECKED_EVERY = 500
LOSSES_EVERY = 50
"""Steps whose mean loss is written down as one figure."""
SAVED_EVERY = 100


def train_to_file(
    trainer: Trainer[Trained, Example],
    samples: Callable[[int], Iterable[Example]],
    out: Path,
    write: Callable[[], None],
    check: Callable[[], dict[str, Any]] | None = None,
    checked_every: int = CHECKED_EVERY,
) -> str:
    """``run``, write the result, and remove the checkpoint; returns a message that says where the result is.

    Args:
        trainer, check, checked_every: as for ``run``.
        samples: the samples from a step on.
        out: the file of the result; its name also gives the checkpoint's.
        write: writes ``out`` and what belongs to it.
    """
    checkpoint = checkpoint_of(out)
    with _one_thread_each() if trainer.threads > 1 else nullcontext():
        run(trainer, samples(trainer.step), checkpoint, check, checked_every)
    if trainer.processes.leads:
        write()
        checkpoint.unlink(missing_ok=True)
    return f"Trained in {trainer.record.seconds / 60:.0f} minutes: {out}"


def base_sha256(path: Path) -> str:
    """The checksum of a base's weights, which the record of its adapters contains.

    Raises:
        LumosXError: as ``open_weights``.
    """
    with open_weights(path) as source:
        return weights_sha256(source)


def run(
    trainer: Trainer[Trained, Example],
    samples: Iterable[Example],
    checkpoint: Path,
    check: Callable[[], dict[str, Any]] | None = None,
    checked_every: int = CHECKED_EVERY,
) -> None:
    """Train to the plan's end, under one progress bar.

    Args:
        trainer: fresh or resumed.
        samples: from the trainer's own step on.
        checkpoint: written every ``SAVED_EVERY`` steps, at the end, and when Ctrl-C stops the training. Where it
            cannot be written, as on a full disk, the training goes on and the last whole checkpoint stays.
        check: figures of the averaged weights, for the record.
        checked_every: steps between two checks.
    """
    recent: list[float] = []
    leads = trainer.processes.leads
    steps = {"total": trainer.plan.steps, "initial": trainer.step}
    with _stopping_after_a_step() as asked, tqdm(**steps, unit="step", file=sys.stderr, disable=not leads) as bar:

        def save() -> None:
            if not leads:
                return
            try:
                trainer.save(checkpoint)
            except OSError as error:
                bar.write(f"checkpoint: {checkpoint} cannot be written ({error.strerror}).", file=sys.stderr)

        def after_step(step: int, loss: float) -> None:
            recent.append(loss)
            bar.set_postfix_str(f"loss {sum(recent) / len(recent):.4f}", refresh=False)
            bar.update()
            if step % LOSSES_EVERY == 0:
                trainer.record.losses.append((step, sum(recent) / len(recent)))
                recent.clear()
            if check is not None and leads and (step % checked_every == 0 or step == trainer.plan.steps):
                trainer.record.checks.append({"step": step, **trainer.with_averaged(check)})
                bar.write(f"step {step}: {_words(trainer.record.checks[-1])}", file=sys.stderr)
            if step % SAVED_EVERY == 0 or step == trainer.plan.steps:
                save()
            if trainer.processes.any(bool(asked)):
                raise _Stopped

        try:
            trainer.train(samples, after_step)
        except KeyboardInterrupt as stop:
            if trainer.processes.count == 1 or isinstance(stop, _Stopped):
                save()
                if leads:
                    advice = f"--resume {checkpoint} goes on." if checkpoint.is_file() else "there is no checkpoint."
                    bar.write(f"Stopped at step {trainer.step}; {advice}", file=sys.stderr)
                # As soon as one process ends, torchrun ends the others, and the first is still writing.
                trainer.processes.wait()
            raise


class _Stopped(KeyboardInterrupt):
    """Ctrl-C, after a step of which every process knows that it is the last."""


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let each of the trainer's threads compute by itself."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _stopping_after_a_step() -> Iterator[list[int]]:
    """Let Ctrl-C take effect after the step in work, whose weights would else be half changed; a second one at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def machine_of(trainer: Trainer, threads: bool = False) -> str:
    """Where a training ran, for its record; with the number of CPU threads where that matters."""
    counted = f"{torch.get_num_threads()} CPU threads, " if threads else ""
    if trainer.processes.count > 1:
        counted += f"{trainer.processes.count} processes, "
    return (
        f"{platform.system()} {platform.machine()}, {counted}device {trainer.device}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def write_weights(path: Path, trainer: Trainer, metadata: Mapping[str, str] | None = None) -> None:
    """Write the averaged weights in bf16 as safetensors; the metadata also gets the number of steps."""
    weights = {name: weight.to("cpu", torch.bfloat16).contiguous() for name, weight in trainer.state_dict().items()}
    write_aside(path, save(weights, metadata={**(metadata or {}), "steps": str(trainer.step)}))


def write_record(
    path: Path, trainer: Trainer, about: dict[str, Any], loss: str = VELOCITY_LOSS, shown: Shown = OWNERS
) -> None:
    """The training's figures as JSON, and its plot beside it as PNG; ``loss`` and ``shown`` as for ``plot_record``."""
    content = {
        **about,
        "plan": asdict(trainer.plan),
        "seconds": round(trainer.record.seconds),
        "finished": time.strftime("%Y-%m-%d"),
        "losses": [[step, round(loss, 5)] for step, loss in trainer.record.losses],
        "checks": trainer.record.checks,
    }
    write_aside(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    write_aside(path.with_suffix(".png"), plot_record(trainer.record, loss, shown))


def _words(check: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in check.items() if isinstance(value, float))
