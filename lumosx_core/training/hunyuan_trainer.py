"""The loss of a HunyuanVideo: the error of the velocity, noise - latent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from ..models.hunyuan.network import HunyuanNetwork
from ..sampling.solvers import TRAINING_TIMESTEPS
from .adapter_cases import AdapterSample, EncodedText
from .flow import draw_sigmas, training_attention
from .trainer import Trained, Trainer

_GATE = 0.5
"""The initial value of every gate; with closed gates a small network would lose much of its training."""
_LOCAL_BLOCKS = 1
"""Blocks at the start in which the video attends to its surroundings; they read no text at first."""
_SHARPNESS, _CONSTANT, _PLACE_PAIRS = 1.6, 2.0, 9
"""The initial scale of queries and keys; the size of the constant part of the video's queries; and how many rotary
pairs of rows, and of columns, have this part: slower pairs hardly turn within the small frames."""
_TIME_PAIRS, _NEARNESS = range(2, 5), 2.0
"""The rotary pairs of time in which all queries and keys have a constant part, and its size."""


class HunyuanTrainer(Trainer[Trained, AdapterSample]):
    """Trains a HunyuanVideo, or what is used together with one, on videos, their prompts and their subjects."""

    guidance = 1.0
    """The embedded guidance that the network gets."""

    def _go_back(self, samples: list[AdapterSample]) -> float:
        return self._go_back_from([partial(self._loss_of, sample, *self._chance(sample)) for sample in samples])

    def _chance(self, sample: AdapterSample) -> tuple[torch.Tensor, torch.Tensor, EncodedText]:
        """What is random, drawn before any thread starts: noise levels, noise, and whether the prompt is dropped."""
        sigmas = draw_sigmas(len(sample.latent), self.plan.shift, self._generator)
        noise = torch.randn(sample.latent.shape, generator=self._generator)
        dropped = torch.rand((), generator=self._generator).item() < self.plan.unconditional
        return sigmas, noise, sample.negative if dropped else sample.text

    def _loss_of(
        self, sample: AdapterSample, sigmas: torch.Tensor, noise: torch.Tensor, text: EncodedText
    ) -> torch.Tensor:
        sigma, noise, latent = (one.to(self.device) for one in (sigmas, noise, sample.latent))
        mixed = sigma.view(-1, 1, 1, 1, 1)
        velocity = self.predict((1 - mixed) * latent + mixed * noise, sigma * TRAINING_TIMESTEPS, sample.subjects, text)
        error = (velocity - (noise - latent)).square()
        if sample.weights is None:
            return error.mean()
        weights = sample.weights.to(self.device).expand(len(error), 1, *error.shape[2:])
        return (error * weights).sum() / (weights.sum() * error.shape[1])

    def predict(
        self, x: torch.Tensor, timesteps: torch.Tensor, subjects: Sequence[torch.Tensor], text: EncodedText
    ) -> torch.Tensor:
        """The velocity in float32 of a latent on the trainer's device; subjects and text may be anywhere.

        Args:
            x: [rows, 16, frames, h, w].
            timesteps: [rows].
            subjects, text: as in ``AdapterSample``; one row of the text serves all.
        """

        def here(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(self.device, self.dtype)

        context, pooled = (here(one).expand(len(x), *one.shape[1:]) for one in (text.context, text.pooled))
        guidance = torch.full_like(timesteps, self.guidance)
        return self.velocity(here(x), timesteps, context, pooled, guidance, [*map(here, subjects)], text).float()

    def velocity(
        self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor,
        guidance: torch.Tensor, subjects: Sequence[torch.Tensor], text: EncodedText,
    ) -> torch.Tensor:
        """What the network computes in ``dtype``; context and pooled are those of ``text``, with the rows of x."""
        raise NotImplementedError


class TextTrainer(HunyuanTrainer[HunyuanNetwork]):
    """Trains a HunyuanVideo on videos and their prompts alone."""

    def velocity(
        self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor,
        guidance: torch.Tensor, subjects: Sequence[torch.Tensor], text: EncodedText,
    ) -> torch.Tensor:
        """As its base class; there are no subjects."""
        return self.network(x, timesteps, context, pooled, guidance, training_attention)


def initialise(network: HunyuanNetwork, seed: int) -> None:
    """Draw the initial weights (Peebles and Xie, "DiT", 2023, section 3.2), with half-open gates.

    Rotary positions are relative, but text is not rotated: if a part of the query is the same everywhere, the attention
    to a word depends on the place in the frame. So the video's queries start with a constant part, and tokens learn
    from words where they are.

    All queries and keys have a constant part in time, so tokens attend to those of about the same time, as a model of
    long videos would have learned. In clips of three latent frames it changes next to nothing. In the interaction of
    PolyVivid, where each subject has a time of its own, a picture's tokens first read the line that mentions it.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5, generator=generator)
        elif not name.endswith("scale") and "norm" not in name:
            parameter.data.zero_()
        elif name.endswith("scale"):
            parameter.data.fill_(_SHARPNESS)
    hidden, (time, rows, _) = network.params.hidden_size, network.params.axes_dim
    for number, block in enumerate(network.double_blocks):
        for start in (time, time + rows):
            pairs = block.img_attn.qkv.bias.data[start:start + 2 * _PLACE_PAIRS]
            pairs.normal_(std=_CONSTANT, generator=generator)
            if number < _LOCAL_BLOCKS:
                # The same part in keys: each token first attends to its surroundings, in all frames.
                block.img_attn.qkv.bias.data[hidden + start:hidden + start + 2 * _PLACE_PAIRS] = pairs
        first, end = 2 * _TIME_PAIRS.start, 2 * _TIME_PAIRS.stop
        for attention in (block.img_attn, block.txt_attn):
            for part in (0, hidden):
                attention.qkv.bias.data[part + first:part + end] = _NEARNESS
        for modulation in (block.img_mod, block.txt_mod):
            _open_gates(modulation.lin, hidden, (2, 5))
    for block in network.single_blocks:
        _open_gates(block.modulation.lin, hidden, (2,))
    for block in network.txt_in.individual_token_refiner.blocks:
        _open_gates(block.adaLN_modulation[1], hidden, (0, 1))
    for name in ("adaLN_modulation.1.weight", "linear.weight"):
        network.final_layer.get_parameter(name).data.zero_()


def _open_gates(layer: torch.nn.Module, hidden: int, gates: tuple[int, ...]) -> None:
    """Nothing modulates at first; ``gates`` are the indices of the gates among parts of ``hidden`` channels each."""
    layer.get_parameter("weight").data.zero_()
    for gate in gates:
        layer.get_parameter("bias").data[gate * hidden:(gate + 1) * hidden] = _GATE
