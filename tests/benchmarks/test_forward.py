"""dev.py bench forward, on a very small model; and what it shares with the other benches."""

import json
import time

import pytest
import torch

from benchmarks import card, forward
from benchmarks.dense import pytorch_attention
from benchmarks.machine import describe_machine
from benchmarks.measuring import interleaved, spread, timed
from benchmarks.shapes import SCENES, SHAPES, Shape, draw_inputs, draw_model, drawn_binding
from benchmarks.variants import NAMES, Ours
from lumosx_core.models.wan.config import WAN21_1_3B

pytestmark = pytest.mark.slow

SMALLEST = ["--grid", "1", "4", "4", "--layers", "1", "--rounds", "2"]


def test_the_bench_prints_a_table_and_writes_every_figure(tmp_path, capsys):
    file = tmp_path / "forward.json"
    assert forward.main([*SMALLEST, "--references", "0", "3", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert f"| {' | '.join((*forward.COLUMNS, *forward.PROCESSOR_COLUMNS))} |" in printed
    assert printed.startswith(describe_machine())
    result = json.loads(file.read_text())
    assert (result["dtype"], result["device"], result["rounds"]) == ("float32", "cpu", 2)
    assert result["shape"] == {"dim": 256, "ffn_dim": 1024, "layers": 1, "grid": [1, 4, 4], "text_dim": 4096}
    assert [(row["references"], row["tokens"]) for row in result["rows"]] == [(0, 16), (3, 64)]
    for row in result["rows"]:
        assert row["speedup_vs_release"] == row["wall_ms"]["release"]["min"] / row["wall_ms"]["ours"]["min"]
        assert row["time_vs_dense"] == row["wall_ms"]["ours"]["min"] / row["wall_ms"]["dense"]["min"]
        assert row["peak_added_ratio"] == row["peak_added_bytes"]["ours"] / row["peak_added_bytes"]["release"]
        assert row["flops"] == row["counted_flops"]["ours"] <= 1.005 * row["flops_formula"]
        assert all(row["wall_ms"][name]["min"] <= row["wall_ms"][name]["median"] for name in NAMES)
        assert row["attention_kernels"]["ours"] == ["_scaled_dot_product_flash_attention_for_cpu"]
    assert result["rows"][1]["error_vs_release"] <= 1e-6


@pytest.mark.parametrize("arguments", [["--references", "2"], ["--shape", "medium"], ["--grid", "1", "2"]])
def test_the_bench_refuses_what_it_does_not_know(arguments, capsys):
    with pytest.raises(SystemExit):
        forward.main(arguments)
    assert "usage: dev.py bench forward" in capsys.readouterr().err


def test_rounds_are_interleaved():
    seen = []
    found = interleaved("ABC", 2, lambda name: seen.append(name) or len(seen))
    assert "".join(seen) == "ABCABC"
    assert found == {"A": [1, 4], "B": [2, 5], "C": [3, 6]}


def test_a_spread_leaves_out_what_is_unknown():
    assert spread([3.0, None, 1.0, 2.0]) == {"min": 1.0, "median": 2.0, "max": 3.0}
    assert spread([None]) is None


def test_a_time_is_in_milliseconds():
    """Sleeping takes no processor; counting takes both."""
    wall, processor = timed(lambda: time.sleep(0.05), torch.device("cpu"))
    assert 50 <= wall < 5000 and processor < wall / 2
    wall, processor = timed(lambda: sum(range(1_000_000)), torch.device("cpu"))
    assert 1 < processor < 5000 and wall > 1


def test_the_shapes_are_those_of_the_targets_and_of_the_real_model():
    inputs = [draw_inputs(SHAPES["small"], drawn_binding(*SCENES[count])) for count in (6, 10)]
    assert [each.layout.tokens for each in inputs] == [5850, 7410]
    assert SHAPES["full"].config == WAN21_1_3B
    assert {references: objects + sum(people) for references, (objects, people) in SCENES.items()} == {
        references: references for references in SCENES
    }


def test_streamed_weights_give_the_same_velocity():
    """The host's partial loading, on a CPU: only where the weights lie changes."""
    shape = Shape(256, 256, 2, (1, 4, 4), 64)
    model, inputs = draw_model(shape), draw_inputs(shape, drawn_binding(*SCENES[3]))
    with torch.no_grad():
        resident = Ours(model, inputs)()
        with card.streamed(model, torch.device("cpu")):
            assert model.blocks[0].ffn[0].comfy_cast_weights
            assert torch.equal(Ours(model, inputs)(), resident)
        assert not model.blocks[0].ffn[0].comfy_cast_weights
        assert torch.equal(Ours(model, inputs)(), resident)


def test_a_cpu_has_no_attention_in_8_bits():
    assert card.eight_bit_attention(torch.device("cpu"), torch.float32) == {}


def test_attention_of_another_backend_is_compared_with_the_exact_one(monkeypatch):
    """Rounded to bfloat16 in the place of a backend that needs a card."""
    def rounded(q, k, v, heads):
        return pytorch_attention(*(x.bfloat16() for x in (q, k, v)), heads).float()

    monkeypatch.setattr(card, "eight_bit_attention", lambda device, dtype: {"rounded": rounded})
    shape = Shape(256, 256, 2, (1, 4, 4), 64)
    model = draw_model(shape)
    found = forward.attention_in_8_bits(model, draw_inputs(shape, drawn_binding(*SCENES[3])), 2)["rounded"]
    assert 0.99 < found["cosine"] < 1 and found["ms"]["min"] <= found["ms"]["median"]
    # Without references the forward is ComfyUI's, which asks none of ours.
    assert forward.attention_in_8_bits(model, draw_inputs(shape, drawn_binding(*SCENES[0])), 2) == {}
