"""Where a finished video reads its references: a few forwards on the video with noise added again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import torch

from ...errors import LumosXError, shown
from ...models.lumosx.presence import Presence
from ...models.lumosx.reading import Reading
from ...models.lynx.choice import ALL, parse_block_numbers
from ...models.wan.config import WAN21_LATENT
from ..socket import BINDING, PRESENCE, READING, held_conditions
from .latents import fitting_samples

DEEP = "deep"
MOST_LEVELS, MOST_BLOCKS = 16, 512


@dataclass(frozen=True)
class MapPlan:
    """How to look.

    Attributes:
        levels: noise levels in (0, 1], each one forward.
        blocks: the blocks to look at; None: the last two fifths.
        seed: of the noise.
    """

    levels: tuple[float, ...] = (0.7,)
    blocks: frozenset[int] | None = None
    seed: int = 0


def parse_levels(text: str) -> tuple[float, ...]:
    """The noise levels in a text such as "0.9, 0.7".

    Raises:
        LumosXError: anything but 1 to ``MOST_LEVELS`` numbers above 0 and at most 1.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        levels = tuple(map(float, parts))
    except ValueError:
        levels = ()
    if not 1 <= len(levels) <= MOST_LEVELS or not all(0 < level <= 1 for level in levels):
        raise LumosXError(
            f"noise_levels: \"{shown(text[:40])}\" must be 1 to {MOST_LEVELS} numbers above 0 and at most 1, with "
            "commas between them, such as 0.9, 0.7."
        )
    return levels


def parse_blocks(text: str) -> frozenset[int] | None:
    """The blocks that a text names: "deep" or nothing (None), "all", or numbers and ranges.

    Raises:
        LumosXError: anything else.
    """
    if text.strip().lower() in ("", DEEP):
        return None
    if text.strip().lower() == ALL:
        return frozenset(range(MOST_BLOCKS))
    return parse_block_numbers("blocks", text)


def references_of(positive: list) -> int:
    """How many pictures a conditioning has.

    Raises:
        LumosXError: none.
    """
    return _conditions(positive)[BINDING].cond.references


def _conditions(positive: list) -> Mapping[str, Any]:
    held = held_conditions(positive)
    if not held:
        raise LumosXError("positive: it contains no references; link the positive output of LumosX Relational Encode.")
    return held


def relation_map(model: Any, positive: list, latent: dict, plan: MapPlan) -> torch.Tensor:
    """How much of each video token's attention goes to each reference.

    Args:
        model: a MODEL with the relational forward.
        positive: output of LumosX Relational Encode.
        latent: LATENT of a finished video; it is not changed.
        plan: how to look.

    Returns:
        [batch, references, frames, rows, columns] float32, in token order, one number for each token of the video.

    Raises:
        LumosXError: no references, a latent that the model cannot take, or no chosen block that the model has.
    """
    held = _conditions(positive)
    samples = fitting_samples(model, latent)
    presence: Presence | None = held[PRESENCE].cond if PRESENCE in held else None
    references = held[BINDING].cond.references
    reading = Reading(references, plan.blocks)
    clone = model.clone()
    clone.model_options = {
        **clone.model_options,
        "transformer_options": {**clone.model_options.get("transformer_options", {}), READING: reading},
    }
    sampling = clone.get_model_object("model_sampling")

    def enter(sigma: float) -> None:
        if presence is None:
            reading.places = range(references)
        else:
            now = presence.at(sigma, lambda share: float(sampling.percent_to_sigma(share)))
            reading.places = presence.pictures(now)

    noise = comfy.sample.prepare_noise(samples, plan.seed, latent.get("batch_index"))
    comfy.sample.sample_custom(
        clone, noise, 1.0, _Forwards(plan.levels, enter), torch.tensor([*plan.levels, 0.0]), positive, positive,
        samples, disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=plan.seed,
        callback=_progress(len(plan.levels)),
    )
    found = reading.mean()
    if found is None:
        raise LumosXError(
            "blocks: none of them was seen; the model has fewer blocks, another node (such as a cache) skipped the "
            "forward, or no reference acts at these noise levels. Use other blocks or noise_levels."
        )
    return found.unflatten(-1, WAN21_LATENT.token_grid(samples.shape))


def _progress(steps: int) -> Callable[..., None]:
    bar = comfy.utils.ProgressBar(steps)
    return lambda step, denoised, x, total: bar.update_absolute(step + 1, steps)


class _Forwards(comfy.samplers.Sampler):
    """Instead of sampling: one forward at each noise level, on the finished latent with that much noise."""

    def __init__(self, levels: tuple[float, ...], enter: Callable[[float], None]) -> None:
        self._levels, self._enter = levels, enter

    def sample(  # pyrefly: ignore[bad-override] ComfyUI's own samplers take these, its base class anything.
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False
    ):
        """The latent as it is; see ComfyUI's ``Sampler``."""
        sampling = model_wrap.inner_model.model_sampling
        for step, level in enumerate(self._levels):
            sigma = torch.tensor(level, device=noise.device, dtype=torch.float32)
            x = sampling.noise_scaling(sigma, noise, latent_image)
            self._enter(level)
            denoised = model_wrap(x, sigma.expand(len(x)), **extra_args)
            if callback is not None:
                callback(step, denoised, x, len(self._levels))
        return latent_image
