"""A small Wan transformer of ComfyUI's with Lynx's adapters in its attention layers, for golden files and tests."""

from __future__ import annotations

from functools import partial

import torch

from lumosx_core.models.lynx import attention, folding, reference
from lumosx_core.models.lynx.attention import Addition, KeysValues
from lumosx_core.models.lynx.layers import LayerReader


def dense(q, k, v, heads):
    """ComfyUI's attention through PyTorch."""
    from comfy.ldm.modules.attention import attention_pytorch

    return attention_pytorch(q, k, v, heads)


def rotation(freqs, heads):
    """ComfyUI's rotary embedding as the core takes it."""
    from comfy.ldm.flux.math import apply_rope1

    return lambda x: apply_rope1(x.unflatten(-1, (heads, -1)), freqs).flatten(2)


def build(tensors: dict[str, torch.Tensor], case: dict, operations: str = "disable_weight_init") -> torch.nn.Module:
    """ComfyUI's WanModel in float32 with the weights of a golden file of Lynx, on some of ``comfy.ops``."""
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    model = WanModel(
        dim=case["heads"] * case["head_dim"], ffn_dim=case["ffn_dim"], freq_dim=case["freq_dim"],
        text_dim=case["text_dim"], num_heads=case["heads"], num_layers=case["layers"], cross_attn_norm=True,
        dtype=torch.float32, device="cpu", operations=getattr(comfy.ops, operations),
    )
    model.load_state_dict({
        name.removeprefix("base."): tensor for name, tensor in tensors.items() if name.startswith("base.")
    })
    return model.requires_grad_(False)


def put_in(model, id_additions=None, ref_additions=None, self_attention=attention.self_attention,
           cross_attention=attention.cross_attention):
    """Let a model's attention layers run the core's functions, with additions for each block."""
    for index, block in enumerate(model.blocks):
        refs, ids = (additions.get(index, []) for additions in (ref_additions or {}, id_additions or {}))
        block.self_attn.forward = partial(_self_forward, block.self_attn, self_attention, refs)
        block.cross_attn.forward = partial(_cross_forward, block.cross_attn, cross_attention, ids)
    return model


def _self_forward(layer, function, additions, x, freqs, transformer_options=None):
    return function(layer, x, rotation(freqs, layer.num_heads), dense, additions)


def _cross_forward(layer, function, additions, x, context, transformer_options=None, context_img_len=None):
    # Image tokens come before the text in models that have a branch for them.
    image_tokens = context_img_len if hasattr(layer, "k_img") else 0
    return function(layer, x, context, dense, additions, **({"image_tokens": image_tokens} if image_tokens else {}))


def features(model, latent, text):
    """The reference pass, every block's features."""
    freqs = model.rope_encode(*latent.shape[2:], dtype=torch.float32)
    rotate = rotation(freqs, model.blocks[0].self_attn.num_heads)
    return list(reference.reference_features(model, latent, text, rotate, dense))


def fold_ids(found, tokens, model, blocks=None):
    """Block to keys and values of the ID adapter."""
    projected = folding.project_identities(LayerReader(found), tokens)
    chosen = [pair for pair in projected if blocks is None or pair[0] in blocks]
    return folding.fold_identities(found.sizes.kind, chosen, [block.cross_attn.norm_k for block in model.blocks])


def fold_refs(found, block_features, model, blocks=None):
    """Block to keys and values of the reference adapter."""
    norms = [block.self_attn.norm_k for block in model.blocks]
    return folding.fold_references(LayerReader(found), block_features, norms, blocks)


def at_scale(folded: dict[int, KeysValues], scale: float, rows=None) -> dict[int, list[Addition]]:
    """Additions for a batch whose rows belong to these people; None: row b to person b."""
    return {
        block: [Addition(pair if rows is None else pair.of_rows(torch.tensor(rows)), scale)]
        for block, pair in folded.items()
    }
