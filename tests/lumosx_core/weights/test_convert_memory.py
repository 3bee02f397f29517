"""Peak memory of a conversion, in a process of its own, from every kind of source."""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import gguf
import pytest
import torch
import torch.distributed.checkpoint
from safetensors.torch import save_file

from lumosx_core.models.wan.config import WanConfig
from lumosx_core.weights.precision import ending

ROOT = Path(__file__).parents[3]
WIDTH, HIDDEN = 1536, 2048
LARGEST_TENSOR = 4 * 6 * WIDTH * WIDTH
"""Bytes of the largest tensor, the time projection, in float32: 57 MB, as in Wan2.1-T2V-1.3B."""
CHILD = """
import sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from lumosx_core.weights.convert import convert

def anonymous():
    # Pages of the process itself, without those mapped from files.
    return next(1024 * int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

before = peak = anonymous()
done = threading.Event()

def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous())

watching = threading.Thread(target=watch)
watching.start()
try:
    convert(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
finally:
    done.set()
    watching.join()
print(peak - before)
"""


def save_safetensors(weights, path):
    save_file(weights, path)


def save_pt(weights, path):
    torch.save(weights, path)


def save_folder(weights, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.distributed.checkpoint.save({"ema": weights}, checkpoint_id=path, no_dist=True)


def save_halves(weights, path):
    """Each tensor in two chunks, as two ranks would save it."""
    halves = {}
    for name, tensor in weights.items():
        cut = (len(tensor) + 1) // 2
        halves |= {f"{name}|{start}": half for start, half in ((0, tensor[:cut]), (cut, tensor[cut:])) if len(half)}
    save_folder(halves, path)
    metadata = pickle.loads((path / ".metadata").read_bytes())
    whole = {}
    for name, entry in metadata.state_dict_metadata.items():
        joined = whole.setdefault(name.partition("|")[0], entry)
        entry.chunks[0].__dict__["offsets"] = offset(name, entry)
        if joined is not entry:
            joined.chunks += entry.chunks
            joined.size = torch.Size([joined.size[0] + entry.size[0], *entry.size[1:]])
    sizes = dict(metadata.state_dict_metadata)
    metadata.state_dict_metadata = whole
    metadata.storage_data = {
        type(index)(index.fqn.partition("|")[0], offset(index.fqn, sizes[index.fqn])): place
        for index, place in metadata.storage_data.items()
    }
    (path / ".metadata").write_bytes(pickle.dumps(metadata))


def offset(name, entry):
    return torch.Size([int(name.partition("|")[2]), *[0] * (len(entry.size) - 1)])


def save_gguf(weights, path):
    writer = gguf.GGUFWriter(path, "wan")
    for name, tensor in weights.items():
        kind = gguf.GGMLQuantizationType["Q8_0" if tensor.ndim == 2 else "F32"]
        writer.add_tensor(name, gguf.quantize(tensor.numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


SOURCES = {
    "safetensors": (save_safetensors, "wide.safetensors", "q8_0", 1), "pt": (save_pt, "wide.pt", "bf16", 1),
    "folder": (save_folder, "all", "f32", 1.8), "folder of halves": (save_halves, "all", "f32", 2),
    "GGUF": (save_gguf, "wide.gguf", "bf16", 2.4),
}
"""How to save, the name, what to convert to, and the most that may be in memory, in largest float32 tensors.

What the interpreter itself takes meanwhile varies by a tenth of one; a tensor that is kept once more is a whole one."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what memory is a process's own")
@pytest.mark.parametrize("kind", SOURCES)
def test_few_tensors_are_in_memory(tmp_path, kind):
    save, name, to, most = SOURCES[kind]
    save({name: torch.full(shape, 0.01) for name, shape in WanConfig(WIDTH, HIDDEN, num_layers=1).shapes().items()},
         tmp_path / name)
    command = [sys.executable, "-c", CHILD, ROOT, tmp_path / name, tmp_path / f"out{ending(to)}", to]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(answer.stdout) < most * LARGEST_TENSOR
