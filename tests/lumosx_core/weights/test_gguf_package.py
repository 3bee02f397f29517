"""Without the gguf package only GGUF files are out of reach, and they say so."""

import subprocess
import sys
from pathlib import Path

import gguf
import pytest
from safetensors.torch import save_file

from lumosx_core.weights.blocks import block_sizes, is_packed
from tools.weight_files import small_transformer, write_gguf

ROOT = Path(__file__).parents[3]
WITHOUT = """
import sys
sys.modules["gguf"] = None
sys.path.insert(0, sys.argv[1])
from lumosx_core.weights.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def run_without(*arguments):
    command = [sys.executable, "-I", "-c", WITHOUT, str(ROOT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def files(tmp_path):
    save_file(small_transformer(), tmp_path / "plain.safetensors")
    write_gguf(tmp_path / "packed.gguf", "Q8_0")
    return tmp_path


@pytest.mark.slow
def test_other_files_are_converted(files):
    answer = run_without("convert", files / "plain.safetensors", files / "out.safetensors", "--to", "fp8_scaled")
    assert answer.returncode == 0, answer.stderr
    assert (files / "out.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("inspect", "packed.gguf"), ("convert", "plain.safetensors", "out.gguf", "--to", "q8_0")]
)
def test_gguf_ends_in_one_sentence(files, arguments):
    answer = run_without(*(files / name if "." in name else name for name in arguments))
    assert answer.returncode == 1 and not (files / "out.gguf").exists()
    assert answer.stderr.startswith("GGUF files need a package: gguf is not installed; run ")
    assert answer.stderr.count("\n") == 1 and f"{sys.executable} -m pip install " in answer.stderr


def test_the_block_sizes_are_the_packages():
    known = {kind.name: sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items() if is_packed(kind.name)}
    assert len(known) == 12 and all(block_sizes(name) == sizes for name, sizes in known.items())
