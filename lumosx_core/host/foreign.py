"""What other nodes may have put onto a model or into a conditioning that the relational forward cannot honour."""

from __future__ import annotations

import torch

from ..errors import LumosXError

_PATCHES = ("attn1_patch", "attn2_patch", "double_block")
# Each with what to say of where it comes from.
_CONDITIONS = {
    "time_dim_concat": " (as from WanPhantomSubjectToVideo)",
    "clip_fea": " (an image encoder)",
    "reference_latent": "",
    "context_latents": "",
    "vace_context": " (VACE)",
}


def refuse_unsupported(model: torch.nn.Module, transformer_options: dict, conditions: dict) -> None:
    """Stop with a sentence instead of ignoring another node without a word.

    Args:
        model: the diffusion model, as it is patched right now.
        transformer_options: what nodes on the MODEL have set.
        conditions: what nodes on the CONDITIONING have set.

    Raises:
        LumosXError: the first thing found that would have no effect, or would undo relations.
    """
    patches = [name for name in _PATCHES if transformer_options.get("patches", {}).get(name)]
    if transformer_options.get("rope_options"):
        patches.append("rope_options")
    if patches:
        raise LumosXError(
            f"model: another node set {patches[0]} on it, which LumosX cannot honour; remove that node, or feed the "
            "sampler without it."
        )
    conflicting = [name for name in _CONDITIONS if conditions.get(name) is not None]
    if conflicting:
        name = conflicting[0]
        raise LumosXError(
            f"conditioning: it carries {name} of another method{_CONDITIONS[name]} besides LumosX's references; remove "
            "the node that adds it."
        )
    replaced = next((name for name in _replaceable(model) if not _has_own_forward(model.get_submodule(name))), None)
    if replaced is not None:
        raise LumosXError(
            f"model: another node replaced the forward of {replaced}, which would undo relations; remove that node "
            "(for SageAttention use one that sets an attention override)."
        )


def _replaceable(model: torch.nn.Module):
    for index in range(len(model.blocks)):
        for part in ("self_attn", "cross_attn", "ffn"):
            yield f"blocks.{index}.{part}"


def _has_own_forward(module: torch.nn.Module) -> bool:
    # Taking a patch off leaves the original as an attribute of the instance, so its mere presence says nothing.
    return getattr(module.forward, "__func__", None) is type(module).forward
