"""What other nodes may have put onto a model that the relational forward cannot honour."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ...errors import LumosXError
from ...models.wan.module import WanModule
from ..conditioning.scene import log_warnings

_CONDITIONS = {
    "time_dim_concat": " (as from WanPhantomSubjectToVideo)",
    "clip_fea": " (an image encoder)",
    "reference_latent": "",
    "context_latents": "",
    "vace_context": " (VACE)",
    "control": " (a ControlNet)",
}
# Modules that the relational forward calls, so that a replacement of them has its effect.
_USED = re.compile(
    r"(patch_embedding|text_embedding|time_embedding|time_projection|num_heads|freq_dim|patch_size"
    r"|head\.(head|norm|modulation)"
    r"|blocks\.\d+\.(norm[123]|ffn|modulation|(self|cross)_attn\.(q|k|v|o|norm_q|norm_k|num_heads)))(\.|$)"
)
# The node that is known for an option, and what to use in its place.
_KNOWN_OPTIONS = {
    "attn1_output_patch": (
        " (as Normalized Attention Guidance does)", "use LumosX Negative at CFG 1 in its place, or remove that node"
    ),
}
_REMOVE = "remove that node, or connect the sampler without it"
# Packs that cache steps put their own copy here; the result without it is still right.
_STOCK_FORWARDS = ("forward_orig", "_forward")


def refuse_patches(patcher: Any) -> None:
    """Stop before the model is loaded, if a node on the MODEL put something in a place that is not looked at.

    Args:
        patcher: a ModelPatcher.

    Raises:
        LumosXError: the first such place.
    """
    for name, value in patcher.object_patches.items():
        root, _, path = name.partition(".")
        # The model's own forward must be called, or ours is not.
        if root != "diffusion_model" or path in ("", "forward", *_STOCK_FORWARDS) or _USED.match(path):
            continue
        if _computes(path.rpartition(".")[2]) and not _is_own(value):
            raise _replaced(path, value)
    _refuse_option(patcher.model_options.get("transformer_options", {}))


def refuse_unsupported(
    model: WanModule, transformer_options: Mapping[str, Any], conditions: Mapping[str, Any], said: set[str]
) -> None:
    """Raise an error instead of silently ignoring another node.

    Args:
        model: the diffusion model, as it is patched right now.
        transformer_options: what nodes on the MODEL have set.
        conditions: what the host and other nodes hand to the forward beside LumosX's own.
        said: what this run has logged already; it is added to.

    Raises:
        LumosXError: the first thing found that would have no effect, or would undo relations.
    """
    _refuse_option(transformer_options)
    conflicting = [name for name in _CONDITIONS if conditions.get(name) is not None]
    if conflicting:
        name = conflicting[0]
        raise LumosXError(
            f"conditioning: it carries {name} of another method{_CONDITIONS[name]} besides LumosX's references; remove "
            "the node that adds it."
        )
    for path, value in _replaced_parts(model):
        if path not in _STOCK_FORWARDS:
            raise _replaced(path, value)
        if path not in said:
            log_warnings([
                f"model: another node replaced {path} (as TeaCache and MagCache do), which has no effect on a video "
                "with references; remove that node, or use ComfyUI's EasyCache instead."
            ])
        said.add(path)


def _refuse_option(transformer_options: Mapping[str, Any]) -> None:
    option = _unused_option(transformer_options)
    if option is not None:
        known, advice = _KNOWN_OPTIONS.get(option, ("", _REMOVE))
        raise LumosXError(f"model: another node set {option} on it{known}, which LumosX does not support; {advice}.")


def _unused_option(transformer_options: Mapping[str, Any]) -> str | None:
    patches = [name for name, functions in transformer_options.get("patches", {}).items() if functions]
    # Blocks are replaced under "dit".
    patches += [
        name for name, places in transformer_options.get("patches_replace", {}).items() if places and name != "dit"
    ]
    if transformer_options.get("rope_options"):
        patches.append("rope_options")
    return patches[0] if patches else None


def _replaced_parts(model: WanModule) -> Iterator[tuple[str, Any]]:
    """(place, what is there now) for everything that is not the host's own, among what the forward does not use."""
    yield from _replaced_methods("", model)
    rotary = getattr(model, "rope_embedder", None)
    if rotary is not None:
        if _origin(type(rotary)) not in ("comfy", _origin(type(model))):
            yield "rope_embedder", rotary
        yield from _replaced_methods("rope_embedder.", rotary)
    for index, block in enumerate(model.blocks):
        block = getattr(block, "_orig_mod", block)
        if not hasattr(block, "self_attn"):
            yield f"blocks.{index}", block
            return
        yield from _replaced_methods(f"blocks.{index}.", block)
        for name in ("self_attn", "cross_attn"):
            yield from _replaced_methods(f"blocks.{index}.{name}.", getattr(block, name))
    yield from _replaced_methods("head.", model.head)


def _replaced_methods(prefix: str, module: object) -> Iterator[tuple[str, Any]]:
    """Methods that an instance has instead of those of its class."""
    module = getattr(module, "_orig_mod", module)
    for name, value in vars(module).items():
        stock = inspect.getattr_static(type(module), name, None)
        # A model's own forward was called, or ours would not be.
        looked_at = inspect.isfunction(stock) and _computes(name) and (prefix or name != "forward")
        if looked_at and not _is_own(value, stock):
            yield prefix + name, value


def _computes(name: str) -> bool:
    """Whether a method may be part of what a module computes, not of how it is moved, saved or listed."""
    return name == "forward" or not hasattr(torch.nn.Module, name)


def _is_own(value: Any, stock: Any = None) -> bool:
    """Whether something is the host's own, perhaps compiled; taking a patch off leaves it as an attribute."""
    if hasattr(value, "_orig_mod"):
        return True
    function = getattr(getattr(value, "_torchdynamo_orig_callable", value), "__func__", None)
    if stock is None:
        stock = getattr(type(getattr(value, "__self__", None)), getattr(function, "__name__", ""), None)
    return function is not None and function is stock


def _replaced(path: str, value: Any) -> LumosXError:
    part, _, method = path.rpartition(".")
    kind = part.rpartition(".")[2]
    if path.startswith("rope_embedder"):
        return LumosXError(
            "model: another node replaced rope_embedder (as RifleX does), but LumosX uses its own positions for "
            "video and references, so it would have no effect; remove that node."
        )
    if method != "forward" or kind not in ("self_attn", "cross_attn"):
        return LumosXError(
            f"model: another node replaced {path}, which a model with references does not use, so it would have no "
            "effect; remove that node, or connect the sampler without it."
        )
    if "sage" in f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}".lower():
        advice = "choose SageAttention in LumosX Attention, or use a node that sets an attention override"
    elif kind == "cross_attn":
        advice = (
            "NAG and similar nodes cannot be used; use LumosX Negative at CFG 1, or cfg above 1"
        )
    else:
        advice = (
            "Enhance-A-Video and similar nodes cannot be used; to change how attention is computed, use LumosX "
            "Attention"
        )
    return LumosXError(
        f"model: another node replaced the forward of {part}, which would undo relations; remove that node ({advice})."
    )


def _origin(kind: type) -> str:
    return kind.__module__.partition(".")[0]
