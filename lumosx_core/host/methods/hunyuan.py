"""What methods on a HunyuanVideo MODEL share: subjects out of a forward's arguments, and patches of its blocks."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from comfy.ldm.hunyuan_video.model import HunyuanVideo

from ...errors import LumosXError
from ...models.hunyuan.config import HUNYUAN_LATENT
from ..conditioning.polyvivid import ALONE, LATENTS, LAYOUT, MissingPolyVividNode, SubjectsLayout

Patch = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
"""What ComfyUI calls in a block's place: with the block's arguments, and with the block as ``original_block``."""
# What the stock forward takes from other methods, each of which changes the streams that a method was trained on.
_FOREIGN = ("ref_latent", "guiding_frame_index", "clip_fea", "txt_byt5")


class SharedByCopies:
    """Copies of a MODEL share it, and with it the weights."""

    def __deepcopy__(self, memo: dict) -> SharedByCopies:
        return self


class SubjectsForward(SharedByCopies, ABC):
    """A diffusion-model wrapper that acts where the conditioning carries subjects."""

    def __call__(self, executor, *arguments, **keywords):
        latents, subjects = keywords.pop(LATENTS, None), keywords.pop(LAYOUT, None)
        keywords.pop(ALONE, None)
        for name in MissingPolyVividNode.NAMES:
            if isinstance(keywords.get(name), MissingPolyVividNode):
                del keywords[name]
        bound = inspect.signature(executor.class_obj._forward).bind(*arguments, **keywords)
        bound.apply_defaults()
        values = bound.arguments
        if isinstance(values.get("ref_latent"), MissingPolyVividNode):
            values["ref_latent"] = None
        if latents is not None and self.works(values["transformer_options"]):
            foreign = next((name for name in _FOREIGN if values.get(name) is not None), None)
            if foreign is not None:
                raise LumosXError(
                    f"positive: it carries {foreign} of another method, which would be mixed with the subjects; link "
                    "LumosX PolyVivid Encode without nodes of other methods in between."
                )
            # One row: the host repeats lists over the batch.
            self.change(executor.class_obj, [latent[:1] for latent in latents], subjects, values)
        made = executor(*bound.args, **bound.kwargs)
        self.look_back(values)
        return made

    def look_back(self, values: Mapping[str, Any]) -> None:
        """Called with the arguments once the forward is over."""

    def works(self, transformer_options: Mapping[str, Any]) -> bool:
        """Whether it acts at this step."""
        return True

    @abstractmethod
    def change(
        self, model: HunyuanVideo, latents: Sequence[torch.Tensor], subjects: SubjectsLayout, values: dict[str, Any]
    ) -> None:
        """Change the arguments of the stock forward, in place.

        Args:
            latents: a picture for each subject, [1, 16, 1, h, w].
            values: the arguments by name.
        """


def with_patches(
    transformer_options: Mapping[str, Any], kind: str, indices: Iterable[int],
    make: Callable[[int, Patch | None], Patch],
) -> dict[str, Any]:
    """Options in which blocks are patched; what another node put in their place runs inside.

    Args:
        kind: ``double_block`` or ``single_block``.
        make: index and the other node's patch -> ours.
    """
    replaced = transformer_options.get("patches_replace", {})
    blocks = dict(replaced.get("dit", {}))
    for index in indices:
        blocks[kind, index] = make(index, blocks.get((kind, index)))
    return {**transformer_options, "patches_replace": {**replaced, "dit": blocks}}


def check_hunyuan(module: torch.nn.Module) -> None:
    """Refuse everything but HunyuanVideo's text-to-video model, and what has its shape.

    Raises:
        LumosXError: names what it is instead.
    """
    advice = "load a HunyuanVideo text-to-video model."
    if not isinstance(module, HunyuanVideo):
        raise LumosXError(f"model: this is a {type(module).__name__}, not a HunyuanVideo; {advice}")
    extra = [name for name in ("byt5_in", "vision_in", "time_r_in", "cond_type_embedding")
             if getattr(module, name, None) is not None]
    if extra or len(module.patch_size) != 3 or module.vector_in is None:
        raise LumosXError(f"model: this is another HunyuanVideo (1.5, or for pictures), not the first one; {advice}")
    if module.params.in_channels != HUNYUAN_LATENT.channels:
        raise LumosXError(
            f"model: it has {module.params.in_channels} input channels, so it is an image-to-video variant; {advice}"
        )
