"""The solvers and the flow schedule as ComfyUI's SAMPLER and SIGMAS, and a whole sampling run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.patcher_extension
import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from tqdm.auto import tqdm

from ...errors import LumosXError
from ...sampling.solvers import RELEASE_SCHEDULE, FlowSchedule, renoise, solve
from ..conditioning.scene import log_warnings
from ..socket import LYNX_WRAPPER, TIMESTEP, held_conditions
from .guidance import GuidanceEnd
from .latents import fitting_samples

MOST_STEPS, LEAST_DENOISE = 10000, 0.01
_DIFFUSION_MODEL = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL


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
        guidance_end_step: first step without guidance, one pass instead of two; beyond ``steps`` there is none.
        schedule: "release", or a name in ``DISTILLED``; then ``shift`` is not used.
    """

    seed: int
    steps: int = 50
    cfg: float = 6.0
    shift: float = 8.0
    denoise: float = 1.0
    start_step: int = 0
    end_step: int = 10000
    guidance_end_step: int = 10000
    schedule: str = RELEASE_SCHEDULE


def build_schedule(steps: int, shift: float, denoise: float = 1.0, name: str = RELEASE_SCHEDULE) -> FlowSchedule:
    """The whole schedule; the arguments are those of ``SamplingPlan``.

    With ``denoise`` below 1 a run takes the last ``steps`` of a longer schedule, as KSampler does.

    Raises:
        LumosXError: numbers out of range, or a name that is not known.
    """
    # The host does not look at the ranges of what a node checks itself, or of what is linked.
    if not LEAST_DENOISE <= denoise <= 1:
        raise LumosXError(f"denoise: {denoise} is not in [{LEAST_DENOISE}, 1]; use 1 to start from noise.")
    if steps > MOST_STEPS:
        raise LumosXError(f"steps: {steps} is above {MOST_STEPS}; use fewer (the release uses 50).")
    if name == RELEASE_SCHEDULE:
        return FlowSchedule.build(int(steps / denoise), shift)
    if denoise < 1:
        raise LumosXError(f"denoise: schedule {name} starts from noise; use 1, or schedule {RELEASE_SCHEDULE}.")
    return FlowSchedule.distilled(name, steps)


def flow_sampling(
    steps: int, shift: float, denoise: float = 1.0, guidance_end_step: int = 10000, name: str = RELEASE_SCHEDULE
) -> tuple[Any, torch.Tensor, FlowSchedule]:
    """SAMPLER, SIGMAS (float32, ``steps + 1`` levels) and the schedule behind them, from numbers of ``SamplingPlan``.

    Raises:
        LumosXError: as ``build_schedule``.
    """
    if guidance_end_step < 0:
        raise LumosXError(f"guidance_end_step: {guidance_end_step} is below 0; use 0 for no guidance at all.")
    schedule = build_schedule(steps, shift, denoise, name)
    levels = schedule.last(steps).sigmas
    sampler = comfy.samplers.KSAMPLER(_SolverFunction(schedule, levels[min(guidance_end_step, steps)]))
    return sampler, torch.tensor(levels, dtype=torch.float32), schedule


class _SolverFunction:
    """The function inside a KSAMPLER; it tells the relational forward which whole timestep a noise level has.

    Args:
        schedule: the whole schedule.
        guidance_end: the noise level at which guidance has ended.
    """

    def __init__(self, schedule: FlowSchedule, guidance_end: float) -> None:
        self.schedule = schedule
        self.guidance_end = guidance_end

    @torch.no_grad()
    def __call__(
        self,
        model: Callable[..., torch.Tensor],
        x: torch.Tensor,
        sigmas: torch.Tensor,
        extra_args: dict[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
        disable: bool | None = None,
    ) -> torch.Tensor:
        arguments = extra_args or {}
        options = arguments.get("model_options", {})
        guidance = GuidanceEnd(self.guidance_end)
        ones = x.new_ones(x.shape[0])
        bar = tqdm(total=len(sigmas) - 1, disable=disable)

        def denoise(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:
            own = guidance.options({**options, TIMESTEP: timestep}, sigma)
            return model(x, sigma * ones, **{**arguments, "model_options": own})

        def report(step: int, x: torch.Tensor, denoised: torch.Tensor) -> None:
            bar.update()
            if callback is not None:
                callback({"i": step, "denoised": denoised, "x": x, "sigma": sigmas[step], "sigma_hat": sigmas[step]})

        with bar:
            if self.schedule.renoised:
                noise = _fresh_noise(x, arguments.get("seed"))
                result = renoise(denoise, x, sigmas.tolist(), self.schedule, noise, report)
            else:
                result = solve(denoise, x, sigmas.tolist(), self.schedule, report)
        guidance.finish()
        return result


def _fresh_noise(x: torch.Tensor, seed: int | None) -> Callable[[], torch.Tensor]:
    """Noise of the seed after the run's, whose own drew the first noise; drawn on the CPU, so alike on every card."""
    generator = torch.Generator().manual_seed(((seed or 0) + 1) % 2**64)
    return lambda: torch.randn(x.shape, generator=generator).to(x)


def run_sampler(model: Any, positive: list, negative: list, latent: dict, plan: SamplingPlan) -> dict:
    """Sample a LATENT with progress, live preview and interrupts of the host.

    Args:
        model: a MODEL with the relational forward, or with Lynx.
        positive, negative: outputs of LumosX Relational Encode, or with Lynx any CONDITIONINGs.
        latent: LATENT with ``samples`` [batch, 16, frames, height, width].
        plan: the numbers.

    Returns:
        A new LATENT; the given one is untouched.

    Raises:
        LumosXError: as ``flow_sampling`` and ``fitting_samples``, or no step to run.
    """
    if not held_conditions(positive) and not model.get_wrappers(_DIFFUSION_MODEL, LYNX_WRAPPER):
        log_warnings([
            "no reference reaches LumosX Sampler: positive has no LumosX conditioning. Link it to LumosX Relational "
            "Encode; nodes that mix conditionings, such as ConditioningAverage, keep it only from their first input."
        ])
    sampler, _, schedule = flow_sampling(plan.steps, plan.shift, plan.denoise, plan.guidance_end_step, plan.schedule)
    levels = schedule.last(plan.steps).window(plan.start_step, plan.end_step)
    if plan.schedule != RELEASE_SCHEDULE and plan.cfg != 1:
        log_warnings([f"cfg: {plan.cfg} with schedule {plan.schedule}, whose models need no guidance; use 1."])
    sigmas = torch.tensor(levels, dtype=torch.float32)
    samples = fitting_samples(model, latent)
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
