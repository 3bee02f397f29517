"""A HunyuanVideo MODEL with a PolyVivid adapter, as wrappers on a clone and an additional model of its patcher."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.patcher_extension
import folder_paths
import torch
from comfy.ldm.hunyuan_video.model import HunyuanVideo
from comfy.ldm.modules.attention import optimized_attention

from ...errors import LumosXError
from ...models.hunyuan.config import HUNYUAN_LATENT, HunyuanConfig
from ...models.polyvivid.adapter import PolyVividAdapter
from ...models.polyvivid.checkpoint import StoredAdapter, read_adapter
from ...models.polyvivid.config import MOST_LAYERS, RunOptions
from ...models.polyvivid.file_names import is_adapter
from ...models.polyvivid.forward import check_text, shared_of, subject_tokens, vec_shift_of, working_layers
from ...models.polyvivid.layer import LayerInputs, adapted_layer
from ...models.polyvivid.positions import TextLayout
from ...models.ranges import range_named
from ...tiny.trained import POLYVIVID
from ...weights.checksum import files_state
from ...weights.opening import open_weights
from ..conditioning.polyvivid import LATENTS, SubjectsLayout
from ..model.wrappers import put_wrappers
from ..sampling.caches import with_copied_input
from .hunyuan import Patch, SharedByCopies, SubjectsForward, check_hunyuan, with_patches

FOLDER = "model_patches"
SMALL = POLYVIVID.name
"""The adapter for the small HunyuanVideo, which ships with the pack."""
WRAPPER_KEY = "lumosx_polyvivid"
_OUTSIDE, _STREAM = "lumosx_polyvivid_outside", "lumosx_polyvivid_stream"
_KEPT = (torch.float32, torch.float16, torch.bfloat16)
_LONGEST_LAYERS = 400

_log = logging.getLogger("LumosX")


@dataclass(frozen=True)
class Part:
    """The part of a run in which the adapter works, in shares of it; both ends are included."""

    start: float = 0.0
    end: float = 1.0


def list_adapters() -> list[str]:
    """Names of the files in ComfyUI's models/model_patches, not all of them adapters; the pack's own comes last."""
    return [*(name for name in folder_paths.get_filename_list(FOLDER) if name != SMALL), SMALL]


def check_adapter(name: str) -> None:
    """Read what a file says of itself, and no weights.

    Raises:
        LumosXError: it is not there, or it is no PolyVivid adapter.
    """
    path = _path_of(name)
    if not is_adapter(open_weights(path).tensors):
        raise LumosXError(
            f"adapter: {name} is not a PolyVivid adapter, which has tensors named …interact… and …inject.fc.weight; "
            "choose another file."
        )


def adapter_fingerprint(name: str) -> str:
    """Changes whenever the file does."""
    return files_state([_path_of(name)])


def layers_of(text: str) -> frozenset[int] | None:
    """Layers from a text such as ``0-9, 12``; None for all, if it is empty.

    Raises:
        LumosXError: something else.
    """
    if not text.strip():
        return None
    found: set[int] = set()
    for part in re.split(r"[\s,;]+", text.strip()[:_LONGEST_LAYERS]):
        named = range_named(part, MOST_LAYERS)
        if named is None:
            raise LumosXError(
                f"layers: {part[:40]!r} is not a layer or a range from 0 to {MOST_LAYERS - 1}; type e.g. 0-9, 12, or "
                "nothing for all."
            )
        found.update(named)
    return frozenset(found)


def polyvivid_model(model: Any, name: str, options: RunOptions, part: Part) -> tuple[Any, str]:
    """A clone of a HunyuanVideo MODEL that reads subjects, and a report; without subjects it acts as before.

    Args:
        model: a ModelPatcher from any loader.
        name: a file of ``list_adapters``.

    Raises:
        LumosXError: another kind of model, a file that is no adapter or does not fit, or a part without a step.
    """
    module = model.get_model_object("diffusion_model")
    check_hunyuan(module)
    if part.start > part.end:
        raise LumosXError(
            f"start_percent: {part.start:g} is after end_percent, {part.end:g}, so no step is left; exchange them."
        )
    stored = read_adapter(open_weights(_path_of(name)))
    stored.config.check_fits(HunyuanConfig.of_module(module))
    working_layers(stored.config, options)
    adapter = _built(stored)
    patcher = comfy.model_patcher.ModelPatcher(
        adapter, load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    clone, kinds = model.clone(), comfy.patcher_extension.WrappersMP
    clone.set_additional_models(WRAPPER_KEY, [patcher])
    # A second node replaces the first one's adapter.
    put_wrappers(clone, WRAPPER_KEY, {
        kinds.DIFFUSION_MODEL: SubjectsWrapper(adapter, options), kinds.CALC_COND_BATCH: PartWrapper(part),
    })
    return clone, _report(name, stored, options, part)


class SubjectsWrapper(SubjectsForward):
    """Runs the adapter around the double blocks, if the conditioning carries subjects."""

    def __init__(self, adapter: PolyVividAdapter, options: RunOptions) -> None:
        self.adapter, self.options = adapter, options
        self.layers = working_layers(adapter.config, options)
        self._said: set[str] = set()
        self._ran = False

    def works(self, transformer_options: Mapping[str, Any]) -> bool:
        """Not outside its part of the run."""
        return not transformer_options.get(_OUTSIDE)

    def change(
        self, model: HunyuanVideo, latents: Sequence[torch.Tensor], subjects: SubjectsLayout, values: dict[str, Any]
    ) -> None:
        """The adapter around what runs in each block's place."""
        config, x, timesteps = self.adapter.config, values["x"], values["timestep"]
        check_text(subjects.layout, values["context"].shape[1])
        self._say_sizes(latents, subjects.layout)
        options = values["transformer_options"]
        if options.get("patches", {}).get("attn1_output_patch"):
            self._say(
                "model: another node changes what the attention gives (attn1_output_patch), as NAGuidance does; with "
                "subjects positive and negative run one after the other, so a node that compares them has no effect."
            )

        def attend(q, k, v, heads):
            return optimized_attention(q, k, v, heads=heads, transformer_options=options)

        shared = shared_of(
            config, HunyuanConfig.of_module(model), subjects.layout, latents, x,
            vec_shift_of(model, config, timesteps, x.dtype), self.options, attend,
        )
        stream = _Stream(subject_tokens(model, latents, x.shape[0]))
        patched = with_patches(
            options, "double_block", self.layers, lambda index, inner: self._patch(model, index, shared, stream, inner)
        )
        values["transformer_options"] = {**patched, _STREAM: stream}

    def look_back(self, values: Mapping[str, Any]) -> None:
        """Some nodes compute the blocks in a forward of their own; those that skip steps do not skip the first."""
        stream = values["transformer_options"].get(_STREAM)
        if stream is None or not self.layers:
            return
        self._ran = self._ran or stream.used
        if not self._ran:
            self._say(
                "no block of the model ran, so the subjects have no effect: another node computes the blocks itself; "
                "leave it out."
            )

    def _patch(
        self, model: HunyuanVideo, index: int, shared: LayerInputs, stream: _Stream, inner: Patch | None
    ) -> Patch:
        """What runs in a block's place: the adapter around the block, or around another node's patch of it."""
        def patch(arguments, extra):
            def base(img, txt):
                changed = {**arguments, "img": img, "txt": txt}
                out = extra["original_block"](changed) if inner is None else inner(changed, extra)
                return out["img"], out["txt"]

            stream.used = True
            stream.tokens, img, txt = adapted_layer(
                self.adapter.layer(index), model.double_blocks[index], shared, stream.tokens, arguments["img"],
                arguments["txt"], arguments["vec"], base,
            )
            return {"img": img, "txt": txt}

        return patch

    def _say_sizes(self, latents: Sequence[torch.Tensor], layout: TextLayout) -> None:
        trained = self.adapter.config.image_grid
        for rows, columns in {grid for grid in layout.image_grids if grid is not None} - {trained}:
            self._say(
                f"clip_vision: it makes {rows} x {columns} tokens of a picture, but the adapter was trained with "
                f"{trained[0]} x {trained[1]}; link the vision model that it was trained with."
            )
        sides = {side for latent in latents for side in HUNYUAN_LATENT.pixels(latent.shape)}
        if sides != {self.adapter.config.ref_size}:
            self._say(
                f"picture_side: the pictures are {sorted(sides)} pixels wide or high, but the adapter was trained with "
                f"{self.adapter.config.ref_size}."
            )

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            _log.warning("LumosX PolyVivid: %s", sentence)


class PartWrapper(SharedByCopies):
    """Tells the forward whether a step is in the part of the run in which the adapter works."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._warned = False

    def __call__(self, executor, model, conditions, x, sigma, model_options):
        held = [entry.get("model_conds", {}) for entries in conditions for entry in entries or ()]
        if any(LATENTS in conds for conds in held):
            model_options = with_copied_input(model_options)
        elif not self._warned:
            self._warned = True
            _log.warning(
                "LumosX PolyVivid: the conditioning holds no subjects, so the adapter has no effect; link LumosX "
                "PolyVivid Encode with relations."
            )
        if not self._holds(model.model_sampling, float(sigma.max())):
            options = {**model_options.get("transformer_options", {}), _OUTSIDE: True}
            model_options = {**model_options, "transformer_options": options}
        return executor(model, conditions, x, sigma, model_options)

    def _holds(self, sampling: Any, sigma: float) -> bool:
        first, last = (float(sampling.percent_to_sigma(one)) for one in (self.part.start, self.part.end))
        # Samplers hand noise levels down in float32.
        room = 1e-6 * max(1.0, sigma)
        return last - room <= sigma <= first + room


class _Stream:
    """The subjects' tokens on their way through the layers of one forward."""

    def __init__(self, tokens: torch.Tensor) -> None:
        self.tokens = tokens
        self.used = False


def _path_of(name: str) -> Path:
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None and name == SMALL:
        return POLYVIVID
    if path is None:
        raise LumosXError(
            f"adapter: {name!r} is not in ComfyUI's models/{FOLDER}; put it there and press R. No public weights of "
            "PolyVivid are known: train an adapter with python -m lumosx_core.training polyvivid."
        )
    return Path(path)


def _built(stored: StoredAdapter) -> PolyVividAdapter:
    """The adapter's module in the dtype of its file, whose layers ComfyUI can load in part."""
    kinds = {tensor.dtype for tensor in stored.tensors.values()}
    dtype = kinds.pop() if len(kinds) == 1 else torch.bfloat16
    adapter = stored.build(comfy.ops.manual_cast.Linear, dtype if dtype in _KEPT else torch.bfloat16)
    return adapter.train(False).requires_grad_(False)


def _report(name: str, stored: StoredAdapter, options: RunOptions, part: Part) -> str:
    config = stored.config
    layers = sorted(working_layers(config, options))
    size = sum(tensor.numel() * tensor.element_size() for tensor in stored.tensors.values())
    lines = [
        f"{name}: rank {config.rank}, layers {_ranges(config.layers)}, {size / 1e6:.0f} MB.",
        f"Works in layers {_ranges(layers)}, from {part.start:g} to {part.end:g} of the run, with an injection of "
        f"{options.strength:g}.",
        f"Trained for pictures of {config.ref_size} pixels, negative subjects: "
        f"{'white pictures' if config.cfg_mode == 'white' else 'same as positive'}.",
    ]
    if not options.strength:
        lines.append("With strength 0 the injection is off, but text and pictures still see each other.")
    return "\n".join(lines)


def _ranges(layers: Sequence[int]) -> str:
    """For example 0-9, 12."""
    found: list[list[int]] = []
    for layer in layers:
        if found and layer == found[-1][-1] + 1:
            found[-1].append(layer)
        else:
            found.append([layer])
    return ", ".join(f"{one[0]}-{one[-1]}" if len(one) > 1 else str(one[0]) for one in found) or "none"
