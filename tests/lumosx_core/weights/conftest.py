"""One small real file of every format that open_weights reads."""

import json

import gguf
import numpy as np
import pytest
import torch
import torch.distributed.checkpoint
from safetensors.torch import save_file


def tensors():
    """name -> tensor, of several kinds and shapes."""
    random = torch.Generator().manual_seed(3)
    return {
        "blocks.0.ffn.0.weight": torch.randn(6, 5, generator=random),
        "blocks.0.norm3.bias": torch.randn(7, generator=random).to(torch.bfloat16),
        "head.modulation": torch.randn(1, 2, 3, generator=random).to(torch.float16),
        "scale": torch.tensor(2.5),
    }


def write_gguf(path):
    """F32, BF16, a block type, a 5-D tensor, and rows that the original shape splits."""
    writer = gguf.GGUFWriter(path, "wan")
    writer.add_array("comfy.gguf.orig_shape.split.weight", [4, 4, 2, 2, 2])
    writer.add_array("words", ["a", "bc"])
    writer.add_float32("temperature", 1.5)
    numbers = np.random.default_rng(3)
    for name, shape, kind in (
        ("patch_embedding.weight", (3, 4, 1, 2, 2), "F32"), ("blocks.0.ffn.0.weight", (2, 4, 64), "Q8_0"),
        ("split.weight", (2, 64), "Q4_0"), ("head.modulation", (1, 2, 8), "BF16"), ("count", (3,), "I32"),
    ):
        kind = gguf.GGMLQuantizationType[kind]
        values = numbers.normal(size=shape).astype(np.float32)
        data = values.astype(np.int32) if kind.name == "I32" else gguf.quantize(values, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_shards(folder, index="model.safetensors.index.json"):
    """Two safetensors files and the index that joins them."""
    folder.mkdir(exist_ok=True)
    places = {name: f"model-0000{1 + place % 2}-of-00002.safetensors" for place, name in enumerate(tensors())}
    for shard in set(places.values()):
        save_file({name: tensors()[name] for name in tensors() if places[name] == shard}, folder / shard)
    (folder / index).write_text(json.dumps({"metadata": {"total_size": 99}, "weight_map": places}), encoding="utf-8")
    return folder / index


def write_checkpoint(folder, state=None):
    """A folder as torch itself saves it."""
    state = {"ema": tensors(), "step": 3} if state is None else state
    torch.distributed.checkpoint.save(state, checkpoint_id=folder, no_dist=True)
    return folder


@pytest.fixture(scope="session")
def weights():
    """The functions above, as importing a conftest is not done."""
    class Samples:
        tensors = staticmethod(tensors)
        write_gguf = staticmethod(write_gguf)
        write_shards = staticmethod(write_shards)
        write_checkpoint = staticmethod(write_checkpoint)

    return Samples


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """format -> the file or folder; read only."""
    root = tmp_path_factory.mktemp("samples")
    save_file(tensors(), root / "model.safetensors", metadata={"author": "me"})
    torch.save({"ema": tensors(), "step": 3, "optimiser": {"state": {0: torch.ones(2)}}}, root / "model.pt")
    return {
        "safetensors": root / "model.safetensors",
        "shards": write_shards(root / "shards"),
        "torch": root / "model.pt",
        "checkpoint": write_checkpoint(root / "checkpoint"),
        "GGUF": write_gguf(root / "model.gguf"),
    }
