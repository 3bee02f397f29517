"""A MODEL with the relational forward, as one diffusion-model wrapper on a clone."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import comfy.conds
import comfy.patcher_extension
import torch
from comfy.ldm.modules.attention import optimized_attention

from ...errors import LumosXError
from ...models.lumosx import RelationalOptions, relational_forward
from ...models.lumosx.negative import NegativeText
from ...models.lumosx.sequence import Binding, SequenceLayout
from ...models.wan.config import WAN21_LATENT
from ...models.wan.module import WanModule
from ..model.attention import others_override
from ..model.memory import UNLIMITED, SamplingMemory
from ..model.wrappers import put_wrappers
from ..sampling.caches import with_copied_input
from ..sampling.presence import at_step
from ..sampling.run import RunWrapper, check_forward, note_negative, note_question, tables_of
from ..socket import BINDING, READING, REFERENCES, TIMESTEP, MissingModelNode, RunsAlone

WRAPPER_KEY = "lumosx"
_PASS = "lumosx_pass"
_ATTENTION = ("q", "k", "v", "o", "norm_q", "norm_k")
_EXPECTED = (
    "patch_embedding", "text_embedding", "time_embedding", "time_projection", "head.head", "head.modulation",
    "num_heads", "freq_dim", "patch_size",
    *(f"blocks.0.{name}" for name in ("norm1", "norm2", "norm3", "ffn", "modulation")),
    *(f"blocks.0.{kind}.{name}" for kind in ("self_attn", "cross_attn") for name in _ATTENTION),
)
# Samplers hand noise levels down in float32.
_LEVEL_TOLERANCE = 1e-2


def relational_model(model: Any, options: RelationalOptions, vram_budget: float = 0.0) -> Any:
    """A clone of a MODEL that understands LumosX conditioning; without such conditioning it acts as before.

    Args:
        model: a ModelPatcher around any Wan2.1-T2V-shaped diffusion model, from any loader.
        options: the scientific constants.
        vram_budget: gigabytes for weights and activations together; 0 leaves it as it was, at first to ComfyUI.

    Raises:
        LumosXError: another kind of model, or a budget that cannot be kept.
    """
    _check_shape(model.get_model_object("diffusion_model"))
    kinds = comfy.patcher_extension.WrappersMP
    memory, negative = SamplingMemory.of_gigabytes(vram_budget), None
    for earlier in model.get_wrappers(kinds.DIFFUSION_MODEL, WRAPPER_KEY):
        # A loader's budget stays where a LumosX Model node behind it names none; and so does a negative text.
        memory, negative = memory if vram_budget else earlier.memory, earlier.negative
    clone = _without_dynamic_vram(model) if vram_budget else model.clone()
    # A second LumosX Model node replaces the first one's constants.
    put_wrappers(clone, WRAPPER_KEY, {
        kinds.OUTER_SAMPLE: RunWrapper(),
        kinds.DIFFUSION_MODEL: RelationalWrapper(options, memory, negative),
        kinds.CALC_COND_BATCH: PassesWrapper(memory),
        kinds.PREPARE_SAMPLING: memory.prepare,
    })
    return clone


def _without_dynamic_vram(model: Any) -> Any:
    """A clone that loads as much as it is asked to; newer hosts otherwise load weights until the card is full."""
    if not getattr(model, "is_dynamic", lambda: False)():
        return model.clone()
    if model.cached_patcher_init is None:
        raise LumosXError(
            "vram_budget: the loader of this model uses ComfyUI's dynamic VRAM, which has no limit; use LumosX Model "
            "Loader, or 0 for automatic."
        )
    return model.clone(disable_dynamic=True)


class RelationalWrapper:
    """Swaps the innermost forward for the relational one; holds constants, never weights or state."""

    def __init__(
        self, options: RelationalOptions, memory: SamplingMemory = UNLIMITED, negative: NegativeText | None = None
    ):
        self.options = options
        self.memory = memory
        self.negative = negative

    def __call__(
        self, executor, x, timestep, context, clip_fea=None, time_dim_concat=None, transformer_options={}, **kwargs
    ):
        kwargs.pop(_PASS, None)
        if self.negative is not None:
            note_negative(transformer_options, BINDING in kwargs)
        if BINDING not in kwargs:
            return executor(x, timestep, context, clip_fea, time_dim_concat, transformer_options, **kwargs)
        if isinstance(time_dim_concat, MissingModelNode):
            time_dim_concat = None

        def forward(
            x, timestep, context, clip_fea=None, time_dim_concat=None, transformer_options={}, **kwargs
        ):
            arguments = {**kwargs, "clip_fea": clip_fea, "time_dim_concat": time_dim_concat}
            check_forward(executor.class_obj, transformer_options, arguments, kwargs[REFERENCES], x.shape)
            return self._forward(executor.class_obj, x, timestep, context, transformer_options, kwargs)

        # Wrappers behind ours (EasyCache, other packs) still run around the relational forward.
        inner = type(executor).new_class_executor(forward, executor.class_obj, executor.wrappers, executor.idx)
        return inner(x, timestep, context, clip_fea, time_dim_concat, transformer_options, **kwargs)

    def _forward(
        self, model: WanModule, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor,
        transformer_options: dict, kwargs: dict,
    ) -> torch.Tensor:
        # Attention overrides of other nodes read these, as the stock forward of later versions sets them.
        options = {**transformer_options, "total_blocks": len(model.blocks), "block_index": 0}

        def dense(q, k, v, heads):
            return optimized_attention(q, k, v, heads=heads, transformer_options=options)

        reading = transformer_options.get(READING)
        if reading is not None:
            layout = SequenceLayout(*WAN21_LATENT.token_grid(x.shape), kwargs[BINDING])
            dense = reading.beside(dense, layout, lambda: options["block_index"], len(model.blocks))
        timestep = _whole_timestep(timestep, kwargs.get(TIMESTEP))
        return relational_forward(
            model, x, timestep, context, kwargs[REFERENCES], kwargs[BINDING], dense, self.options,
            _block_runner(options), tables_of(transformer_options),
            # Another node that overrides attention expects to see the cross-attention too.
            dense_text=others_override(transformer_options),
            chunk_tokens=self._chunk_tokens(model, x, kwargs[BINDING]), negative=self.negative,
        )

    @torch.compiler.disable
    def _chunk_tokens(self, model: WanModule, x: torch.Tensor, binding: Binding) -> int:
        return self.memory.chunk_tokens(model, x, binding)


class PassesWrapper:
    """Adds to every LumosX conditioning what it needs to know about the step, as conditions beside its references.

    Not as options: a compiled model may take options for constants, since ComfyUI drops the guards on them.
    """

    def __init__(self, memory: SamplingMemory):
        self.memory = memory

    def __call__(self, executor, model, conditions, x, sigma, model_options):
        note_question(model_options, conditions, x)
        conditions = at_step(conditions, sigma, model)
        step = {}
        if TIMESTEP in model_options:
            step[TIMESTEP] = comfy.conds.CONDRegular(torch.tensor([model_options[TIMESTEP]], device=x.device))
        apart = self.memory.runs_apart(model, x, conditions)
        alone = {_PASS: RunsAlone(True)} if apart else {}
        conditions = [
            entries and [_with_conditions(entry, step, alone) for entry in entries] for entries in conditions
        ]
        return executor(model, conditions, x, sigma, with_copied_input(model_options))


def _with_conditions(entry: Mapping[str, Any], ours: dict, all_kinds: dict) -> dict:
    held = entry.get("model_conds", {})
    return {**entry, "model_conds": {**held, **all_kinds, **(ours if BINDING in held else {})}}


def _whole_timestep(timestep: torch.Tensor, whole: torch.Tensor | None) -> torch.Tensor:
    """The release uses whole timesteps, ComfyUI's samplers 1000 * sigma; our sampler passes the timestep to use."""
    if whole is None:
        return timestep
    # A node that calls the model at a level of its own choice gets that level.
    ours = (timestep > whole - _LEVEL_TOLERANCE) & (timestep < whole + 1 + _LEVEL_TOLERANCE)
    return torch.where(ours, whole.to(timestep.dtype), timestep)


def _block_runner(transformer_options: dict):
    """Runs a block, or what another node put in its place (``patches_replace``, as SkipLayerGuidance does)."""
    replaced = transformer_options.get("patches_replace", {}).get("dit", {})

    def run(index, x, original):
        transformer_options["block_index"] = index
        replacement = replaced.get(("double_block", index))
        if replacement is None:
            return original(x)
        # Only the stream is offered: what else a stock block takes has another form here.
        arguments = {"img": x, "transformer_options": transformer_options}

        def original_block(args):
            # The other node may mix the outcome with what it gave, so the last block gives all rows back too.
            after = original(args["img"].clone())
            return {"img": torch.cat([after, args["img"][:, after.shape[1]:]], dim=1)}

        # A block writes to what it gets, which the other node may still want to use.
        return replacement(arguments, {"original_block": original_block})["img"].clone()

    return run


def _check_shape(diffusion_model: torch.nn.Module) -> None:
    missing = [name for name in _EXPECTED if not _has(diffusion_model, name)]
    kind = type(diffusion_model).__name__
    advice = "load LumosX weights, or any checkpoint with the shape of Wan2.1-T2V-1.3B."
    if missing:
        raise LumosXError(f"model: this is a {kind} without {missing[0]}, not a Wan2.1 text-to-video model; {advice}")
    channels = operator.attrgetter("patch_embedding.weight")(diffusion_model).shape[1]
    known = {name.partition(".")[0] for name in _EXPECTED}
    extra = [
        name for name, child in diffusion_model.named_children()
        if name not in known and next(child.parameters(), None) is not None
    ]
    if channels != WAN21_LATENT.channels or extra:
        found = f"{channels} input channels" if channels != WAN21_LATENT.channels else extra[0]
        raise LumosXError(f"model: this {kind} has {found}: an image, audio or control variant of Wan; {advice}")


def _has(module: Any, path: str) -> bool:
    try:
        operator.attrgetter(path)(module)
    except AttributeError:
        return False
    return True
