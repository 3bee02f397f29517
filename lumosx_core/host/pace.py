"""How long sampling takes on this machine: noted at the end of a run, and predicted before the next one."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import comfy.ldm.modules.attention
import comfy.model_management
import comfyui_version
import folder_paths
import torch
from comfy.cli_args import args

from ..models.lumosx import sequence_layout
from ..models.lumosx.cost import forward_work
from ..models.lumosx.prediction import RELEASE_BYTES, predict
from ..models.lumosx.sequence import SequenceLayout
from ..models.pace import Pace, PaceFile
from ..models.wan.config import WAN21_LATENT, WanConfig
from ..scene.duration import Expected, PacedRun, Size
from ..scene.summary import Outlook
from .linked import LinkedRun, own_run, runs_behind
from .model.memory import planned_bytes
from .socket import BINDING, PRESENCE

_log = logging.getLogger("LumosX")
_GIGABYTE = 1 << 30
_FEWEST = 2
"""Steps that must have been timed."""


def pace_file() -> PaceFile:
    """In ComfyUI's user folder."""
    return PaceFile(Path(folder_paths.get_system_user_directory("lumosx")) / "pace.json")


def outlook_of(layout: SequenceLayout, batch: int) -> Outlook:
    """What the graph that runs, and earlier runs, say of the sampling that follows an encoder.

    Args:
        layout: the sequence of one video.
        batch: videos at once.
    """
    runs = runs_behind()
    models = {run.model for run in runs}
    model = models.pop() if len(models) == 1 else None
    if model is None:
        return Outlook(predict(layout), RELEASE_BYTES, planned_bytes=planned_bytes(layout))
    paced = _paced(runs, layout, batch)
    return Outlook(
        predict(layout, model.shape), model.nbytes, model.name, planned_bytes(layout, model.shape.dim),
        expected_of(paced), paced,
    )


def _paced(runs: Iterable[LinkedRun], layout: SequenceLayout, batch: int) -> tuple[PacedRun, ...]:
    """The samplers behind an encoder, to look their pace up; none unless the graph tells all of each."""
    found = []
    for run in runs:
        if run.model is None or run.forwards is None:
            return ()
        work = float(batch * forward_work(layout, run.model.shape).total)
        found.append(PacedRun(_key(run), work, run.forwards))
    return tuple(found)


def expected_of(runs: Sequence[PacedRun]) -> Expected | None:
    """How long samplers will take together; None unless each is known on this machine, by the newest runs."""
    known = pace_file()
    found = [one for run in runs if (one := known.expect(run.key, run.work, run.forwards)) is not None]
    if not found or len(found) < len(runs):
        return None
    return Expected(sum(one.seconds for one in found), next((one.like for one in found if one.like is not None), None))


class Stopwatch:
    """Times a sampling run, but for its first step, in which weights move and kernels are chosen."""

    def __init__(self) -> None:
        self._asked = self._timed = self._steps = 0
        self._start: float | None = None
        self._binding: Any = None
        self._shape: Sequence[int] = ()
        self._varies = False

    def note_step(self, conditions: Sequence[Sequence[Mapping[str, Any]] | None], x: torch.Tensor) -> None:
        """The sampler asks the model for something.

        Args:
            conditions: of every pass.
            x: [batch, channels, frames, height, width].
        """
        passes = [entry for entries in conditions for entry in entries or ()]
        if self._asked and self._start is None:
            _wait_for(x.device)
            self._start = time.perf_counter()
        if self._start is not None:
            self._timed += len(passes)
            self._steps += 1
        self._asked += len(passes)
        held = [entry.get("model_conds", {}) for entry in passes]
        self._binding = next((one[BINDING].cond for one in held if BINDING in one), self._binding)
        self._shape = x.shape
        # References that come and go make steps of different length.
        self._varies = self._varies or any(PRESENCE in one for one in held)

    def note_end(self, patcher: Any) -> None:
        """Store the pace of the finished run, unless it cannot be distinguished from other runs."""
        end, run = time.perf_counter(), own_run()
        if self._varies or self._steps < _FEWEST or self._binding is None or self._start is None or run is None:
            return
        if run.forwards is None or run.model is None:
            return
        module = patcher.model.diffusion_model
        layout, shape = sequence_layout(module, self._shape, self._binding), WanConfig.of_module(module)
        if shape != run.model.shape:
            return
        # Guiders may ask more often than once a pass.
        forward = (end - self._start) / self._timed * self._asked / run.forwards
        work = self._shape[0] * forward_work(layout, shape).total
        try:
            pace_file().remember(Pace(_key(run), work, forward, _size_of(layout)))
        except OSError as error:
            _log.info("LumosX: the time of this run cannot be stored (%s).", error.strerror or error)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _size_of(layout: SequenceLayout) -> Size:
    shape = WAN21_LATENT.grid_shape((layout.frames, layout.height, layout.width))
    return Size(*WAN21_LATENT.pixels(shape), WAN21_LATENT.video_frames(layout.frames))


def _key(run: LinkedRun) -> str:
    """Of all that a forward's speed depends on but for the video."""
    attention = comfy.ldm.modules.attention.optimized_attention
    known = [
        _machine(), torch.__version__, comfyui_version.__version__, f"{attention.__module__}.{attention.__qualname__}",
        sorted(name for name, value in vars(args).items() if value is True), str(getattr(args, "fast", "")),
        run.setting, run.model and run.model.nbytes,
    ]
    return hashlib.sha256(json.dumps(known).encode(errors="backslashreplace")).hexdigest()


def _machine() -> list[Any]:
    management: Any = comfy.model_management
    device = management.get_torch_device()
    memory = [round(management.get_total_memory(one) / _GIGABYTE) for one in (device, torch.device("cpu"))]
    named = [management.get_torch_device_name(device), *memory, platform.machine(), os.cpu_count()]
    # A card's name says what it is; processors are identified by their computer.
    return [*named, platform.node(), torch.get_num_threads()] if device.type == "cpu" else named
