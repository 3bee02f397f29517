"""The table of cards in docs/speed.md: every figure is the arithmetic that the page says it is."""

import re

import pytest

from benchmarks.shapes import SCENES, drawn_binding
from lumosx_core.models.lumosx.cost import forward_work
from lumosx_core.models.lumosx.sequence import SequenceLayout
from tools.server import ROOT

MINUTES, TFLOPS = 4, 165.2
"""Of Wan2.1-T2V-1.3B on an RTX 4090, as its authors have it, and that card's peak."""
GRIDS = {81: (21, 30, 52), 33: (9, 30, 52)}
PAGE = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) min \| ([\d.]+) min \|$", PAGE, re.MULTILINE)


def work(frames, references):
    return forward_work(SequenceLayout(*GRIDS[frames], drawn_binding(*SCENES[references]))).total


def test_there_is_a_row_for_most_cards():
    assert len(ROWS) >= 8 and len({card for card, *_ in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_minutes_follow_from_the_work(row):
    _, peak, full, quick = row
    share = MINUTES * TFLOPS / float(peak) / work(81, 0)
    assert float(full) == pytest.approx(share * work(81, 3), rel=0.05, abs=0.05)
    assert float(quick) == pytest.approx(share * work(33, 3) / 2, rel=0.05, abs=0.05)
