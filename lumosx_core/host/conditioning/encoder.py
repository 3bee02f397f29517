"""Prompt and scene to positive, negative and latent, through the host's CLIP and VAE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch

from ...models.lumosx.presence import Presence
from ...models.lumosx.sequence import Binding, SequenceLayout
from ...models.wan.config import WAN21_LATENT
from ...scene.binding import bind_prompt
from ...scene.prompt import negative_text
from ...scene.relations import Scene
from ...scene.report import encoding_report
from ...scene.view import encoding_view
from .encodings import Encodings
from .entries import with_references
from .pictures import SAME, reference_latents, unconditional_latents
from .scene import log_warnings
from .summary import summarise
from .tokens import ClipTokenizer
from .video_size import VideoSize


@dataclass(frozen=True)
class Encoded:
    """The outputs of LumosX Relational Encode, and what its panel shows."""

    positive: list
    negative: list
    latent: dict
    report: str
    view: dict[str, Any]


def encode_scene(
    clip: Any, vae: Any, scene: Scene, prompt: str, negative_prompt: str, size: VideoSize, unconditional: str = SAME,
    reuse: bool = False,
) -> Encoded:
    """Bind a scene to a prompt and encode both.

    Everything that can be wrong with phrases and sizes is found before any model is run.

    Args:
        clip: CLIP holding UMT5.
        vae: VAE of Wan2.1.
        scene: references and their phrases.
        prompt: text that contains every phrase.
        negative_prompt: text of the unconditional pass; the release's where it is empty.
        size: the video to make.
        unconditional: which references the negative gets; the release gives it the same ones.
        reuse: take encodings of earlier runs from ``encodings_folder`` and keep new ones there.

    Raises:
        LumosXError: a phrase that is not in the prompt, a text of more than 512 tokens, or another kind of CLIP or VAE.
    """
    tokenizer = ClipTokenizer(clip)
    bound = bind_prompt(tokenizer, scene, prompt)
    negative_prompt = negative_text(negative_prompt)
    negative_tokens = tokenizer.encoder_tokens(negative_prompt, "negative_prompt")
    binding, presence = Binding.of(bound), Presence.of(bound)
    layout = SequenceLayout(*WAN21_LATENT.token_grid(size.latent_shape), binding)
    summary = summarise(prompt, bound, negative_prompt, size, layout, vae)
    # What can be said without a prompt was logged where the scene was made.
    known = set(scene.warnings())
    log_warnings(warning for warning in summary.warnings if warning not in known)
    encodings = Encodings(reuse)
    # The VAE is done before the text encoder starts, so that neither is loaded twice.
    latents = reference_latents(encodings, vae, scene.references, size)
    negative_latents = unconditional_latents(encodings, vae, latents, size, unconditional)
    positive_tokens = tokenizer.encoder_tokens(prompt, "prompt")
    positive = with_references(encodings.text(clip, positive_tokens), latents, binding, presence)
    negative = with_references(encodings.text(clip, negative_tokens), negative_latents, binding, presence)
    samples = torch.zeros(size.latent_shape, device=comfy.model_management.intermediate_device())
    return Encoded(positive, negative, {"samples": samples}, encoding_report(summary), encoding_view(summary))
