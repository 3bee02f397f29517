"""Latents as the small transformer leaves them, each with the drawing that it should have been.

A true clip is noised to a level from the middle of the schedule, which leaves places and poses to be seen. The
transformer denoises it from there, with its references: what it makes of colours and clothes is its own, and yet the
right picture is known.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from ..files import write_aside
from ..models.lumosx import relational_forward
from ..models.wan.network import Network
from ..sampling.solvers import FlowSchedule, solve
from ..scene.prompt import NEGATIVE_PROMPT
from ..tiny.world.cast import Split
from ..tiny.world.relations import scene_of
from .decoder_trainer import FRAMES, MADE_CASTS, MADE_SEED, drawn_clips
from .examples import Encode, Tokenise, bind, encode_clips, encode_references
from .flow import dense_attention

STEPS, SHIFT = 16, 5.0
LAST_STEPS = (4, 5, 6, 7, 8)
"""How many of the last steps are taken: from a noise level of 0.63 to 0.83."""
GUIDANCE = (1.0, 2.0, 3.0)


class LatentMaker:
    """Calls a network as the sampler does.

    Args:
        network: in ``dtype``.
        tokenise, encode: the text side.
        dtype: to compute in.
    """

    def __init__(self, network: Network, tokenise: Tokenise, encode: Encode, dtype: torch.dtype) -> None:
        self._network, self._tokenise, self._encode, self._dtype = network, tokenise, encode, dtype
        self._negative = encode(NEGATIVE_PROMPT).to(dtype).expand(MADE_CASTS, -1, -1)

    @torch.no_grad()
    def make(self, index: int, split: Split = Split.TRAIN) -> torch.Tensor:
        """Normalised latents [MADE_CASTS, 16, FRAMES, h, w] of script ``index`` of ``drawn_clips``."""
        script, casts, random = drawn_clips(MADE_SEED, index, split, MADE_CASTS)
        truth = encode_clips([script] * MADE_CASTS, casts, FRAMES)
        references = [one.to(self._dtype) for one in encode_references(random, [script] * MADE_CASTS, casts)]
        text = self._encode(script.prompt).to(self._dtype).expand(MADE_CASTS, -1, -1)
        binding = bind(scene_of(script), script.prompt, self._tokenise)
        steps, guidance = int(random.choice(LAST_STEPS)), float(random.choice(GUIDANCE))
        schedule = FlowSchedule.build(STEPS, SHIFT).last(steps)
        noise = torch.from_numpy(random.standard_normal(truth.shape, dtype=np.float32))

        def clean(x: torch.Tensor, sigma: float, timestep: int, context: torch.Tensor) -> torch.Tensor:
            times = torch.full((MADE_CASTS,), float(timestep))
            velocity = relational_forward(
                self._network, x.to(self._dtype), times, context, references, binding, dense_attention
            )
            return x - sigma * velocity.float()

        def denoise(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:
            guided = clean(x, sigma, timestep, text)
            if guidance == 1:
                return guided
            unguided = clean(x, sigma, timestep, self._negative)
            return unguided + guidance * (guided - unguided)

        level = schedule.sigmas[0]
        return solve(denoise, (1 - level) * truth + level * noise, schedule.sigmas, schedule)


def write_made(path: Path, maker: LatentMaker, scripts: Iterable[int]) -> None:
    """Write what is made of scripts as NumPy float16 [scripts, MADE_CASTS, 16, FRAMES, h, w]."""
    made = np.stack([maker.make(script).half().numpy() for script in scripts])
    content = io.BytesIO()
    np.save(content, made)
    write_aside(path, content.getvalue())
