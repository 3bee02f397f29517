"""Prompt and scene to positive, negative and latent, through the host's CLIP and VAE."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import comfy.latent_formats
import comfy.model_management
import comfy.utils
import torch
from PIL import Image

from ...errors import LumosXError
from ...media import from_image, letterbox, to_image
from ...models.lumosx.sequence import Binding, SequenceLayout, bind_scene
from ...models.wan.config import UMT5, WAN21_LATENT
from ...scene.phrases import PhraseMatch, Tokens, find_phrases
from ...scene.prompt import negative_text, tokenizer_text
from ...scene.relations import Reference, Scene
from ...scene.report import encoding_report
from ...scene.view import encoding_view
from ..pace import outlook_of
from ..socket import model_conditions
from ..weights.tiny import doubts
from .encodings import Encodings
from .scene import log_warnings

SMALLEST_SIDE, LARGEST_SIDE = 16, 8192
MOST_FRAMES = 1025

SAME, ZERO, WHITE = "same as positive", "zero latents", "white pictures"
UNCONDITIONAL = (SAME, ZERO, WHITE)


@dataclass(frozen=True)
class VideoSize:
    """The video to make, in pixels and frames.

    Raises:
        LumosXError: sizes that the VAE cannot hold: width and height go in steps of 8, frames are 4 n + 1.
    """

    width: int
    height: int
    frames: int
    batch: int = 1

    def __post_init__(self):
        for name in ("width", "height"):
            value = getattr(self, name)
            if not SMALLEST_SIDE <= value <= LARGEST_SIDE or not WAN21_LATENT.has_side(value):
                use = min(max(WAN21_LATENT.nearest_side(value), SMALLEST_SIDE), LARGEST_SIDE)
                raise LumosXError(
                    f"{name}: {value} is not a multiple of {WAN21_LATENT.pixel_stride} between {SMALLEST_SIDE} and "
                    f"{LARGEST_SIDE}; use {use}."
                )
        if not WAN21_LATENT.has_frames(self.frames) or self.frames > MOST_FRAMES:
            use = min(WAN21_LATENT.nearest_frames(self.frames), MOST_FRAMES)
            raise LumosXError(
                f"frames: {self.frames} is not {WAN21_LATENT.frame_stride} n + 1 from 1 to {MOST_FRAMES}; use {use}."
            )
        if self.batch < 1:
            raise LumosXError(f"batch_size: {self.batch} is below 1; use 1 or more.")

    @property
    def latent_shape(self) -> tuple[int, int, int, int, int]:
        """[batch, channels, frames, height, width] of the latent."""
        return WAN21_LATENT.shape(self.width, self.height, self.frames, self.batch)


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
    positive_tokens, text, matches = find_words(clip, scene, prompt)
    negative_prompt = negative_text(negative_prompt)
    negative_tokens = _tokenize(clip, negative_prompt, "negative_prompt")
    binding = bind_scene(scene, lambda word: matches[word].spans)
    layout = SequenceLayout(*WAN21_LATENT.token_grid(size.latent_shape), binding)
    findings = scene.findings(lambda word: matches[word].spans, (size.width, size.height))
    # What can be said without a prompt was logged where the scene was made.
    known = set(scene.warnings())
    unknown = doubts(vae, scene.references, size.width, size.height, size.frames)
    log_warnings([*(finding.text for finding in findings if finding.text not in known), *unknown])
    outlook = outlook_of(layout, size.batch)
    report = encoding_report(scene, matches, text, layout, findings, negative_prompt, outlook, unknown)
    view = encoding_view(
        prompt, scene, matches, text, layout, (size.width, size.height, size.frames), findings, outlook, unknown
    )
    encodings = Encodings(reuse)
    # The VAE is done before the text encoder starts, so that neither is loaded twice.
    latents = _encode_references(encodings, vae, scene.references, size)
    negative_latents = _unconditional_latents(encodings, vae, latents, size, unconditional)
    positive = _condition(encodings.text(clip, positive_tokens), latents, binding)
    negative = _condition(encodings.text(clip, negative_tokens), negative_latents, binding)
    samples = torch.zeros(size.latent_shape, device=comfy.model_management.intermediate_device())
    return Encoded(positive, negative, {"samples": samples}, report, view)


def find_words(clip: Any, scene: Scene, prompt: str) -> tuple[dict, Tokens, dict[Reference, PhraseMatch]]:
    """The prompt as the encoder takes it, as it can be read, and where the words of every reference are in it.

    Raises:
        LumosXError: a phrase that is not in the prompt, a prompt of more than 512 tokens, or another kind of CLIP.
    """
    tokens = _tokenize(clip, prompt, "prompt")
    text = readable_tokens(clip, tokens)
    phrases = [
        (readable_tokens(clip, clip.tokenize(tokenizer_text(word.phrase, word.source))), word.occurrence, word.source)
        for word in scene.words
    ]
    return tokens, text, dict(zip(scene.words, find_phrases(text, phrases)))


def _tokenize(clip: Any, text: str, source: str) -> dict:
    tokens = clip.tokenize(tokenizer_text(text, source))
    check_tokens(tokens, source)
    return tokens


def check_tokens(tokens: dict, source: str) -> None:
    """Refuse tokens of another encoder than UMT5, and more than the model reads.

    Raises:
        LumosXError: ``source`` is named for a text that is too long.
    """
    if UMT5.key not in tokens:
        found = ", ".join(tokens) or "nothing"
        raise LumosXError(
            f"clip: its tokens are for {found}, not for UMT5; take umt5_xxl_fp8_e4m3fn_scaled.safetensors in Load CLIP "
            "with type \"wan\", or load models_t5_umt5-xxl-enc-bf16.pth and other files in Wan's own names with LumosX "
            "Text Encoder Loader."
        )
    length = len(_ids(tokens)) + 1
    if length > UMT5.length:
        raise LumosXError(
            f"{source}: the text has {length} tokens, but the model reads {UMT5.length}; shorten it by about "
            f"{length - UMT5.length} tokens."
        )


def _ids(tokens: dict) -> list:
    """Token ids without the end token and what follows it; an embedding in the text counts as None."""
    chunks = tokens[UMT5.key]
    ids = [None if torch.is_tensor(token[0]) else token[0] for chunk in chunks for token in chunk]
    while ids and ids[-1] == UMT5.pad:
        ids.pop()
    return ids[:-1] if ids and ids[-1] == UMT5.end else ids


def readable_tokens(clip: Any, tokens: dict) -> Tokens:
    """What a CLIP made of a text, with the letters of each token."""
    ids = _ids(tokens)
    pieces = {}
    for (identity, _), piece in clip.tokenizer.untokenize([(token, 1.0) for token in set(ids) - {None}]):
        pieces[identity] = piece
    return Tokens(tuple(ids), tuple(pieces.get(token, " ") for token in ids))


def _encode_references(
    encodings: Encodings, vae: Any, references: tuple[Reference, ...], size: VideoSize
) -> list[torch.Tensor]:
    """Normalised latents, one [1, 16, 1, h, w] a reference."""
    progress = comfy.utils.ProgressBar(len(references))
    latents = []
    for reference in references:
        comfy.model_management.throw_exception_if_processing_interrupted()
        picture = letterbox(from_image(reference.image), size.width, size.height)
        latents.append(encodings.latent(vae, picture, partial(_encode_picture, vae, size)))
        progress.update(1)
    return latents


def _encode_picture(vae: Any, size: VideoSize, picture: Image.Image) -> torch.Tensor:
    """One picture a call: a batch would become a video."""
    latent = vae.encode(to_image(picture))
    wanted = WAN21_LATENT.shape(size.width, size.height, frames=1)
    if tuple(latent.shape) != wanted:
        raise LumosXError(
            f"vae: it makes latents of shape {tuple(latent.shape)} instead of {wanted}; load wan_2.1_vae.safetensors."
        )
    return comfy.latent_formats.Wan21().process_in(latent)


def _unconditional_latents(
    encodings: Encodings, vae: Any, latents: list[torch.Tensor], size: VideoSize, choice: str
) -> list[torch.Tensor]:
    if choice not in UNCONDITIONAL:
        raise LumosXError(
            f"unconditional_references: {choice!r} is not a choice; choose one of {', '.join(UNCONDITIONAL)}."
        )
    if choice == SAME:
        return latents
    if choice == ZERO:
        return [torch.zeros_like(latent) for latent in latents]
    picture = Image.new("RGB", (size.width, size.height), "white")
    return [encodings.latent(vae, picture, partial(_encode_picture, vae, size))] * len(latents)


def _condition(conditioning: list, latents: list[torch.Tensor], binding: Binding) -> list:
    extra = model_conditions(latents, binding)
    return [[text, {**options, "model_conds": {**options.get("model_conds", {}), **extra}}]
            for text, options in conditioning]
