"""Training by several processes that ``torchrun`` started: each computes its share of every step's samples."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from ..cli import INTERRUPTED, say
from ..errors import LumosXError

_PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others; a check of the first one, for which all wait, takes minutes."""
_BUCKET = 1 << 23
"""Numbers that are summed by one call: a single call for each of hundreds of small tensors would take longer."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: its number, from 0.
        count: how many there are; a training without ``torchrun`` is one.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes files and the progress bar."""
        return self.rank == 0

    def check_shares(self, samples: int, advice: str) -> None:
        """Raise LumosXError, which ends with ``advice``, unless every process gets equally many of a step's samples."""
        if samples % self.count:
            raise LumosXError(
                f"training: the {samples} samples of a step cannot be shared equally by {self.count} processes; "
                f"{advice}."
            )

    def share(self, samples: Sequence[Item]) -> Sequence[Item]:
        """Those of a step's samples that this process computes."""
        return samples[self.rank::self.count]

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace float32 tensors, which are alike in every process, by their sums over all of them.

        Raises:
            LumosXError: another process has ended.
        """
        for bucket in _buckets(tensors):
            flat = torch.cat([one.flatten() for one in bucket])
            with _others_present():
                dist.all_reduce(flat)
            for one, summed in zip(bucket, flat.split([one.numel() for one in bucket])):
                one.copy_(summed.view_as(one))

    def any(self, here: bool) -> bool:
        """Whether something is so in at least one process; each has to ask.

        Raises:
            LumosXError: another process has ended.
        """
        return here if self.count == 1 else self._largest([int(here)])[0] == 1

    def check_same(self, start: bytes) -> None:
        """Check that the training starts from the same everywhere.

        Raises:
            LumosXError: it does not, or another process has ended.
        """
        if self.count > 1:
            number = int.from_bytes(hashlib.sha256(start).digest()[:7], "big")
            largest, smallest = self._largest([number, -number])
            if largest != -smallest:
                raise LumosXError(
                    "training: the processes begin with different weights, cases or options; give all of them the "
                    "same files and options."
                )

    def wait(self) -> None:
        """Return when every process has come here.

        Raises:
            LumosXError: another process has ended.
        """
        self.any(False)

    def _largest(self, numbers: list[int]) -> list[int]:
        found = torch.tensor(numbers)
        with _others_present():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return found.tolist()


def current_processes() -> Processes:
    """Those within ``joined_processes``; this one alone elsewhere."""
    if dist.is_available() and dist.is_initialized():
        return Processes(dist.get_rank(), dist.get_world_size())
    return Processes()


@contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Let the processes of ``torchrun`` find each other; without it, nothing happens.

    Whatever ends several of them, one says why; the others leave silently.

    Args:
        device: to train on, ``cpu`` or ``cuda``; each process of a machine takes a card of its own.

    Raises:
        LumosXError: a card is missing, or the processes do not find each other.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Processes()
        return
    try:
        store, rank, count = next(iter(dist.rendezvous("env://", timeout=_PATIENCE)))
    except (RuntimeError, ValueError) as error:
        raise LumosXError(f"training: the processes do not find each other ({_first_line(error)}).") from error
    try:
        _take_card(device)
        with _others_present():
            dist.init_process_group(_backend(device), store=store, rank=rank, world_size=count, timeout=_PATIENCE)
        yield Processes(rank, count)
        dist.destroy_process_group()
    except (LumosXError, OSError, KeyboardInterrupt) as error:
        if _speaks(store):
            raise
        # An exit of its own: what others have said is not said again.
        raise SystemExit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1) from error


def note(line: str) -> None:
    """Say a line on stderr, once for all processes."""
    if current_processes().leads:
        say(line, sys.stderr)


def _take_card(device: str) -> None:
    if not device.startswith("cuda"):
        return
    if device != "cuda":
        raise LumosXError(f"--device: {device} is one card for all processes; give cuda, of which each takes its own.")
    number, cards = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= cards:
        raise LumosXError(
            f"--device: PyTorch finds {cards} CUDA cards here, and each process takes one; start fewer with "
            "--nproc-per-node, or use cpu."
        )
    torch.cuda.set_device(number)


def _backend(device: str) -> str:
    return "cpu:gloo,cuda:nccl" if device == "cuda" and dist.is_nccl_available() else "gloo"


def _speaks(store: dist.Store) -> bool:
    """Whether this is the first process that has to say why all of them end."""
    try:
        return store.add("lumosx_ended", 1) == 1
    except RuntimeError:
        return True


@contextmanager
def _others_present() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise LumosXError(
            f"training: another process has ended or cannot be reached ({_first_line(error)}); continue with --resume."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _buckets(tensors: Iterable[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """The tensors in their order, together up to ``_BUCKET`` numbers."""
    bucket: list[torch.Tensor] = []
    filled = 0
    for one in tensors:
        if bucket and filled + one.numel() > _BUCKET:
            yield bucket
            bucket, filled = [], 0
        bucket.append(one)
        filled += one.numel()
    if bucket:
        yield bucket
