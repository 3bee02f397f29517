"""Small adapters of Lynx in every layout that users' files have."""

from __future__ import annotations

import gguf
import torch
from safetensors.torch import save_file

from lumosx_core.models.lynx.recogniser import FaceRecogniser

WIDTH, LITE_WIDTH, REGISTERS, BLOCKS = 64, 32, 4, 4
RESAMPLER = {"width": 32, "hidden": 64, "depth": 2, "queries": 3}


def random(*shape, seed):
    """float32 numbers as large as trained weights."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * shape[-1] ** -0.5


def adapter(kind, blocks=BLOCKS, width=WIDTH):
    """block -> part -> tensor of full, lite or ref layers; parts as the release names them."""
    suffix = "ref" if kind == "ref" else "ip"
    layers = {}
    for block in range(0, blocks, 2 if kind == "lite" else 1):
        inputs, seed = LITE_WIDTH if kind == "lite" else width, 10 * block
        parts = {f"to_{part}_{suffix}.weight": random(width, inputs, seed=seed + place)
                 for place, part in enumerate("kv")}
        if kind != "lite":
            parts |= {f"to_{part}_{suffix}.bias": random(width, seed=seed + 2 + place)
                      for place, part in enumerate("kv")}
        if kind == "full":
            parts["registers"] = random(1, REGISTERS, inputs, seed=seed + 4)
        layers[block] = parts
    return layers


def resampler(token_width):
    """Release's name -> tensor of a resampler."""
    width, hidden, depth, queries = (RESAMPLER[name] for name in ("width", "hidden", "depth", "queries"))
    shapes = {"latents": (1, queries, width), "proj_in.weight": (width, 512), "proj_in.bias": (width,),
              "proj_out.weight": (token_width, width), "proj_out.bias": (token_width,),
              "norm_out.weight": (token_width,), "norm_out.bias": (token_width,)}
    for layer in range(depth):
        shapes |= {f"layers.{layer}.{norm}.{part}": (width,) for norm in ("0.norm1", "0.norm2", "1.0")
                   for part in ("weight", "bias")}
        shapes |= {f"layers.{layer}.0.to_q.weight": (64, width), f"layers.{layer}.0.to_kv.weight": (128, width),
                   f"layers.{layer}.0.to_out.weight": (width, 64), f"layers.{layer}.1.1.weight": (hidden, width),
                   f"layers.{layer}.1.3.weight": (width, hidden)}
    return {name: random(*shape, seed=place) for place, (name, shape) in enumerate(shapes.items())}


def recogniser():
    """The face recogniser's state dict in half precision, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = FaceRecogniser().state_dict()
    return {name: one.half() if one.is_floating_point() else one for name, one in state.items()}


def release_names(layers):
    """As in the release: numbers of the ModuleList."""
    return {f"{place}.{part}": tensor for place, block in enumerate(sorted(layers))
            for part, tensor in layers[block].items()}


def block_names(layers, prefix="", inner=True):
    """As in the single files: blocks, and an adapter module inside the attention (``inner``) or not."""
    named = {}
    for block, parts in layers.items():
        attention = "self_attn" if "to_k_ref.weight" in parts else "cross_attn"
        middle = {"self_attn": "ref_adapter.", "cross_attn": "ip_adapter."}[attention] if inner else ""
        named |= {f"{prefix}blocks.{block}.{attention}.{middle}{part}": tensor for part, tensor in parts.items()}
    return named


def as_fp8(weights):
    """The newer layout of scaled fp8, without its metadata."""
    stored = {}
    for name, tensor in weights.items():
        if name.endswith(".weight") and tensor.ndim == 2:
            scale = tensor.abs().max() / 448
            stored[name], stored[f"{name}_scale"] = (tensor / scale).to(torch.float8_e4m3fn), scale
        else:
            stored[name] = tensor
    return stored


def as_quanto(weights):
    """optimum-quanto's int8: a scale for each row."""
    stored = {}
    for name, tensor in weights.items():
        if name.endswith(".weight") and tensor.ndim == 2:
            scale = tensor.abs().amax(dim=1, keepdim=True) / 127
            stored[f"{name}._data"], stored[f"{name}._scale"] = (tensor / scale).round().to(torch.int8), scale
        else:
            stored[name] = tensor
    return stored


def write(path, weights):
    """A safetensors file."""
    save_file({name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()}, path)
    return path


def write_gguf(path, weights, kind="Q8_0"):
    """A GGUF file with weights in blocks; biases and registers in F32."""
    writer = gguf.GGUFWriter(path, "wan")
    for name, tensor in weights.items():
        quantised = gguf.GGMLQuantizationType[kind if name.endswith(".weight") else "F32"]
        writer.add_tensor(name, gguf.quants.quantize(tensor.numpy(), quantised), raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
