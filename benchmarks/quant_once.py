"""Load one weight file as LumosX Model Loader does, run the relational forward, and print figures as JSON."""

import json
import os
import sys
import time

import torch
from safetensors.torch import save_file

from benchmarks.machine import peak, reset_peak
from lumosx_core.models.lumosx.sequence import Binding
from lumosx_core.models.wan.config import UMT5, WAN21_LATENT
from tools import in_process
from tools.server import needs_cpu_flag

FORWARDS = 5
SIZES = {"tiny": (3, 24, 40), "full": (1, 8, 8)}
"""Latent frames, height and width. The real model is slow on a CPU, so it gets a small picture."""


def inputs(frames, height, width):
    """Fixed random inputs with two people of two pictures each, a background and an object."""
    generator = torch.Generator().manual_seed(7)
    binding = Binding(
        non_human_spans=(((20, 22),), ((30, 31),)),
        subject_spans=(((1, 3), (5, 7)), ((10, 12),)),
        subject_images=(2, 2),
    )
    channels = WAN21_LATENT.channels
    latent = torch.randn(1, channels, frames, height, width, generator=generator)
    references = [torch.randn(1, channels, 1, height, width, generator=generator) for _ in range(binding.references)]
    return latent, torch.randn(1, UMT5.length, UMT5.width, generator=generator), references, binding


def main(file, weight_dtype, output, shape):
    """Measure; the velocity goes to OUTPUT."""
    in_process.prepare(os.environ["LUMOSX_TEST_COMFYUI"], needs_cpu_flag())
    import comfy.model_management
    from comfy.ldm.modules.attention import optimized_attention

    from lumosx_core.host.weights.loader import load_patcher
    from lumosx_core.models.lumosx import relational_forward

    before = reset_peak()
    start = time.perf_counter()
    patcher = load_patcher(file, weight_dtype)
    comfy.model_management.load_models_gpu([patcher])
    load_seconds = time.perf_counter() - start
    loaded = None if before is None else peak() - before
    model = patcher.model
    latent, context, references, binding = inputs(*SIZES[shape])
    place = {"device": patcher.load_device, "dtype": model.manual_cast_dtype or model.get_dtype()}
    latent, context, *references = (tensor.to(**place) for tensor in (latent, context, *references))
    timestep = torch.tensor([600.0], device=patcher.load_device)
    seconds = []
    with torch.inference_mode():
        for _ in range(FORWARDS):
            start = time.perf_counter()
            velocity = relational_forward(
                model.diffusion_model, latent, timestep, context, references, binding, optimized_attention
            ).float().cpu()
            seconds.append(time.perf_counter() - start)
    save_file({"velocity": velocity}, output)
    # The first forward also pays for what torch sets up once.
    print(json.dumps({
        "load_seconds": load_seconds,
        "load_peak_bytes": loaded,
        "peak_bytes": None if before is None else peak() - before,
        "forward_seconds": seconds[1:],
    }))


if __name__ == "__main__":
    main(*sys.argv[1:])
