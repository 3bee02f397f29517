"""Lynx on a MODEL: a clone with wrappers. Nothing is written into the transformer, and no adapter stays in memory."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.patcher_extension
import comfy.samplers
import torch

from ...errors import LumosXError
from ...models.latents import token_grid
from ...models.lynx.adapters import ID_LAYERS, REF_LAYERS, LynxPerson
from ...models.lynx.attention import Addition, KeysValues
from ...models.lynx.identity import NOBODY, PERSON
from ...models.lynx.sizes import AdapterSizes, check_base
from ...models.lynx.window import Window
from ...models.wan.config import WanConfig
from ..conditioning.scene import log_warnings
from ..model.memory import computing_dtype
from ..model.wrappers import put_wrappers
from ..socket import BINDING, LYNX_BRANCH, LYNX_WRAPPER, MissingLynxNode
from .lynx_branches import image_scale_of, mark_conditioning, mark_unmarked, rows_of, with_three_branches
from .lynx_folds import Folded, Folds, HostWan
from .lynx_layers import added
from .lynx_regions import region_of_tokens
from .lynx_run import RUN, LynxRun, run_of

_COMPILED = "torch.compile"
_ATTENTION = ("q", "k", "v", "o", "norm_q", "norm_k", "num_heads")
_KINDS = comfy.patcher_extension.WrappersMP


@dataclass(frozen=True, eq=False)
class Appearance:
    """How a person appears in a video.

    Attributes:
        id_scale, ref_scale: how strongly the adapters act; at 0 an adapter is off.
        start_percent, end_percent: the steps in which they act, as shares of the way from noise to video.
        blocks: the blocks in which they act; None for all.
        region: where they act, [1 or frames, height, width] in [0, 1]; None for everywhere. Untrained.
        rows: videos of the batch in which they act, from 0; None for all.
    """

    id_scale: float = 1.0
    ref_scale: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    blocks: frozenset[int] | None = None
    region: torch.Tensor | None = None
    rows: frozenset[int] | None = None

    def check(self) -> None:
        """Raises LumosXError if the end comes before the start, so that the person would never appear."""
        if self.start_percent > self.end_percent:
            raise LumosXError(
                f"end_percent: {self.end_percent:g} is before start_percent ({self.start_percent:g}), so the person "
                "would never appear; use a larger end or a smaller start."
            )


@dataclass(frozen=True, eq=False)
class AttachedPerson:
    """One person on one MODEL.

    Attributes:
        folds: what the adapters become.
        blocks: ``ID_LAYERS`` and ``REF_LAYERS`` to the blocks in which they act.
        appearance: how the person appears.
    """

    folds: Folds
    blocks: Mapping[str, frozenset[int]]
    appearance: Appearance


def lynx_model(model: Any, person: LynxPerson, appearance: Appearance) -> Any:
    """A clone of a MODEL that makes videos with a person; people of earlier LumosX Lynx nodes stay.

    Args:
        model: a ModelPatcher around any Wan model of the width and depth that the adapters are made for.
        person: who.
        appearance: how.

    Raises:
        LumosXError: another kind of model, adapters for another size, a block that has no adapter, or nothing to add.
    """
    appearance.check()
    blocks = _blocks(model.get_model_object("diffusion_model"), person, appearance)
    earlier = lynx_wrapper(model)
    people = (*(earlier.people if earlier else ()), AttachedPerson(Folds.of(person), blocks, appearance))
    clone = model.clone()
    put_wrappers(clone, LYNX_WRAPPER, {
        _KINDS.OUTER_SAMPLE: LynxRunWrapper(people), _KINDS.DIFFUSION_MODEL: LynxWrapper(people),
        _KINDS.PREPARE_SAMPLING: _with_room_for_shares,
    })
    return clone


def lynx_wrapper(model: Any) -> LynxWrapper | None:
    """What LumosX Lynx has put onto a MODEL."""
    return next(iter(model.get_wrappers(_KINDS.DIFFUSION_MODEL, LYNX_WRAPPER)), None)


def lynx_guidance(
    model: Any, positive: Sequence[Any], negative: Sequence[Any], image_scale: float
) -> tuple[Any, list, list, list]:
    """Guidance by image and by text.

    Args:
        model: a MODEL with Lynx.
        positive, negative: CONDITIONINGs.
        image_scale: s_i of v_u + s_i (v_i - v_u) + s_t (v_c - v_i); at 1 the third branch is not computed.

    Returns:
        The MODEL, for samplers with one cfg (s_t); positive and negative with the person; the negative with nobody,
        which DualCFGGuider takes as its negative.

    Raises:
        LumosXError: no LumosX Lynx is on the model.
    """
    if lynx_wrapper(model) is None:
        raise LumosXError(
            "model: no LumosX Lynx is on it, so there is nobody to guide towards; link the model through LumosX Lynx "
            "first."
        )
    clone = model.clone()
    clone.model_options = with_three_branches(clone.model_options, image_scale)
    return (
        clone, mark_conditioning(positive, PERSON), mark_conditioning(negative, PERSON),
        mark_conditioning(negative, NOBODY),
    )


def _with_room_for_shares(executor, patcher, noise_shape, conds, *arguments, **options):
    """A PREPARE_SAMPLING wrapper: the host's estimate has to hold a share for every token besides its own."""
    model = patcher.model
    if len(noise_shape) != 5:
        # Newer hosts pack latents of several kinds into one row of numbers.
        return executor(patcher, noise_shape, conds, *arguments, **options)
    width = _config_of(model.diffusion_model).dim
    batch, channels, frames, *size = noise_shape
    tokens = batch * math.prod(token_grid(noise_shape, model.diffusion_model.patch_size))
    needed = model.memory_required(noise_shape)
    share = tokens * width * computing_dtype(model).itemsize / max(1, needed)
    # The estimate is in proportion to the frames.
    shape = [batch, channels, math.ceil(frames * (1 + share)), *size]
    return executor(patcher, shape, conds, *arguments, **options)


class LynxRunWrapper:
    """An OUTER_SAMPLE wrapper: looks at a run before the model is loaded, and says which conditioning has whom."""

    def __init__(self, people: Sequence[AttachedPerson]) -> None:
        self.people = people

    def __call__(self, executor, noise, latent_image, sampler, sigmas, *arguments, **options):
        """Raises LumosXError for what cannot be honoured."""
        guider = executor.class_obj
        patcher, model_options = guider.model_patcher, guider.model_options
        self._refuse(guider)
        plain = type(guider).predict_noise is comfy.samplers.CFGGuider.predict_noise
        # With three branches a plain guider gets nobody from the function that the guidance put onto the model.
        image_scale = image_scale_of(model_options) if plain else None
        guider.conds = mark_unmarked(guider.conds, NOBODY if image_scale is None else PERSON)
        alone = plain and math.isclose(guider.cfg, 1.0)
        computed = {name: entries for name, entries in guider.conds.items() if not (alone and name == "negative")}
        rows = rows_of(computed) | ({NOBODY} if image_scale not in (None, 1) and not alone else set())
        sampling = patcher.get_model_object("model_sampling")
        windows = [
            Window(*(sampling.percent_to_sigma(percent) for percent in (one.start_percent, one.end_percent)))
            for one in (role.appearance for role in self.people)
        ]
        run = LynxRun((patcher.patches_uuid, id(patcher.model)), windows, frozenset(rows), noise.shape[2])
        transformer_options = {**model_options.get("transformer_options", {}), RUN: run}
        guider.model_options = {**model_options, "transformer_options": transformer_options}
        with _uncompiled(patcher):
            return executor(noise, latent_image, sampler, sigmas, *arguments, **options)

    def _refuse(self, guider: Any) -> None:
        for name, entries in guider.conds.items():
            if any(BINDING in entry.get("model_conds", {}) for entry in entries):
                raise LumosXError(
                    f"{name}: it carries references of LumosX Relational Encode, which do not work together with "
                    "LumosX Lynx; encode the prompt with CLIP Text Encode, or remove LumosX Lynx."
                )
        if guider.model_patcher.hook_patches and any(role.blocks[REF_LAYERS] for role in self.people):
            raise LumosXError(
                "positive: it carries LoRA hooks, which change weights between steps, while Lynx's reference features "
                "are made once a run; load the LoRA onto the model, or set ref_scale of LumosX Lynx to 0."
            )


class LynxWrapper:
    """A DIFFUSION_MODEL wrapper: the adapters' shares are in the forward while it runs."""

    def __init__(self, people: Sequence[AttachedPerson]) -> None:
        self.people = people

    def __call__(
        self, executor, x, timestep, context, clip_fea=None, time_dim_concat=None, transformer_options={}, **kwargs
    ):
        mark, run = kwargs.pop(LYNX_BRANCH, None), run_of(transformer_options)
        if isinstance(time_dim_concat, MissingLynxNode):
            time_dim_concat = None
        with contextlib.ExitStack() as stack:
            if mark is not None and run is not None:
                self._put_in(stack, executor.class_obj, x, mark, run, transformer_options)
            return executor(x, timestep, context, clip_fea, time_dim_concat, transformer_options, **kwargs)

    def _put_in(
        self, stack: contextlib.ExitStack, model: HostWan, x: torch.Tensor, mark: torch.Tensor, run: LynxRun,
        options: dict,
    ) -> None:
        """x is [batch, channels, frames, height, width], mark [batch, 1]."""
        sigma = float(options["sigmas"].max())
        wanted = [int(row) for row in mark.flatten().tolist()]
        additions: dict[str, dict[int, list[Addition]]] = {ID_LAYERS: {}, REF_LAYERS: {}}
        for role, window in zip(self.people, run.windows):
            if not window.holds(sigma):
                continue
            appearance = role.appearance
            mask = region_of_tokens(appearance.region, appearance.rows, model, x, run, options)
            for part, scale in ((ID_LAYERS, appearance.id_scale), (REF_LAYERS, appearance.ref_scale)):
                if not role.blocks[part]:
                    continue
                folded = role.folds.find(part, model, run.key, run.rows | set(wanted), x)
                for block in role.blocks[part]:
                    addition = Addition(_of_rows(folded.pairs[block], folded, wanted), scale, mask)
                    additions[part].setdefault(block, []).append(addition)
        if any(additions.values()):
            stack.enter_context(added(model, additions[ID_LAYERS], additions[REF_LAYERS]))


def _of_rows(pair: KeysValues, folded: Folded, wanted: Sequence[int]) -> KeysValues:
    """Keys and values for a batch; one row where all of it has the same."""
    places = [folded.rows.index(row) for row in wanted]
    if len(set(places)) > 1:
        return pair.of_rows(torch.tensor(places))
    one = slice(places[0], places[0] + 1)
    return KeysValues(pair.keys[one], pair.values[one])


def _blocks(diffusion_model: object, person: LynxPerson, appearance: Appearance) -> dict[str, frozenset[int]]:
    """In which blocks each adapter acts.

    Raises:
        LumosXError: see ``lynx_model``.
    """
    config = _config_of(diffusion_model)
    blocks = config.num_layers
    sizes = _layers_of(person)
    if not sizes:
        raise LumosXError(
            "identity: it has neither ID layers nor reference layers, so it would have no effect; choose their files "
            "in LumosX Lynx Loader."
        )
    for one in sizes.values():
        check_base(one, config)
    chosen = frozenset(range(blocks)) if appearance.blocks is None else appearance.blocks
    if chosen - set(range(blocks)):
        raise LumosXError(f"blocks: the model has blocks 0 to {blocks - 1}, but {max(chosen)} is named; name others.")
    return {
        part: chosen & frozenset(sizes[part].blocks if part in sizes and scale else ())
        for part, scale in ((ID_LAYERS, appearance.id_scale), (REF_LAYERS, appearance.ref_scale))
    }


def _layers_of(person: LynxPerson) -> dict[str, AdapterSizes]:
    """The adapters that can act for a person: those whose keys and values it brings along, and those in files."""
    identity, adapters = person.identity, person.adapters
    id_layers, ref_layers = adapters.layers(ID_LAYERS), adapters.layers(REF_LAYERS)
    found = {}
    if identity.projected is not None:
        keys = next(iter(identity.projected.values())).keys
        found[ID_LAYERS] = AdapterSizes(
            identity.kind, identity.tokens.shape[2], keys.shape[2], keys.shape[1] - identity.tokens.shape[1],
            tuple(identity.projected),
        )
    elif id_layers is not None:
        found[ID_LAYERS] = id_layers
    if ref_layers is not None and identity.reference is not None:
        found[REF_LAYERS] = ref_layers
    return found


def _config_of(model: object) -> WanConfig:
    """The sizes of a Wan transformer."""
    blocks = getattr(model, "blocks", None) or ()
    plain = [getattr(block, "_orig_mod", block) for block in blocks]
    for block in plain:
        for layer in (getattr(block, "self_attn", None), getattr(block, "cross_attn", None)):
            if not all(hasattr(layer, name) for name in _ATTENTION):
                plain = []
    if not plain or not hasattr(model, "rope_encode"):
        raise LumosXError(f"model: this is a {type(model).__name__}, not a Wan model; load a Wan 14B model.")
    return WanConfig.of_module(model)


@contextlib.contextmanager
def _uncompiled(patcher: Any):
    """Compiled code does not notice hooks that come and go, so a compiled MODEL runs as it is."""
    by_nodes = patcher.get_wrappers(_KINDS.APPLY_MODEL, _COMPILED)
    if not by_nodes and not any(hasattr(value, "_orig_mod") for value in patcher.object_patches.values()):
        yield
        return
    if not hasattr(torch.compiler, "set_stance"):
        raise LumosXError(
            "model: LumosX Lynx and torch.compile work together from PyTorch 2.6 on; update PyTorch, or remove the "
            "node that compiles."
        )
    log_warnings(["model: torch.compile has no effect on a model with LumosX Lynx, which runs as it is."])
    with torch.compiler.set_stance("force_eager"):
        yield
