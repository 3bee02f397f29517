"""Weight files of every kind for the tests, written by the libraries that users' files come from."""

import gguf
import numpy as np
import torch

from tools.placed_transformer import transformer_state_dict

MAKEABLE = ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0")
# What a block starts or ends with: where its float16 scales are, in bytes.
SCALES = {
    "Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "IQ4_NL": (0,), "IQ4_XS": (0,),
}


def small_transformer(seed=0):
    """The small transformer in float32, moved a little, since its own numbers fit into bf16 without a loss."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (tensor.float() * (1 + 0.004 * torch.randn(tensor.shape, generator=generator))).contiguous()
        for name, tensor in transformer_state_dict().items()
    }


def random_blocks(kind, rows, columns, seed=0):
    """Blocks [rows, bytes of a row] whose bytes are random and whose values are about as large as trained weights."""
    size, length = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (rows * columns // size, length), dtype=np.uint8)
    for start in SCALES[kind]:
        scale = random.uniform(0.5, 1.5, len(blocks)) * (0.004 if kind == "IQ4_NL" else 0.0002)
        blocks[:, start:start + 2] = scale.astype(np.float16)[:, None].view(np.uint8)
    return blocks.reshape(rows, -1)


def in_blocks(tensor, kind, seed=0):
    """A weight in blocks, made from it where the gguf package can, else at random: (blocks, what they stand for)."""
    quantised = gguf.GGMLQuantizationType[kind]
    if kind in SCALES:
        blocks = random_blocks(kind, *tensor.shape, seed=seed)
    else:
        blocks = gguf.quants.quantize(tensor.numpy(), quantised)
    return blocks, torch.from_numpy(gguf.quants.dequantize(blocks, quantised).copy())


def write_gguf(path, kind, weights=None, architecture="wan", blocks_start=("blocks.",)):
    """Write float32 weights as GGUF with the Linears of their blocks in `kind`; return what they stand for.

    As in files of ComfyUI-GGUF's converter: the rest in F32, the patch embedding in its five dimensions.
    """
    weights = small_transformer() if weights is None else weights
    writer = gguf.GGUFWriter(path, architecture)
    meant = {}
    for number, (name, tensor) in enumerate(weights.items()):
        if name.startswith(blocks_start) and tensor.ndim == 2:
            blocks, meant[name] = in_blocks(tensor, kind, seed=number)
            writer.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType[kind])
        else:
            meant[name] = tensor
            writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return meant


def make_lora(weights, rank=4, seed=0, layers=("blocks.0.self_attn.q", "blocks.1.ffn.0", "text_embedding.0")):
    """A LoRA for some layers, in the format that trainers write for Wan."""
    generator = torch.Generator().manual_seed(seed)
    lora = {}
    for layer in layers:
        outputs, inputs = weights[f"{layer}.weight"].shape
        lora[f"diffusion_model.{layer}.lora_A.weight"] = torch.randn(rank, inputs, generator=generator) * inputs**-0.5
        lora[f"diffusion_model.{layer}.lora_B.weight"] = torch.randn(outputs, rank, generator=generator) * 0.5
    return lora


class Runs:
    """Runs(function, arguments) in a file makes whoever unpickles it call the function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def wan_umt5_names(weights):
    """UMT5's weights under the names of Wan's own code (wan/modules/t5.py), from those of transformers and ComfyUI."""
    parts = {
        "layer.0.SelfAttention.relative_attention_bias": "pos_embedding.embedding",
        "layer.0.SelfAttention.": "attn.", "layer.0.layer_norm": "norm1", "layer.1.layer_norm": "norm2",
        "layer.1.DenseReluDense.wi_0": "ffn.gate.0", "layer.1.DenseReluDense.wi_1": "ffn.fc1",
        "layer.1.DenseReluDense.wo": "ffn.fc2", "encoder.block.": "blocks.", "shared.": "token_embedding.",
        "encoder.final_layer_norm.": "norm.",
    }
    renamed = {}
    for name, tensor in weights.items():
        for old, new in parts.items():
            name = name.replace(old, new)
        renamed[name] = tensor
    return renamed
