"""The training loop: steps, averaged weights, and checkpoints."""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from ..errors import LumosXError
from ..files import write_aside
from ..models.lumosx.sequence import Binding
from ..models.wan.forward import BlockRunner, run_plainly
from ..models.wan.network import Network
from ..weights.torch_archive import load_archive
from .flow import draw_sigmas, velocity_loss
from .processes import current_processes

_MOST_STEPS = 1 << 24
"""Opcodes of a checkpoint; the record of a million steps takes a third."""


@dataclass(frozen=True)
class TrainingPlan:
    """How to train.

    Attributes:
        steps: updates of the weights.
        rate: highest learning rate.
        full_rate_inputs: a layer with more inputs than this learns at a rate lower by that factor; 0 means no limit.
        warmup: steps in which the rate rises from zero.
        cooldown: the part of the steps, at the end, over which it falls to zero in a straight line.
        accumulate: examples of each step, in all processes together.
        shift: moves noise levels towards noise, as the sampler's.
        unconditional: how often the negative prompt takes the prompt's place, for guidance.
        decay: of the averaged weights, a step.
        clip: largest norm of the gradient.
        weight_decay: of matrices.
        seed: of noise levels, noise and dropped prompts.
    """

    steps: int
    rate: float = 1.5e-3
    _: KW_ONLY
    full_rate_inputs: int = 0
    warmup: int = 100
    cooldown: float = 0.35
    accumulate: int = 1
    shift: float = 3.0
    unconditional: float = 0.1
    decay: float = 0.998
    clip: float = 1.0
    weight_decay: float = 0.01
    seed: int = 0


@dataclass
class TrainingRecord:
    """What is written down of a training: figures by step."""

    losses: list[tuple[int, float]] = field(default_factory=list)
    checks: list[dict] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Sample:
    """An example whose words are encoded: the arguments of ``velocity_loss``."""

    latent: torch.Tensor
    references: list[torch.Tensor]
    context: torch.Tensor
    negative: torch.Tensor
    binding: Binding


Trained = TypeVar("Trained", bound=nn.Module)
Example = TypeVar("Example")


class Trainer(Generic[Trained, Example]):
    """Trains some parameters of a network whose forward runs in ``dtype``.

    Args:
        network: computes; its parameters that need gradients are trained, in float32 copies of their own.
        plan: how.
        dtype: to compute in.
        device: to compute on; the network is moved there.
        about: what else a checkpoint has to agree with before it is gone on from.

    Raises:
        LumosXError: several processes cannot share the samples of a step.
    """

    threads = 1
    """Samples of a step that are computed at once, each by a thread. On a busy machine that is faster than several
    threads for each layer, which mostly wait for each other."""

    may_change: tuple[str, ...] = ()
    """What of the plan may be another when a checkpoint is resumed."""

    def __init__(
        self, network: Trained, plan: TrainingPlan, dtype: torch.dtype, device: torch.device,
        about: dict[str, Any] | None = None,
    ):
        self.network, self.plan, self.dtype, self.device = network.to(device), plan, dtype, device
        self.about = about or {}
        self.processes = current_processes()
        self.processes.check_shares(plan.accumulate, f"start a number of processes that divides {plan.accumulate}")
        named = [(name, part) for name, part in network.named_parameters() if part.requires_grad]
        self.names = [name for name, _ in named]
        self._working: list[torch.Tensor] = [part for _, part in named]
        self.weights = [part.detach().float().clone() for part in self._working]
        self.averaged = [part.clone() for part in self.weights]
        self.record = TrainingRecord()
        self.step = 0
        self.optimizer = self._make_optimizer()
        self._generator = torch.Generator().manual_seed(plan.seed)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self._parameter_groups(), lr=self.plan.rate, betas=(0.9, 0.98), eps=1e-8, fused=True
        )

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Weights by their part of the rate, ``scale``, and by decay.

        Adam moves every weight alike, so what comes out of a layer moves with the number of its inputs, and the rate
        has to fall with it (Yang et al., "Tensor Programs V", 2022, table 8).
        """
        limit = self.plan.full_rate_inputs
        groups = defaultdict(list)
        for part in self.weights:
            scale = min(1.0, limit / part.shape[1]) if part.ndim == 2 and limit else 1.0
            groups[scale, self.plan.weight_decay if part.ndim > 1 else 0.0].append(part)
        return [
            {"params": parts, "weight_decay": decay, "scale": scale} for (scale, decay), parts in groups.items()
        ]

    def train(self, samples: Iterable[Example], after_step: Callable[[int, float], None]) -> None:
        """Train until the plan's last step; ``after_step(step, loss)`` may save, check, or raise to stop."""
        if self.processes.count > 1:
            self.processes.check_same(self._start())
        samples = iter(samples)
        started = time.monotonic()
        while self.step < self.plan.steps:
            loss = self._take_step([next(samples) for _ in range(self.plan.accumulate)])
            self.step += 1
            now = time.monotonic()
            self.record.seconds += now - started
            started = now
            after_step(self.step, loss)

    def _take_step(self, samples: list[Example]) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate * self._rate_part() * group["scale"]
        total = self._go_back(samples)
        gradients = []
        for weight, part in zip(self.weights, self._working):
            gradients.append(part.grad.float() if part.grad is not None else torch.zeros_like(weight))
            weight.grad, part.grad = gradients[-1], None
        if self.processes.count > 1:
            loss = torch.tensor([total], device=self.device)
            self.processes.add([*gradients, loss])
            total = loss.item()
        if not math.isfinite(total):
            raise LumosXError(f"training: the loss is {total} at step {self.step}; use a lower rate.")
        nn.utils.clip_grad_norm_(self.weights, self.plan.clip)
        self.optimizer.step()
        decay = min(self.plan.decay, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.averaged, self.weights, 1 - decay)
        with torch.no_grad():
            torch._foreach_copy_(self._working, self.weights)
        return total

    def _go_back(self, samples: list[Example]) -> float:
        """Leave the mean loss's gradient on the working parameters, and return that loss.

        Of several processes, each leaves and returns its share, and all shares together are the mean.
        """
        raise NotImplementedError

    def _go_back_from(self, losses: list[Callable[[], torch.Tensor]]) -> float:
        """As ``_go_back``, from what computes the loss of each sample, ``threads`` of them at a time.

        Chance has decided for all samples by now, so that it decides the same with any number of processes.
        """
        count, losses = len(losses), [*self.processes.share(losses)]

        def gradients(compute: Callable[[], torch.Tensor]) -> tuple[float, tuple[torch.Tensor | None, ...]]:
            loss = compute()
            return loss.item(), torch.autograd.grad(loss, self._working, allow_unused=True)

        if self.threads == 1:
            # Hooks on what is saved for the way back are a thread's own.
            found, parts = zip(*map(gradients, losses))
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                found, parts = zip(*pool.map(gradients, losses))
        for working, *of_samples in zip(self._working, *parts):
            known = [part for part in of_samples if part is not None]
            working.grad = torch.stack(known).sum(0) / count if known else None
        return sum(found) / count

    def _start(self) -> bytes:
        """What has to be the same in every process."""
        digest = hashlib.sha256(repr((self.step, asdict(self.plan), self.about, self.names)).encode())
        for weight in self.weights:
            digest.update(weight.cpu().contiguous().numpy().data)
        return digest.digest()

    def _rate_part(self) -> float:
        rising = (self.step + 1) / max(1, self.plan.warmup)
        falling = (self.plan.steps - self.step) / max(1.0, self.plan.cooldown * self.plan.steps)
        return min(1.0, rising, falling)

    def with_averaged(self, check: Callable[[], dict]) -> dict:
        """What ``check`` finds while the network holds the averaged weights."""
        with torch.no_grad():
            torch._foreach_copy_(self._working, self.averaged)
            try:
                return check()
            finally:
                torch._foreach_copy_(self._working, self.weights)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The averaged weights by name."""
        return dict(zip(self.names, self.averaged))

    def save(self, path: Path) -> None:
        """Write a checkpoint, first under a temporary name.

        Raises:
            OSError: the file cannot be written.
        """
        state = {
            "plan": asdict(self.plan), "about": self.about, "step": self.step, "names": self.names,
            "weights": self.weights, "averaged": self.averaged, "optimizer": self.optimizer.state_dict(),
            "generator": self._generator.get_state(), "record": asdict(self.record),
        }
        # Into memory first: on a full disk torch's own writer fails with an error that does not say so.
        content = io.BytesIO()
        torch.save(state, content)
        write_aside(path, content.getvalue())

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint that ``save`` wrote.

        Raises:
            LumosXError: the file is not a checkpoint, is damaged, or is one of another plan or network.
        """
        state = read_checkpoint(path, self.plan, self.about, self.may_change)
        if state["names"] != self.names:
            raise _of_another_training(path)
        try:
            self._take_over(state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise LumosXError(
                f"resume: {path} is damaged ({type(error).__name__}); leave --resume out to start again."
            ) from error

    def _take_over(self, state: dict[str, Any]) -> None:
        """Set everything that ``save`` wrote down; raises whatever torch does where numbers do not fit."""
        if type(state["step"]) is not int or not 0 <= state["step"] <= self.plan.steps:
            raise ValueError(state["step"])
        self.step = state["step"]
        for kept, stored in ((self.weights, state["weights"]), (self.averaged, state["averaged"])):
            for here, there in zip(kept, stored, strict=True):
                if here.shape != there.shape:
                    raise ValueError(there.shape)
                here.copy_(there)
        with torch.no_grad():
            torch._foreach_copy_(self._working, self.weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self._generator.set_state(state["generator"])
        record = state["record"]
        self.record = TrainingRecord([tuple(pair) for pair in record["losses"]], record["checks"], record["seconds"])


class RelationalTrainer(Trainer[Network, Sample]):
    """Trains a Wan on the rectified-flow loss over the relational forward.

    Args:
        network, plan, dtype, device, about: as for ``Trainer``.
        run_block: as for ``relational_forward``.
    """

    def __init__(
        self, network: Network, plan: TrainingPlan, dtype: torch.dtype, device: torch.device,
        about: dict[str, Any] | None = None, run_block: BlockRunner = run_plainly,
    ):
        super().__init__(network, plan, dtype, device, about)
        self._run_block = run_block

    def _go_back(self, samples: list[Sample]) -> float:
        return self._go_back_from([partial(self._loss, sample, *self._draw(sample)) for sample in samples])

    def _draw(self, sample: Sample) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What chance decides for a sample: noise levels, noise, and whose words are read."""
        sigmas = draw_sigmas(sample.latent.shape[0], self.plan.shift, self._generator)
        noise = torch.randn(sample.latent.shape, generator=self._generator)
        dropped = torch.rand((), generator=self._generator).item() < self.plan.unconditional
        return sigmas, noise, sample.negative if dropped else sample.context

    def _loss(
        self, sample: Sample, sigmas: torch.Tensor, noise: torch.Tensor, context: torch.Tensor
    ) -> torch.Tensor:
        def here(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(self.device, non_blocking=True)

        return velocity_loss(
            self.network, here(sample.latent), [here(reference) for reference in sample.references],
            here(context).expand(len(sample.latent), -1, -1), sample.binding, here(sigmas), here(noise), self.dtype,
            run_block=self._run_block,
        )


def read_checkpoint(
    path: Path, plan: TrainingPlan, about: dict[str, Any], may_change: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What ``Trainer.save`` wrote, on the CPU; what ``may_change`` names of the plan may differ.

    Raises:
        LumosXError: the file is not a checkpoint, or one of another plan, or about something else.
    """
    try:
        with path.open("rb") as file:
            state = load_archive(file, path, most_steps=_MOST_STEPS)
        if not isinstance(state, dict):
            raise TypeError
        wanted = asdict(plan) | {name: state["plan"][name] for name in may_change}
        same = state["plan"] == wanted and state.get("about", {}) == about and state["names"] is not None
    except OSError as error:
        raise LumosXError(f"resume: {path} cannot be read ({error.strerror}); leave it out.") from error
    except LumosXError as error:
        raise LumosXError(f"resume: it is not the checkpoint of a training: {error}") from error
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise LumosXError(
            f"resume: {path} is not the checkpoint of a training ({type(error).__name__}); leave it out."
        ) from error
    if not same:
        accumulated = state["plan"].get("accumulate")
        alike = state["plan"] == wanted | {"accumulate": accumulated} and state.get("about", {}) == about
        if alike and type(accumulated) is int and accumulated != plan.accumulate:
            raise LumosXError(
                f"resume: {path} comes from steps of {accumulated} samples; give --accumulate {accumulated}, or leave "
                "--resume out."
            )
        raise _of_another_training(path)
    return state


def _of_another_training(path: Path) -> LumosXError:
    return LumosXError(f"resume: {path} comes from a training with other settings; use the same settings, or leave it "
        "out.")
