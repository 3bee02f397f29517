"""ComfyUI's HunyuanVideo at any size, alone and with a PolyVivid adapter around its blocks."""

from __future__ import annotations

from dataclasses import asdict
from inspect import signature

import torch

from lumosx_core.models.hunyuan.config import HunyuanConfig
from lumosx_core.models.polyvivid.config import RunOptions
from lumosx_core.models.polyvivid.forward import shared_of, subject_tokens, vec_shift_of, working_layers
from lumosx_core.models.polyvivid.layer import adapted_layer


def hunyuan_model(config: HunyuanConfig, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """ComfyUI's own HunyuanVideo in float32; the weights' norms may be named as in 0.3.75 also on newer hosts."""
    import comfy.ops
    from comfy.ldm.hunyuan_video.model import HunyuanVideo, HunyuanVideoParams

    absent = {
        "byt5": False, "meanflow": False, "meanflow_sum": False, "use_cond_type_embedding": False, "vision_in_dim": None
    }
    settings = {**asdict(config), **absent, "qkv_bias": True, "patch_size": list(config.patch_size)}
    settings = {name: settings[name] for name in signature(HunyuanVideoParams).parameters}
    model = HunyuanVideo(
        **settings, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init
    )
    names = model.state_dict()
    model.load_state_dict({
        name if name in names else name.removesuffix("scale") + "weight": value for name, value in weights.items()
    })
    return model.requires_grad_(False)


def attend(q, k, v, heads):
    """ComfyUI's attention for PyTorch, as a DenseAttention."""
    from comfy.ldm.modules.attention import attention_pytorch

    return attention_pytorch(q, k, v, heads)


def velocity(model, x, timesteps, context, pooled, guidance, options=None):
    """ComfyUI's forward."""
    return model(
        x.clone(), timesteps, context, pooled, guidance=guidance, transformer_options={} if options is None else options
    )


def adapted_velocity(
    model, adapter, x, timesteps, context, pooled, guidance, latents, layout, options=RunOptions()  # noqa: B008
):
    """ComfyUI's forward with the adapter in its block patches."""
    config, base = adapter.config, HunyuanConfig.of_module(model)
    vec_shift = vec_shift_of(model, config, timesteps, x.dtype)
    shared = shared_of(config, base, layout, latents, x, vec_shift, options, attend)
    state = {"z_i": subject_tokens(model, latents, x.shape[0])}

    def patch_of(index):
        def patch(args, extra):
            def run(img, txt):
                out = extra["original_block"]({**args, "img": img, "txt": txt})
                return out["img"], out["txt"]

            state["z_i"], img, txt = adapted_layer(
                adapter.layer(index), model.double_blocks[index], shared, state["z_i"], args["img"], args["txt"],
                args["vec"], run,
            )
            return {"img": img, "txt": txt}

        return patch

    patches = {("double_block", index): patch_of(index) for index in working_layers(config, options)}
    return velocity(model, x, timesteps, context, pooled, guidance, {"patches_replace": {"dit": patches}})
