"""DPM-Solver++(2M) and the flow schedule as ComfyUI's SAMPLER and SIGMAS, and a whole sampling run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from tqdm.auto import tqdm

from ..errors import LumosXError
from ..sampling import FlowSchedule, solve
from .scene import log_warnings
from .socket import BINDING, TIMESTEP


@dataclass(frozen=True)
class SamplingPlan:
    """What one run of LumosX Sampler does.

    Attributes:
        seed: of the noise.
        steps: steps of the whole schedule.
        cfg: guidance; v = v_negative + cfg * (v_positive - v_negative).
        shift: moves the noise levels towards noise.
        denoise: 1 starts from noise; less starts later, keeping the latent's content.
        start_step: first step to run; above 0 the latent is taken to hold its noise already, and none is added.
        end_step: step to stop before; beyond ``steps`` means the end.
    """

    seed: int
    steps: int = 50
    cfg: float = 6.0
    shift: float = 8.0
    denoise: float = 1.0
    start_step: int = 0
    end_step: int = 10000


def flow_sampling(steps: int, shift: float, denoise: float = 1.0) -> tuple[Any, torch.Tensor, FlowSchedule]:
    """SAMPLER, SIGMAS (float32, ``steps + 1`` levels) and the schedule behind them.

    With ``denoise`` below 1 the last ``steps`` of a longer schedule are taken, as KSampler does.

    Raises:
        LumosXError: numbers out of range.
    """
    if not 0 < denoise <= 1:
        raise LumosXError(f"denoise: {denoise} is not in (0, 1]; use 1 to start from noise.")
    schedule = FlowSchedule.build(int(steps / denoise), shift)
    sigmas = torch.tensor(schedule.last(steps).sigmas, dtype=torch.float32)
    return comfy.samplers.KSAMPLER(_SolverFunction(schedule)), sigmas, schedule


class _SolverFunction:
    """The function inside a KSAMPLER; it tells the relational forward which whole timestep a noise level has."""

    def __init__(self, schedule: FlowSchedule):
        self.schedule = schedule

    @torch.no_grad()
    def __call__(self, model, x, sigmas, extra_args=None, callback=None, disable=None):
        ones = x.new_ones(x.shape[0])
        bar = tqdm(total=len(sigmas) - 1, disable=disable)

        def denoise(x, sigma, timestep):
            return model(x, sigma * ones, **_with_timestep(extra_args or {}, timestep))

        def report(step, x, clean):
            bar.update()
            if callback is not None:
                callback({"i": step, "denoised": clean, "x": x, "sigma": sigmas[step], "sigma_hat": sigmas[step]})

        with bar:
            return solve(denoise, x, sigmas.tolist(), self.schedule, report)


def _with_timestep(arguments: dict, timestep: int) -> dict:
    return {**arguments, "model_options": {**arguments.get("model_options", {}), TIMESTEP: timestep}}


def run_sampler(model: Any, positive: list, negative: list, latent: dict, plan: SamplingPlan) -> dict:
    """Sample a LATENT with progress, live preview and interrupts of the host.

    Args:
        model: a MODEL with the relational forward.
        positive, negative: outputs of LumosX Relational Encode.
        latent: LATENT with ``samples`` [batch, 16, frames, height, width].
        plan: the numbers.

    Returns:
        A new LATENT; the given one is untouched.

    Raises:
        LumosXError: numbers out of range.
    """
    if not any(BINDING in options.get("model_conds", {}) for _, options in positive):
        log_warnings([
            "no reference reaches LumosX Sampler: positive holds no LumosX conditioning. Link it to LumosX Relational "
            "Encode; nodes that mix conditionings, such as ConditioningAverage, keep it only from their first input."
        ])
    sampler, _, schedule = flow_sampling(plan.steps, plan.shift, plan.denoise)
    levels = schedule.last(plan.steps).window(plan.start_step, plan.end_step)
    sigmas = torch.tensor(levels, dtype=torch.float32)
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    if plan.start_step > 0:
        noise = torch.zeros_like(samples, device="cpu")
    else:
        noise = comfy.sample.prepare_noise(samples, plan.seed, latent.get("batch_index"))
    samples = comfy.sample.sample_custom(
        model, noise, plan.cfg, sampler, sigmas, positive, negative, samples, noise_mask=latent.get("noise_mask"),
        callback=latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=plan.seed,
    )
    return {**latent, "samples": samples}
