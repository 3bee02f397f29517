"""dev.py bench lora, on one small forward."""

import json

from benchmarks import lora
from benchmarks.machine import describe_machine
from lumosx_core.models.wan.config import WanConfig


def test_the_bench_prints_a_table_and_writes_every_figure(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lora, "ONE_BLOCK", WanConfig(256, 512, 1))
    file = tmp_path / "lora.json"
    assert lora.main(["--rank", "4", "--grid", "1", "3", "4", "--rounds", "1", "--json", str(file)]) == 0
    printed, result = capsys.readouterr().out, json.loads(file.read_text())
    assert printed.startswith(describe_machine()) and printed.count("| q8_0, LoRA") == 2
    rows = {row["variant"]: row for row in result["rows"]}
    assert list(rows) == [
        "f32, no LoRA", "f32, LoRA", *(f"{kind}, {variant}" for kind in ("q8_0", "fp8_scaled")
                                       for variant in ("no LoRA", "LoRA", "LoRA in the weights")),
    ]
    assert all(row["of_no_lora"]["min"] > 0 for row in result["rows"])
    errors = {name: row["relative_error"] for name, row in rows.items()}
    # Merged into fp8, the LoRA costs error; beside it, none.
    assert errors["fp8_scaled, LoRA"] < 1.1 * errors["fp8_scaled, no LoRA"]
    assert errors["fp8_scaled, LoRA in the weights"] > 1.2 * errors["fp8_scaled, LoRA"]
