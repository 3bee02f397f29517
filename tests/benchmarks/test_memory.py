"""dev.py bench memory on a forward that takes a moment, and the counter of live bytes."""

import json

import pytest
import torch

from benchmarks import memory
from benchmarks.live import LiveBytes
from benchmarks.shapes import SCENES, Shape

pytestmark = pytest.mark.slow


def test_bytes_count_once_while_anything_refers_to_them():
    with torch.inference_mode(), LiveBytes() as live:
        first = torch.ones(1000)
        assert live.now == 4000
        view = first[10:]
        view.add_(1)
        second = first + 1
        assert live.now == live.peak == 8000
        del first
        assert live.now == 8000
        del view
        assert live.now == 4000
        third = second.to(torch.float64)
        assert live.now == live.peak == 12000
        del second, third
    assert (live.now, live.peak) == (0, 12000)


def test_what_was_there_before_counts_nothing():
    before = torch.ones(1000)
    with torch.inference_mode(), LiveBytes() as live:
        view = before.view(10, 100).transpose(0, 1)
        before.mul_(2)
        assert live.peak == 0
        del view


def test_the_bench_prints_both_tables_and_writes_every_figure(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(memory.SHAPES, "small", Shape(256, 512, 2, (3, 8, 8), 64))
    monkeypatch.setitem(memory.CHUNKS, "small", 100)
    file = tmp_path / "memory.json"
    assert memory.main(["--runs", "2", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "one after the other" in printed and "| 2 | 3 |" in printed
    result = json.loads(file.read_text())
    assert {row["references"] for row in result["forwards"]} == set(SCENES)
    assert {(row["chunk_tokens"], row["passes"]) for row in result["forwards"]} == {(0, 1), (0, 2), (100, 1), (100, 2)}
    for row in result["forwards"]:
        assert row["references"] == 0 or row["ratio"] == pytest.approx(1.0, abs=0.2)
    assert [row["references"] for row in result["runs"]] == [1, 3]
    assert all(row["tensors"] > 0 and row["resident_bytes"] > 0 for row in result["runs"])


def test_the_bench_refuses_what_it_does_not_know(capsys):
    with pytest.raises(SystemExit):
        memory.main(["--shape", "huge"])
    assert "usage: dev.py bench memory" in capsys.readouterr().err
