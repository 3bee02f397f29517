"""Peak memory of a conversion, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.weights.precision import ending
from lumosx_core.weights.transformer import transformer_shapes

ROOT = Path(__file__).parents[3]
WIDTH, HIDDEN = 1536, 8960
LARGEST_TENSOR = 4 * 6 * WIDTH * WIDTH
"""Bytes of the largest tensor of Wan2.1-T2V-1.3B in float32."""
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


@pytest.fixture(scope="module")
def one_block(tmp_path_factory):
    """A transformer as wide as the real one and one block deep, about 150 MB in bfloat16."""
    shapes = transformer_shapes(WIDTH, HIDDEN, layers=1)
    path = tmp_path_factory.mktemp("wide") / "wide.safetensors"
    save_file({name: torch.full(shape, 0.01, dtype=torch.bfloat16) for name, shape in shapes.items()}, path)
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what memory is a process's own")
@pytest.mark.parametrize("to", ["f32", "fp8_scaled", "q8_0"])
def test_about_one_tensor_is_in_memory(one_block, tmp_path, to):
    command = [sys.executable, "-c", CHILD, ROOT, one_block, tmp_path / f"out{ending(to)}", to]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 1.5 * LARGEST_TENSOR
