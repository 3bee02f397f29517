"""What a run makes is what the training of a LoRA takes."""

import json

import pytest
import safetensors
from safetensors.torch import save_file

from lumosx_core.training.__main__ import main
from tools.weight_files import small_transformer


@pytest.mark.slow
def test_a_lora_of_drawn_clips(built, tmp_path, capsys):
    save_file(small_transformer(), tmp_path / "base.safetensors")
    out = tmp_path / "lora.safetensors"
    assert main([
        "lora", str(built / "cases"), "--base", str(tmp_path / "base.safetensors"), "--out", str(out), "--tiny",
        "--size", "128", "96", "--frames", "5", "--rank", "4", "--steps", "3", "--device", "cpu",
    ]) == 0
    said = capsys.readouterr().err
    with safetensors.safe_open(out, "pt") as file:
        cases = json.loads(file.metadata()["lumosx.cases"])
    assert cases == ["film_000_0001", "film_001_0001", "film_002_0001"]
    assert all(f"{case}: 5 frames of video.mp4" in said for case in cases)
