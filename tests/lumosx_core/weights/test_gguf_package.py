"""Without the gguf package only GGUF files are out of reach, and they say so."""

import json
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
import contextlib, io, json, sys
sys.modules["gguf"] = None
sys.path.insert(0, sys.argv[1])
from lumosx_core.weights.__main__ import main
answers = []
for arguments in json.loads(sys.argv[2]):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        answers.append((main(arguments), said.getvalue()))
with open(sys.argv[3], "w", encoding="utf-8") as file:
    json.dump(answers, file)
"""


@pytest.mark.slow
def test_only_gguf_files_need_it(tmp_path):
    """In one fresh interpreter, whose imports take seconds."""
    save_file(small_transformer(), tmp_path / "plain.safetensors")
    write_gguf(tmp_path / "packed.gguf", "Q8_0")
    commands = [
        ["inspect", "packed.gguf"],
        ["convert", "plain.safetensors", "out.gguf", "--to", "q8_0"],
        ["convert", "plain.safetensors", "out.safetensors", "--to", "fp8_scaled"],
    ]
    command = [sys.executable, "-I", "-c", WITHOUT, str(ROOT), json.dumps(commands), "answers.json"]
    subprocess.run(command, cwd=tmp_path, check=True)
    *refused, (code, said) = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    for refusal, sentence in refused:
        assert refusal == 1 and sentence.count("\n") == 1 and f"{sys.executable} -m pip install " in sentence
        assert sentence.startswith("GGUF files need a package: gguf is not installed; run ")
    assert not (tmp_path / "out.gguf").exists()
    assert code == 0 and (tmp_path / "out.safetensors").is_file(), said


def test_the_block_sizes_are_the_packages():
    known = {kind.name: sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items() if is_packed(kind.name)}
    assert len(known) == 12 and all(block_sizes(name) == sizes for name, sizes in known.items())
