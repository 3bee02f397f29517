"""Flow schedule and DPM-Solver++(2M) of LumosX, in plain PyTorch, and the walk that distilled models are trained for.

The release samples rectified flow with a second order multistep solver (Lu et al., "DPM-Solver++", 2022, algorithm 2M,
midpoint form) and evaluates the model at whole timesteps. Both are reproduced here to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import LumosXError

TRAINING_TIMESTEPS = 1000
SHIFTS = 0.01, 1000.0
"""Far beyond any use; further out all levels would be rounded to one."""

RELEASE_SCHEDULE = "release"
DISTILLED = {"CausVid": (1000, 757, 522), "FastWan": (1000, 757, 522)}
"""Whole timesteps at which a distilled model was trained, by name; docs/speed.md links their authors' settings."""

Denoiser = Callable[[torch.Tensor, float, int], torch.Tensor]
"""``denoise(x, sigma, timestep)``: the guided, denoised estimate of ``x``, that is x - sigma * velocity."""
Observer = Callable[[int, torch.Tensor, torch.Tensor], None]
"""``on_step(step, x, denoised)``: called after every model call with x before the step and the denoised estimate."""


@dataclass(frozen=True)
class FlowSchedule:
    """The noise levels of a run.

    Attributes:
        sigmas: ``steps + 1`` falling noise levels in [0, 1], the last one 0.
        timesteps: ``steps`` whole timesteps in [0, 1000], ``int(1000 * sigma)`` before sigma is rounded to float32.
        renoised: to be walked with ``renoise`` rather than ``solve``.
    """

    sigmas: tuple[float, ...]
    timesteps: tuple[int, ...]
    renoised: bool = False

    @classmethod
    def build(cls, steps: int, shift: float = 8.0) -> FlowSchedule:
        """Space ``steps`` levels evenly, then move them towards noise: sigma = shift*s / (1 + (shift-1)*s).

        Raises:
            LumosXError: fewer than one step, or a shift out of range.
        """
        if steps < 1:
            raise LumosXError(f"steps: {steps} is below 1; use 1 or more (the release uses 50).")
        if not SHIFTS[0] <= shift <= SHIFTS[1]:
            raise LumosXError(f"shift: {shift} is not from {SHIFTS[0]} to {SHIFTS[1]}; the release uses 8.")
        even = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64)[:-1]
        shifted = (shift * even / (1 + (shift - 1) * even)).tolist()
        timesteps = tuple(int(TRAINING_TIMESTEPS * sigma) for sigma in shifted)
        return cls(tuple(_single_precision(sigma) for sigma in (*shifted, 0.0)), timesteps)

    @classmethod
    def distilled(cls, name: str, steps: int) -> FlowSchedule:
        """The first ``steps`` levels of ``DISTILLED[name]``, then none.

        Raises:
            LumosXError: another name, fewer than one step, or more than the model was trained for.
        """
        if name not in DISTILLED:
            raise LumosXError(f"schedule: {name} is not a choice; use {RELEASE_SCHEDULE} or one of "
                f"{', '.join(DISTILLED)}.")
        timesteps = DISTILLED[name]
        if not 1 <= steps <= len(timesteps):
            raise LumosXError(f"steps: schedule {name} has {len(timesteps)} steps, not {steps}; use {len(timesteps)}.")
        levels = (*(timestep / TRAINING_TIMESTEPS for timestep in timesteps[:steps]), 0.0)
        return cls(tuple(_single_precision(sigma) for sigma in levels), timesteps[:steps], renoised=True)

    def last(self, steps: int) -> FlowSchedule:
        """The last ``steps`` steps, as a schedule of their own."""
        return replace(self, sigmas=self.sigmas[-(steps + 1):], timesteps=self.timesteps[-steps:])

    def window(self, start_step: int = 0, end_step: int | None = None) -> tuple[float, ...]:
        """The levels of steps ``start_step`` up to ``end_step`` (the end may be beyond the run).

        Raises:
            LumosXError: an empty window.
        """
        steps = len(self.timesteps)
        last = steps if end_step is None else min(end_step, steps)
        if not 0 <= start_step < last:
            raise LumosXError(f"start_step: {start_step} leaves no step before {last}; use a smaller start_step.")
        return self.sigmas[start_step:last + 1]

    def timestep(self, sigma: float) -> int:
        """The whole timestep of a noise level; a level that is not in this schedule is cut to a whole one too."""
        try:
            return self.timesteps[self.sigmas.index(sigma)]
        except (ValueError, IndexError):
            return int(TRAINING_TIMESTEPS * sigma)


def _single_precision(value: float) -> float:
    """Samplers of the field exchange noise levels as float32; the release's solver computes from those."""
    return torch.tensor(value, dtype=torch.float32).item()


def solve(
    denoise: Denoiser,
    x: torch.Tensor,
    sigmas: Sequence[float],
    schedule: FlowSchedule,
    on_step: Observer | None = None,
) -> torch.Tensor:
    """Walk ``x`` along ``sigmas`` with DPM-Solver++(2M) in flow form: alpha = 1 - sigma, lambda = log(alpha / sigma).

    Args:
        denoise: the guided model.
        x: noisy latent of any shape, at noise level ``sigmas[0]``.
        sigmas: falling noise levels, any part of the schedule's.
        schedule: gives the whole timestep of each level.
        on_step: called after every model call.

    Returns:
        The latent at noise level ``sigmas[-1]``, same shape as ``x``, at least float32.

    Raises:
        LumosXError: levels that do not fall.
    """
    _check_falling(sigmas)
    previous_sigma, previous_denoised = None, x
    for step, (sigma, next_sigma) in enumerate(zip(sigmas, sigmas[1:])):
        denoised = denoise(x, sigma, schedule.timestep(sigma))
        if on_step is not None:
            on_step(step, x, denoised)
        decay, gain, correction = _coefficients(previous_sigma, sigma, next_sigma)
        # The release keeps the linear term in float32 whatever the model's precision is.
        x_next = decay * x.float() - gain * denoised
        if correction:
            x_next = x_next - 0.5 * gain * (correction * (denoised - previous_denoised))
        x, previous_sigma, previous_denoised = x_next, sigma, denoised
    return x


def renoise(
    denoise: Denoiser,
    x: torch.Tensor,
    sigmas: Sequence[float],
    schedule: FlowSchedule,
    fresh_noise: Callable[[], torch.Tensor],
    on_step: Observer | None = None,
) -> torch.Tensor:
    """Walk ``x`` along ``sigmas``, mixing each estimate with fresh noise: x = (1 - sigma) * denoised + sigma * noise.

    So models distilled by distribution matching (Yin et al., "DMD2", 2024, multistep generator) meet their own
    estimates in training; a solver that follows the flow would give them inputs of another kind.

    Args:
        denoise, x, sigmas, schedule, on_step: as for ``solve``.
        fresh_noise: gives Gaussian noise of the shape of ``x``, other at every call.

    Returns:
        The latent at noise level ``sigmas[-1]``, same shape as ``x``.

    Raises:
        LumosXError: levels that do not fall.
    """
    _check_falling(sigmas)
    for step, (sigma, next_sigma) in enumerate(zip(sigmas, sigmas[1:])):
        denoised = denoise(x, sigma, schedule.timestep(sigma))
        if on_step is not None:
            on_step(step, x, denoised)
        x = next_sigma * fresh_noise() + (1 - next_sigma) * denoised if next_sigma else denoised
    return x


def _check_falling(sigmas: Sequence[float]) -> None:
    if any(next_sigma >= sigma for sigma, next_sigma in zip(sigmas, sigmas[1:])):
        raise LumosXError("sigmas: the noise levels do not fall at every step; link those of LumosX Schedule.")


def _coefficients(previous: float | None, current: float, target: float) -> tuple[float, float, float]:
    """(sigma_t/sigma_s, alpha_t*(exp(-h)-1), 1/r0) of one step; 1/r0 is 0 where the step is first order.

    Computed in float32 like the release does, whose rounding the golden files show.
    """
    sigma, next_sigma = torch.tensor(current), torch.tensor(target)
    step_size = _half_log_snr(next_sigma) - _half_log_snr(sigma)
    decay = next_sigma / sigma
    gain = (1 - next_sigma) * (torch.exp(-step_size) - 1.0)
    # First order without a predecessor, and on the last step, where lambda is infinite.
    if previous is None or target == 0:
        return decay.item(), gain.item(), 0.0
    earlier_step_size = _half_log_snr(sigma) - _half_log_snr(torch.tensor(previous))
    return decay.item(), gain.item(), (1.0 / (earlier_step_size / step_size)).item()


def _half_log_snr(sigma: torch.Tensor) -> torch.Tensor:
    """lambda; minus infinity for pure noise, plus infinity for none."""
    return torch.log(1 - sigma) - torch.log(sigma)
