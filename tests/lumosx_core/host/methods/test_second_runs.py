"""Run after run, memory returns to where it was."""

import gc

import pytest
import torch

from benchmarks.second_runs import SCENES, repeat_runs
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.models.lumosx import RelationalOptions

pytestmark = pytest.mark.slow

ROUNDS = 3
# For what the C library's allocator keeps among other tests; over 20 runs of the bench it was below 1 MiB.
RESIDENT_SLACK = 32 * 2**20


@pytest.fixture(scope="module")
def rounds(tiny):
    """Rows of the same scenes with other seeds, prompts and pictures, round by round."""
    models = (relational_model(tiny[0], RelationalOptions()), *tiny[1:])
    # Only what the runs make is counted: going through all that a long test run holds takes longer than the runs.
    gc.collect()
    gc.freeze()
    try:
        with torch.inference_mode():
            rows = list(repeat_runs(models, ROUNDS * len(SCENES)))
    finally:
        gc.unfreeze()
    return [rows[start:start + len(SCENES)] for start in range(0, len(rows), len(SCENES))]


def test_no_tensor_outlives_its_run(rounds):
    # The first round also makes what is made once a process.
    settled, last = rounds[1], rounds[-1]
    for field in ("tensors", "tensor_bytes"):
        assert [row[field] for row in last] == [row[field] for row in settled]


def test_nothing_depends_on_how_many_references_there_were(rounds):
    assert len({row["references"] for row in rounds[-1]}) > 3
    assert len({row["tensor_bytes"] for row in rounds[-1]}) == 1


def test_the_process_does_not_grow(rounds):
    # The least of a round: what the allocator keeps for a moment is no growth.
    settled, last = (min(row["resident_bytes"] for row in rows) for rows in (rounds[1], rounds[-1]))
    assert last - settled < RESIDENT_SLACK
