"""Trains Lynx's adapters on a frozen small model, and measures how often a sampled face is the right one."""

from __future__ import annotations

import copy
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import fmean

import numpy as np
import torch
from torch import nn

from ..host.methods.lynx_layers import added
from ..models.lumosx import relational_forward
from ..models.lynx.adapters import ID_LAYERS, REF_LAYERS
from ..models.lynx.attention import Addition
from ..models.wan.config import WAN21_LATENT
from ..models.wan.module import WanModule
from ..models.wan.network import Network
from ..sampling.solvers import TRAINING_TIMESTEPS, FlowSchedule, solve
from ..scene.prompt import NEGATIVE_PROMPT
from ..tiny.codec import Codec
from ..tiny.world.cast import Split
from ..tiny.world.clip import draw_cast, draw_strangers
from ..tiny.world.script import draw_script
from .checking import face_is_own
from .examples import NO_REFERENCES, Encode
from .flow import draw_sigmas, training_attention
from .lynx_adapters import Pairs, TrainedAdapters
from .lynx_samples import FaceSample, ReferencePass, encode_faces
from .trainer import Trainer, TrainingPlan

CHANCE_OF_NOBODY = 0.1
"""How often a clip gets nobody's tokens and features, which guidance needs."""
CHANCE_ALONE = 0.15
"""How often only the ID layers act, and just as often only the reference layers, so that each works alone."""
OTHERS = 8
"""Number of other faces with which a sampled face is compared, besides the right one."""


def with_adapters(
    base: WanModule, latent: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor, ids: Pairs, refs: Pairs
) -> torch.Tensor:
    """The velocity of a Wan network into which the hooks of LumosX Lynx add the adapters' keys and values.

    Args:
        base: in the dtype to compute in.
        latent, timestep, context: as for ``relational_forward``.
        ids, refs: keys and values of the ID layers and of the reference layers; an empty mapping turns them off.
    """
    id_additions, ref_additions = ({block: [Addition(pair, 1.0)] for block, pair in one.items()} for one in (ids, refs))
    with added(base, id_additions, ref_additions):
        return relational_forward(base, latent, timestep, context, [], NO_REFERENCES, training_attention)


class LynxTrainer(Trainer[TrainedAdapters, FaceSample]):
    """Trains adapters on the flow-matching loss: the error of the velocity, noise - latent.

    Args:
        base: frozen, in the dtype to compute in.
        adapters: the network to train.
        grey: features of the grey crop, [1, blocks, tokens, width].
        negative: text encoder output of the negative prompt, [1, tokens, text width].
        plan, dtype, device, about: as for ``Trainer``.
    """

    threads = 2
    may_change = ("steps", "cooldown")

    def __init__(
        self, base: Network, adapters: TrainedAdapters, grey: torch.Tensor, negative: torch.Tensor,
        plan: TrainingPlan, dtype: torch.dtype, device: torch.device, about: dict[str, str] | None = None,
    ) -> None:
        super().__init__(adapters.to(dtype), plan, dtype, device, about)
        self._grey, self._negative = grey.to(device), negative.to(device, dtype)
        # A base's hooks serve one forward at a time, so each thread needs its own copy.
        self._bases: queue.SimpleQueue[Network] = queue.SimpleQueue()
        for _ in range(self.threads):
            self._bases.put(copy.deepcopy(base).to(device))

    @contextmanager
    def _base(self) -> Iterator[Network]:
        base = self._bases.get()
        try:
            yield base
        finally:
            self._bases.put(base)

    def _go_back(self, samples: list[FaceSample]) -> float:
        return self._go_back_from([partial(self._loss_of, sample, *self._chances(sample)) for sample in samples])

    def _chances(self, sample: FaceSample) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, set[str]]:
        """Random choices: noise levels, noise, clips of nobody, clips with the negative prompt, active adapters."""
        clips = len(sample.latent)
        sigmas = draw_sigmas(clips, self.plan.shift, self._generator)
        noise = torch.randn(sample.latent.shape, generator=self._generator)
        absent, silent = (torch.rand(clips, generator=self._generator) < chance
                          for chance in (CHANCE_OF_NOBODY, self.plan.unconditional))
        fate = torch.rand((), generator=self._generator).item()
        parts = {ID_LAYERS} if fate < CHANCE_ALONE else {REF_LAYERS} if fate < 2 * CHANCE_ALONE else {
            ID_LAYERS, REF_LAYERS}
        return sigmas, noise, absent, silent, parts

    def _loss_of(
        self, sample: FaceSample, sigmas: torch.Tensor, noise: torch.Tensor, absent: torch.Tensor,
        silent: torch.Tensor, parts: set[str],
    ) -> torch.Tensor:
        def here(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(self.device, self.dtype)

        latent, noise, sigmas, absent, silent = (
            one.to(self.device) for one in (sample.latent, noise, sigmas, absent, silent)
        )
        mixed = sigmas.view(-1, 1, 1, 1, 1)
        context = _instead(here(sample.context), self._negative, silent)
        with self._base() as base:
            ids, refs = {}, {}
            if ID_LAYERS in parts:
                ids = self.network.fold_identities(base, here(sample.embeddings * ~absent.cpu()[:, None]))
            if REF_LAYERS in parts:
                features = torch.where(absent.view(-1, 1, 1, 1), self._grey, sample.features.to(self.device))
                refs = self.network.fold_references(base, here(features))
            velocity = with_adapters(
                base, here((1 - mixed) * latent + mixed * noise), sigmas * TRAINING_TIMESTEPS, context, ids, refs
            )
        error = (velocity.float() - (noise - latent)).square()
        weights = sample.weights.to(self.device)
        return (error * weights).sum() / (weights.sum() * error.shape[1])


def _instead(context: torch.Tensor, negative: torch.Tensor, silent: torch.Tensor) -> torch.Tensor:
    """[clips, tokens, width], with the negative prompt where ``silent`` is true; zeros pad the shorter text."""
    if not silent.any():
        return context
    length = max(context.shape[1], negative.shape[1])
    context, negative = (nn.functional.pad(one, (0, 0, 0, length - one.shape[1])) for one in (context, negative))
    return torch.where(silent[:, None, None], negative, context)


class FaceCheck:
    """Samples clips of people of the validation world, and measures how often a face is closest to the right one.

    Args:
        base: frozen, in the dtype to compute in.
        adapters: the network in training.
        codec: decodes the sampled latents.
        encode: the text encoder.
        references, grey: the reference pass, and its features of the grey crop.
        clips: number of clips.
    """

    frames, steps, shift, cfg = 3, 10, 5.0, 2.0

    def __init__(
        self, base: WanModule, adapters: TrainedAdapters, codec: Codec, encode: Encode, references: ReferencePass,
        grey: torch.Tensor, clips: int = 32,
    ) -> None:
        random = np.random.default_rng(99)
        self._base, self._adapters, self._codec = base, adapters, codec
        self._scripts = [draw_script(random, 1, drop=False) for _ in range(clips)]
        self._casts = [draw_cast(random, script, Split.VALIDATION) for script in self._scripts]
        faces = [cast.people[0].face for cast in self._casts]
        self._others = [draw_strangers(random, face, OTHERS, Split.VALIDATION) for face in faces]
        self._embeddings, latents = encode_faces(codec, faces, [0.0] * clips)
        self._features, self._grey = references(latents), grey
        texts = [encode(one)[0] for one in (*(script.prompt for script in self._scripts), NEGATIVE_PROMPT)]
        *contexts, negative = nn.utils.rnn.pad_sequence(texts, batch_first=True)
        self._contexts, self._negative = torch.stack(contexts), negative.expand(clips, -1, -1)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        latents = self._sampled()
        right = [
            float(face_is_own(script, cast, others, latent, self._codec))
            for script, cast, others, latent in zip(self._scripts, self._casts, self._others, latents)
        ]
        return {f"faces, own among {1 + OTHERS}": fmean(right)}

    def _sampled(self) -> torch.Tensor:
        adapters, base, clips = self._adapters, self._base, len(self._contexts)
        parameter = next(adapters.parameters())
        embeddings = torch.cat([self._embeddings, torch.zeros_like(self._embeddings)]).to(parameter)
        features = torch.cat([self._features, self._grey.expand_as(self._features)]).to(parameter)
        ids, refs = adapters.fold_identities(base, embeddings), adapters.fold_references(base, features)
        context = torch.cat([self._contexts, self._negative]).to(parameter)
        schedule = FlowSchedule.build(self.steps, self.shift)
        shape = (clips, WAN21_LATENT.channels, self.frames, 12, 16)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(5)).to(parameter.device)

        def denoise(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:
            both = torch.cat([x, x]).to(parameter.dtype)
            times = torch.full((2 * clips,), float(timestep), device=x.device)
            prompted, nobody = with_adapters(base, both, times, context, ids, refs).float().chunk(2)
            return x - sigma * (nobody + self.cfg * (prompted - nobody))

        return solve(denoise, noise, schedule.sigmas, schedule).cpu()
