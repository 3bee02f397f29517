"""dev.py bench negative, on one small forward."""

import json

from benchmarks import negative
from benchmarks.shapes import Shape


def test_the_bench_prints_a_table_and_writes_every_figure(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(negative.SHAPES, "small", Shape(256, 512, 2, (2, 3, 4), text_dim=64))
    file = tmp_path / "negative.json"
    assert negative.main(["--rounds", "2", "--json", str(file)]) == 0
    assert capsys.readouterr().out.count("\n| ") == 3
    found = json.loads(file.read_text())
    flops = [found[name]["flops"] for name in negative.NAMES]
    # A second attention to the text: less than a second pass, and more than nothing.
    assert flops[0] == 1 and 1 < flops[1] < 1.5 and flops[2] == 2
    assert found[negative.NAMES[0]]["time"] == {"min": 1.0, "median": 1.0, "max": 1.0}
