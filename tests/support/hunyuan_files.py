"""A small HunyuanVideo and a PolyVivid adapter for it, as real files that ComfyUI's own loader reads."""

import torch
from safetensors.torch import save_file

from lumosx_core.models.hunyuan.config import HunyuanConfig
from lumosx_core.models.hunyuan.network import HunyuanNetwork
from lumosx_core.models.polyvivid.adapter import PolyVividAdapter
from lumosx_core.models.polyvivid.checkpoint import write_adapter
from lumosx_core.models.polyvivid.config import AdapterConfig

# ComfyUI takes heads of 128 channels, these axes and 768 numbers of pooled text for granted.
SMALL = HunyuanConfig(
    hidden_size=128, num_heads=1, axes_dim=(16, 56, 56), depth=2, depth_single_blocks=1, context_in_dim=48,
    vec_in_dim=768, guidance_embed=True,
)
RANK = 4
SIGMA, SCALE = 0.6, 0.476986
"""The noise level that tests look at, and what ComfyUI multiplies HunyuanVideo's latents by."""


def filled(module, seed, scale=1.0):
    """The module with random numbers in every parameter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if name.endswith("scale"):
                parameter.copy_(1 + 0.1 * drawn)
            else:
                parameter.copy_(drawn * scale * max(1, parameter[0].numel()) ** -0.5)
    return module.requires_grad_(False)


def small_network(seed=0):
    """The base model in plain PyTorch."""
    with torch.inference_mode(False):
        return filled(HunyuanNetwork(SMALL), seed)


def small_adapter(seed=1, rank=RANK, **settings):
    """An adapter with random weights."""
    config = AdapterConfig.for_base(SMALL, rank, ref_size=64, **settings)
    with torch.inference_mode(False):
        return filled(PolyVividAdapter(config), seed)


def write_base(path, network):
    """The base model as a file of ComfyUI's diffusion_models."""
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


def write_small_adapter(path, adapter=None, dtype=None):
    """An adapter as a file of ComfyUI's model_patches."""
    write_adapter(path, small_adapter() if adapter is None else adapter, dtype)
    return path


def velocity(model, conditioning, noise, sigma=SIGMA):
    """What a MODEL says at one noise level, from one step of ComfyUI's Euler sampler."""
    import comfy.sample
    import comfy.samplers

    made = comfy.sample.sample_custom(
        model, noise, 1.0, comfy.samplers.sampler_object("euler"), torch.tensor([sigma, 0.0]), conditioning,
        conditioning, torch.zeros_like(noise), disable_pbar=True, seed=0,
    )
    return noise - made * SCALE / sigma
