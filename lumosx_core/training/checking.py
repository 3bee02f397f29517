"""How well a network in training tells who wears what, on scenes it never trains on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import torch

from ..models.lumosx import relational_forward
from ..models.lumosx.sequence import Binding
from ..models.wan.config import WAN21_LATENT
from ..models.wan.module import WanModule
from ..sampling.solvers import FlowSchedule, solve
from ..tiny.codec import FRAMES_PER_LATENT, Codec, denormalised, pictures_of
from ..tiny.world.cast import DrawnFace, Split
from ..tiny.world.clip import Cast, draw_cast
from ..tiny.world.measure import FACE, Measured, measure_clip, measure_face
from ..tiny.world.relations import scene_of
from ..tiny.world.script import Script, draw_script
from .examples import Encode, Tokenise, bind, encode_references
from .flow import training_attention

STEPS, SHIFT = 10, 5.0
CASTS, FRAMES = 8, 3
PEOPLE = (2, 2, 2, 3, 3)
"""People of each script that is checked."""


def decode_frames(latent: torch.Tensor, codec: Codec) -> np.ndarray:
    """The video RGB [F, H, W, 3], 0..255 float32, that a codec decodes of a normalised latent [16, frames, h, w]."""
    with torch.no_grad():
        return pictures_of(codec.decode(denormalised(latent.float()[None]))[0])


def measured(
    script: Script, cast: Cast, other: Cast, latent: torch.Tensor, codec: Codec
) -> Measured:
    """What ``measure_clip`` finds in the last video frame of each latent frame of a normalised latent."""
    return measure_clip(script, cast, other, *_seen(latent, codec))


def face_is_own(
    script: Script, cast: Cast, others: Sequence[DrawnFace], latent: torch.Tensor, codec: Codec
) -> bool:
    """Whether ``measure_face`` finds the right face in the last video frame of each latent frame."""
    return measure_face(script, cast, others, *_seen(latent, codec)).is_own


def _seen(latent: torch.Tensor, codec: Codec) -> tuple[np.ndarray, range, int]:
    """The last video frame of each latent frame, their numbers, and the length of the video."""
    video = decode_frames(latent, codec)
    seen = range(0, len(video), FRAMES_PER_LATENT)
    return video[seen], seen, len(video)


class WorldCheck:
    """Called, it samples a few scripts of the validation world and says how often each place shows its owner's.

    Args:
        network: what is trained.
        codec: of its latents.
        tokenise, encode: the text side.
        dtype, device: to compute in.
    """

    def __init__(
        self, network: WanModule, codec: Codec, tokenise: Tokenise, encode: Encode, dtype: torch.dtype,
        device: torch.device,
    ):
        self._network, self._codec, self._dtype, self._device = network, codec, dtype, device
        self._scenes = [self._scene(number, people, tokenise, encode) for number, people in enumerate(PEOPLE)]

    def _scene(self, number: int, people: int, tokenise: Tokenise, encode: Encode) -> tuple:
        random = np.random.default_rng([99, number])
        script = draw_script(random, people, colour_words=False, same_kinds=True, drop=False)
        casts = [draw_cast(random, script, Split.VALIDATION) for _ in range(CASTS)]
        references = encode_references(self._codec, random, [script] * CASTS, casts)
        return script, casts, references, encode(script.prompt), bind(scene_of(script), script.prompt, tokenise)

    @torch.no_grad()
    def __call__(self) -> dict[str, float]:
        shares = defaultdict(list)
        for script, casts, references, context, binding in self._scenes:
            latents = self._sample(references, context, binding)
            for number, (cast, latent) in enumerate(zip(casts, latents)):
                self._add(shares, script, cast, casts[number - 1], latent)
        return {name: fmean(found) for name, found in sorted(shares.items())}

    def _sample(self, references: list[torch.Tensor], context: torch.Tensor, binding: Binding) -> torch.Tensor:
        schedule = FlowSchedule.build(STEPS, SHIFT)
        shape = (CASTS, WAN21_LATENT.channels, FRAMES, *references[0].shape[-2:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(5)).to(self._device)
        text = context.to(self._device, self._dtype).expand(CASTS, -1, -1)
        pictures = [reference.to(self._device, self._dtype) for reference in references]

        def denoise(x: torch.Tensor, sigma: float, timestep: int) -> torch.Tensor:
            times = torch.full((CASTS,), float(timestep), device=self._device)
            velocity = relational_forward(
                self._network, x.to(self._dtype), times, text, pictures, binding, training_attention
            )
            return x - sigma * velocity.float()

        return solve(denoise, noise, schedule.sigmas, schedule).cpu()

    def _add(self, shares: dict[str, list], script: Script, cast: Cast, other: Cast, latent: torch.Tensor) -> None:
        found = measured(script, cast, other, latent, self._codec)
        for place in found.places:
            kind = "faces" if place.kind == FACE else "worn things"
            shares[f"{kind} of {len(script.roles)}, own"].append(float(place.is_own))
        for name, fidelity in (("background", found.background), ("thing", found.thing)):
            if fidelity is not None:
                shares[f"{name}, colour error"].append(fidelity.own)
