"""What the attention bench compares is the same attention, and what cannot run is said."""

import pytest
import torch

from benchmarks.attention import draw_calls, drop_failing, find_backends, main, measure_backends, measure_ways, table
from benchmarks.shapes import SCENES, Shape, drawn_binding
from lumosx_core.attention.backends import BACKENDS
from lumosx_core.models.lumosx.sequence import SequenceLayout

CPU = torch.device("cpu")
SHAPE = Shape(dim=256, ffn_dim=256, layers=1, grid=(2, 4, 6))


def test_rows_and_reasons_make_up_all_there_is():
    layout = SequenceLayout(*SHAPE.grid, drawn_binding(*SCENES[6]))
    calls = draw_calls(SHAPE, layout, CPU, torch.float32)
    found, missing = find_backends(CPU, torch.float32)
    found = drop_failing(found, missing, calls, SHAPE.heads)
    assert "pytorch" in found and set(BACKENDS) <= set(missing) and "pytorch, cudnn alone" in missing
    rows = measure_backends(found, calls, SHAPE.heads, 1)
    assert [row["backend"] for row in rows] == list(found)
    assert all(row["relative_error"] < 1e-5 and row["cosine"] > 0.9999 for row in rows)
    ways = measure_ways(calls, layout, SHAPE.heads, 1)
    assert ways["difference_of_ours_and_masked"] < 1e-5
    text = table(rows, ways, missing)
    assert all(name in text for name in (*found, *missing, "one masked call"))


def test_the_shape_of_each_call():
    layout = SequenceLayout(*SHAPE.grid, drawn_binding(*SCENES[6]))
    calls = draw_calls(SHAPE, layout, CPU, torch.float32)
    assert {kind: [tuple(q.shape[:2]) + (k.shape[1],) for q, k, _ in found] for kind, found in calls.items()} == {
        "video": [(1, 48, 192)], "groups": [(2, 24, 24), (2, 48, 48)], "text": [(1, 48, 512)],
    }


def test_an_unknown_shape_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--shape", "huge"])
    assert "invalid choice: 'huge'" in capsys.readouterr().err
