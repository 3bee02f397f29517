"""The bench of Lynx: each way makes something else of the same clip, and none of them stays."""

import json

import pytest
import torch

from benchmarks import lynx
from lumosx_core.tiny.trained import LYNX
from lumosx_core.tiny.world.cast import split_of

pytestmark = pytest.mark.slow
PLAN = {"steps": 2, "cfg": 2.0, "shift": 5.0}
ALONE = {name: one for name, one in lynx.variants().items() if one.people == 1}


@pytest.fixture(scope="module")
def bench():
    with torch.inference_mode(False):
        return lynx.Bench(LYNX)


@pytest.fixture(scope="module")
def made(bench):
    """Name of a variant to what it makes of clip 0."""
    def make(variant):
        with torch.no_grad(), lynx.way_of(variant, bench.adapters):
            return bench.sample(bench.job(0, 1), variant, PLAN)

    return {name: make(variant) for name, variant in ALONE.items()} | {"again": make(ALONE[lynx.EXACT])}


def test_every_way_makes_something_else_and_none_stays(made):
    right = made[lynx.EXACT]
    for name in set(ALONE) - {lynx.EXACT}:
        assert ((made[name] - right).norm() / right.norm()).item() > 1e-3, name
    assert torch.equal(made["again"], right)


def test_deselected_blocks_are_off_and_the_wrong_way_is_another(made):
    off, attending = made["blocks 0 to 2"], made["wrong: blocks 0 to 2, while the others attend to the video"]
    assert ((off - attending).norm() / off.norm()).item() > 1e-3


def test_people_and_strangers_are_held_out_and_can_be_told_apart():
    job = lynx.Bench.job(3, 1)
    faces = [job.cast.people[0].face, *job.strangers]
    assert len(faces) == 1 + lynx.OTHERS and {split_of(face).name for face in faces} == {"HELD_OUT"}
    assert lynx.Bench.job(3, 1).seed == job.seed and lynx.Bench.job(4, 1).cast != job.cast


def test_masks_of_two_people_share_the_picture():
    left, right = lynx.regions(lynx.Bench.job(0, 2).script)
    assert torch.equal(left + right, torch.ones(1, 96, 128)) and left[0, 0, 34] == right[0, 0, 94] == 1


def test_a_short_run_says_how_many_and_how_sure(tmp_path, capsys):
    names = [lynx.EXACT, lynx.TWO]
    out = tmp_path / "lynx.json"
    assert lynx.main(["--clips", "2", "--other-clips", "1", "--steps", "1", "--only", *names, "--json", str(out)]) == 0
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    found = [(row["variant"], row["clips"], row["faces"]["count"]) for row in rows]
    assert found == [(names[0], 2, 2), (names[1], 1, 2)]
    assert all(0 <= row["faces"]["low"] <= row["faces"]["share"] <= row["faces"]["high"] <= 1 for row in rows)
    assert capsys.readouterr().out.count("\n| ") == 3
