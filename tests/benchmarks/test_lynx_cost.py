"""dev.py bench lynx_cost, on one small forward."""

import json

import pytest

from benchmarks import lynx_cost
from benchmarks.counting import count_flops
from benchmarks.lynx_cost import WITH, WITHOUT, adapters_of, block_runs, counted, one_block
from lumosx_core.models.lynx.sizes import adapter_flops
from lumosx_core.models.wan.config import WAN21_14B


@pytest.mark.parametrize("size", lynx_cost.SIZES, ids=str)
def test_at_14b_lynx_full_stays_within_its_targets(size):
    row = counted(size)
    assert 0.001 < row["share"] <= 0.01 and 0.2e9 < row["kept_bytes"] <= 0.26e9


def test_the_runs_differ_by_what_is_counted():
    real, narrow = one_block(5120), one_block(640)
    assert (real.dim, real.ffn_dim, narrow.ffn_dim) == (WAN21_14B.dim, WAN21_14B.ffn_dim, 1728)
    runs = block_runs(narrow, (2, 3, 4))
    without, with_lynx = (count_flops(runs[name]) for name in (WITHOUT, WITH))
    added = sum(adapter_flops(adapter, 24, tokens) for adapter, tokens in adapters_of(narrow).items())
    assert with_lynx - without == added > 0


@pytest.mark.slow
def test_the_bench_prints_both_tables_and_writes_every_figure(tmp_path, capsys):
    file = tmp_path / "cost.json"
    assert lynx_cost.main(["--width", "640", "--grid", "1", "3", "4", "--rounds", "2", "--json", str(file)]) == 0
    printed, result = capsys.readouterr().out, json.loads(file.read_text())
    assert "| a block 640 wide, 12 tokens |" in printed and "| 832 x 480, 81 frames | 32,760 |" in printed
    assert [row["processor_time"]["min"] > 0 and row["counted"] > 1 for row in result["rows"]] == [True, True]
