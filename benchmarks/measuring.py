"""How the benches measure: in interleaved rounds, with minimum, median and maximum, and where the figures go."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import torch

Figure = TypeVar("Figure")


def interleaved(names: Iterable[str], rounds: int, measure: Callable[[str], Figure]) -> dict[str, list[Figure]]:
    """``measure(name)`` of each name, round after round (A B C A B C …), so that a slow moment hits all alike."""
    figures: dict[str, list[Figure]] = {name: [] for name in names}
    for number in range(rounds):
        for name, found in figures.items():
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            found.append(measure(name))
    return figures


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Minimum, median and maximum of what is known; None if nothing is."""
    known = [value for value in values if value is not None]
    return {"min": min(known), "median": statistics.median(known), "max": max(known)} if known else None


def timed(run: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """(milliseconds that passed, milliseconds of processor time over all threads) of one call.

    On CUDA the first is the time between two events on the card.
    """
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        processor = time.process_time()
        start.record()
        run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end), 1000 * (time.process_time() - processor)
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - processor)


def write_json(path: Path, result: dict) -> None:
    """The raw figures, for ``benchmarks/results``."""
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
