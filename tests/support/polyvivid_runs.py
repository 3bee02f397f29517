"""Runs of the small HunyuanVideo with an adapter through ComfyUI's sampler, beside the same from our own network."""

import comfy.sd
import torch

from lumosx_core.host.conditioning.polyvivid import with_subjects
from lumosx_core.models.attention import dense_attention
from lumosx_core.models.polyvivid.config import RunOptions
from lumosx_core.models.polyvivid.forward import polyvivid_forward
from lumosx_core.models.polyvivid.positions import TextLayout
from support import hunyuan_files
from support.hunyuan_files import SIGMA, small_adapter

LAYOUT = TextLayout((7, 3), ((2, 2), (2, 2)), 2)


def random(*shape, seed):
    """Standard normal numbers that depend on nothing but the seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


NOISE = random(1, 16, 2, 8, 6, seed=1)
CONTEXT, POOLED = random(1, LAYOUT.tokens, 48, seed=2), random(1, 768, seed=3)
LATENTS = [random(1, 16, 1, 8, 8, seed=seed) for seed in (4, 5)]


def positive(latents=LATENTS, layout=LAYOUT, context=CONTEXT):
    """CONDITIONING with subjects; without any for ``latents=()``."""
    entry = [context, {"pooled_output": POOLED}]
    return [with_subjects(entry, list(latents), layout) if latents else entry]


def load(path, **options):
    """A MODEL from ComfyUI's own loader."""
    with torch.inference_mode(False):
        return comfy.sd.load_diffusion_model(str(path), model_options=options)


def velocity(model, conditioning, sigma=SIGMA, noise=NOISE):
    """What a MODEL says at one noise level."""
    return hunyuan_files.velocity(model, conditioning, noise, sigma)


def reference(network, adapter=None, options=RunOptions(), noise=NOISE, attend=dense_attention):  # noqa: B008
    """The same from our own network, which the golden files judge."""
    return denoise(network, SIGMA * noise, SIGMA, adapter, options, attend)


def denoise(
    network, x, sigma, adapter=None, options=RunOptions(), attend=dense_attention,  # noqa: B008
    latents=LATENTS, layout=LAYOUT, context=CONTEXT,
):
    """The velocity of a noisy video, from our own network."""
    with torch.no_grad():
        return polyvivid_forward(
            network, adapter or small_adapter(), x, torch.full((len(x),), 1000 * sigma),
            context.expand(len(x), -1, -1), POOLED.expand(len(x), -1), torch.full((len(x),), 6.0), latents, layout,
            options, attend,
        )


def distance(found, expected):
    """How far apart two results are, relative to the second."""
    return ((found - expected).norm() / expected.norm()).item()


def close(found, expected, bound=1e-4):
    """Whether they are nearer than that."""
    return distance(found, expected) < bound
