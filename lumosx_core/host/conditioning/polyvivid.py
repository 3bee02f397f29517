"""Prompt and scene to PolyVivid's conditioning, through llava_llama3, its vision model and HunyuanVideo's VAE."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar

import comfy.conds
import comfy.latent_formats
import comfy.model_management
import torch
from PIL import Image

from ...errors import LumosXError
from ...media import letterbox, pil_from_tensor, tensor_from_pil
from ...models.hunyuan.config import HUNYUAN_LATENT
from ...models.polyvivid.positions import IMAGE_GRID, Grid, TextLayout
from ...models.polyvivid.subjects import check_words, subjects_of, subjects_report, warnings_of
from ...models.polyvivid.template import IMAGE_ID, TemplateTokens, tokenize_template
from ...scene.relations import Scene
from ..socket import MissingModelNode, RunsAlone
from .scene import log_warnings

LATENTS, LAYOUT, ALONE = "polyvivid_latents", "polyvivid_layout", "polyvivid_pass"
SAME, WHITE = "same as positive", "white pictures"
NEGATIVE_SUBJECTS = (SAME, WHITE)
VISION_SIDE = 336
"""Pixels of LLaVA's square pictures."""
PICTURE_STEP = 16
_SIDES = ("picture_width", "picture_height")
_KEY = "llama"
_KNOWN = ("A man", [32, 893])
"""A text and its ids: some versions of transformers lose the spaces."""


@dataclass(frozen=True)
class SubjectsLayout:
    """What travels with the latents.

    Attributes:
        layout: of the text stream.
        white: whether the subjects' pictures are white, as in a negative.
    """

    layout: TextLayout
    white: bool = False


class MissingPolyVividNode(MissingModelNode):
    """As its base, for a HunyuanVideo without a LumosX PolyVivid node, which looks for one reference, and for a Wan."""

    NAME: ClassVar[str] = "ref_latent"
    NAMES: ClassVar[tuple[str, ...]] = (NAME, MissingModelNode.NAME)

    SENTENCE: ClassVar[str] = (
        "model: it does not know PolyVivid's conditioning, so every subject would be ignored; load HunyuanVideo, and "
        "put a LumosX PolyVivid node (or LumosX HunyuanCustom) between the model loader and the sampler."
    )


@dataclass(frozen=True)
class PolyVividEncoded:
    """The outputs of LumosX PolyVivid Encode."""

    positive: list
    negative: list
    report: str


def encode_subjects(
    clip: Any, clip_vision: Any, vae: Any, scene: Scene | None, prompt: str, negative_prompt: str,
    size: int | tuple[int, int], negative_subjects: str = SAME,
) -> PolyVividEncoded:
    """Encode a prompt with the subjects of a scene; without any it is what ComfyUI's own encoder gives.

    Args:
        clip: CLIP of HunyuanVideo: clip_l and llava_llama3.
        clip_vision, vae: llava_llama3_vision and HunyuanVideo's VAE; not used without subjects.
        size: pixels of the white square that each picture is fitted into for the VAE, or width and height.
        negative_subjects: one of NEGATIVE_SUBJECTS.

    Raises:
        LumosXError: words that the prompt does not have, another kind of CLIP, vision model or VAE, or a bad size.
    """
    check_kind(clip)
    size = (size, size) if isinstance(size, int) else size
    _check_choices(size, negative_subjects)
    subjects = subjects_of(scene)
    check_words(prompt, scene)
    if not subjects:
        warnings = warnings_of(scene, subjects)
        log_warnings(warnings)
        return PolyVividEncoded(
            plain_text(clip, prompt), plain_text(clip, negative_prompt), subjects_report((), None, warnings)
        )
    words = [one.word for one in subjects]
    tokens = tokenize_template(tokenizer_of(clip), prompt, words, [picture_grid(clip_vision)] * len(words))
    warnings = warnings_of(scene, subjects, tokens)
    log_warnings(warnings)
    pictures = [pil_from_tensor(one.image) for one in subjects]
    # Vision model and VAE are done before the text encoder starts, so that none is loaded twice.
    features = [picture_features(clip_vision, picture, clip) for picture in pictures]
    latents = [picture_latent(vae, picture, *size) for picture in pictures]
    white = negative_subjects == WHITE
    unwanted = latents
    if white:
        unwanted = [picture_latent(vae, Image.new("RGB", (1, 1), "white"), *size)] * len(latents)
    positive = encode_template(clip, prompt, tokens, features)
    negative = [
        with_subjects(entry, unwanted, TextLayout.without_images(entry[0].shape[1], len(subjects)), white)
        for entry in plain_text(clip, negative_prompt)
    ]
    return PolyVividEncoded(
        [with_subjects(entry, latents, tokens.layout) for entry in positive], negative,
        subjects_report(subjects, tokens, warnings),
    )


def check_kind(clip: Any) -> None:
    """Refuse text encoders that are not HunyuanVideo's.

    Raises:
        LumosXError: names the files to load.
    """
    model = getattr(clip, "cond_stage_model", None)
    if not all(hasattr(model, name) for name in ("llama", "clip_l")) or not hasattr(clip.tokenizer, "llama"):
        raise LumosXError(
            "clip: it is not HunyuanVideo's; load clip_l.safetensors and llava_llama3_fp8_scaled.safetensors with "
            "DualCLIPLoader and the type hunyuan_video."
        )


def tokenizer_of(clip: Any):
    """A function from a text with control tokens to LLaVA's ids, without ComfyUI's weights and embeddings.

    Raises:
        LumosXError: it loses spaces.
    """
    tokenizer = clip.tokenizer.llama.tokenizer

    def tokenize(text: str) -> list[int]:
        return list(tokenizer(text)["input_ids"])

    text, ids = _KNOWN
    if tokenize(text)[1:] != ids:
        raise LumosXError(
            f"clip: its tokenizer makes {tokenize(text)[1:]} of \"{text}\" instead of {ids}, as some versions of "
            "transformers do; install another version of transformers, or update ComfyUI."
        )
    return tokenize


def encode_template(clip: Any, prompt: str, tokens: TemplateTokens, features: list[torch.Tensor]) -> list:
    """CONDITIONING of a whole template; ComfyUI's own encoder would end at the separator.

    Args:
        tokens: of the template.
        features: what stands for each ``<image>``, [positions, hidden].

    Raises:
        LumosXError: CLIP is to be encoded for several parts of the run.
    """
    if clip.use_clip_schedule and clip.patcher.forced_hooks is not None:
        raise LumosXError(
            "clip: a hook changes it during the run (schedule_clip), which PolyVivid's encoder cannot follow; set "
            "schedule_clip to false."
        )
    pictures = iter(features)
    pairs = [
        ({"type": "embedding", "data": next(pictures), "original_type": "image"} if one == IMAGE_ID else one, 1.0)
        for one in tokens.ids
    ]
    model = clip.cond_stage_model
    model.reset_clip_options()
    if clip.layer_idx is not None:
        model.set_clip_options({"layer": clip.layer_idx})
    clip.load_model()
    hidden, _, extra = model.llama.encode_token_weights([pairs])
    _, pooled = model.clip_l.encode_token_weights(clip.tokenize(prompt)["l"])[:2]
    hidden = hidden[:, tokens.crop_start:]
    mask = extra.get("attention_mask")
    options = {"pooled_output": pooled}
    if mask is not None and not mask[:, tokens.crop_start:].all():
        raise LumosXError("prompt: it contains the text encoder's padding token; write it differently.")
    if hidden.shape[1] != tokens.length:
        raise LumosXError(
            f"clip: it made {hidden.shape[1]} of {tokens.length} positions, so something was cut; load llava_llama3 "
            "with the type hunyuan_video."
        )
    clip.add_hooks_to_dict(options)
    return [[hidden, options]]


def picture_size(side: int, width: int, height: int) -> tuple[int, int]:
    """The size of the subjects' pictures: the square, unless width and height are given.

    Raises:
        LumosXError: only one of them is.
    """
    if bool(width) != bool(height):
        raise LumosXError(
            f"picture_{'height' if width else 'width'}: it is 0, but the other is {width or height}; set both, or "
            "neither for a square."
        )
    return (width, height) if width else (side, side)


def _check_choices(size: tuple[int, int], negative_subjects: str) -> None:
    for name, pixels in zip(_SIDES if size[0] != size[1] else ("picture_side",) * 2, size):
        if not PICTURE_STEP <= pixels <= 2048 or pixels % PICTURE_STEP:
            raise LumosXError(f"{name}: {pixels} is not a multiple of 16 from 16 to 2048; use 384.")
    if negative_subjects not in NEGATIVE_SUBJECTS:
        raise LumosXError(
            f"negative_subjects: {negative_subjects!r} is not a choice; choose one of {', '.join(NEGATIVE_SUBJECTS)}."
        )


def plain_text(clip: Any, text: str) -> list:
    """CONDITIONING of a text as ComfyUI encodes it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def picture_grid(clip_vision: Any) -> Grid:
    """Rows and columns of the tokens that a vision model makes of a picture; LLaVA's where it is no such model."""
    try:
        places = clip_vision.model.vision_model.embeddings.position_embedding.weight.shape[0]
    except AttributeError:
        return IMAGE_GRID
    # The first of them is the whole picture's.
    side = isqrt(places - 1)
    return side, side


def picture_features(clip_vision: Any, picture: Image.Image, clip: Any) -> torch.Tensor:
    """What LLaVA reads in place of ``<image>``, [tokens of ``picture_grid``, hidden]."""
    if clip_vision is None:
        raise LumosXError(
            "clip_vision: nothing is linked, but there are subjects; link Load CLIP Vision with "
            "llava_llama3_vision.safetensors."
        )
    comfy.model_management.throw_exception_if_processing_interrupted()
    square = tensor_from_pil(letterbox(picture, VISION_SIDE, VISION_SIDE))
    found = getattr(clip_vision.encode_image(square, crop=False), "mm_projected", None)
    width = clip.cond_stage_model.llama.transformer.get_input_embeddings().weight.shape[1]
    rows, columns = picture_grid(clip_vision)
    wanted = (1, rows * columns, width)
    if found is None or tuple(found.shape) != wanted:
        shape = "no image tokens for LLaVA" if found is None else f"image tokens of shape {tuple(found.shape)}"
        raise LumosXError(
            f"clip_vision: it makes {shape} where {wanted} is needed; load llava_llama3_vision.safetensors."
        )
    return found[0]


def picture_latent(vae: Any, picture: Image.Image, width: int, height: int) -> torch.Tensor:
    """[1, 16, 1, height / 8, width / 8], scaled as the video's latents are."""
    if vae is None:
        raise LumosXError("vae: nothing is linked, but there are subjects; link HunyuanVideo's VAE.")
    comfy.model_management.throw_exception_if_processing_interrupted()
    latent = vae.encode(tensor_from_pil(letterbox(picture, width, height)))
    wanted = HUNYUAN_LATENT.shape(width, height, 1)
    if tuple(latent.shape) != wanted:
        raise LumosXError(
            f"vae: it makes latents of shape {tuple(latent.shape)} instead of {wanted}; load "
            "hunyuan_video_vae_bf16.safetensors."
        )
    return comfy.latent_formats.HunyuanVideo().process_in(latent)


def with_subjects(entry: list, latents: list[torch.Tensor], layout: TextLayout, white: bool = False) -> list:
    """An entry of a CONDITIONING with its subjects.

    Args:
        latents: a picture for each subject, [1, 16, 1, h, w], scaled as the video's latents are.
        layout: of the entry's text.
        white: whether the pictures are white.
    """
    text, options = entry
    conditions = {
        # A list, not one tensor: context windows cut any tensor whose size happens to be the number of frames.
        LATENTS: comfy.conds.CONDList(latents),
        LAYOUT: comfy.conds.CONDConstant(SubjectsLayout(layout, white)),
        ALONE: RunsAlone(True),
        **{name: comfy.conds.CONDConstant(MissingPolyVividNode()) for name in MissingPolyVividNode.NAMES},
    }
    return [text, {**options, "model_conds": {**options.get("model_conds", {}), **conditions}}]
