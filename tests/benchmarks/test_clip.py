"""dev.py bench clip, on a clip that takes seconds."""

import json

import pytest

from benchmarks import clip

pytestmark = pytest.mark.slow


def test_the_bench_prints_both_tables_and_writes_every_figure(tmp_path, capsys):
    file = tmp_path / "clip.json"
    assert clip.main(["--steps", "5", "--size", "32", "32", "5", "--rounds", "1", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "| text | UMT5, 2 texts, then 0 |" in printed and "| pictures | VAE, 7 pictures, then 0 |" in printed
    result = json.loads(file.read_text())
    assert (result["device"], result["dtype"], result["steps"], result["rounds"]) == ("cpu", "float32", 5, 1)
    stages = {row["stage"]: row for row in result["stages"]}
    assert set(stages) == set(clip.STAGES)
    assert stages["text"]["second"]["max"] == 0 < stages["text"]["first"]["min"] < stages["encode"]["first"]["min"]
    exact, easy, lazy, shorter, both, eight, three = result["options"]
    assert exact["passes"] == 10 and exact["relative_error"] == 0 and exact["psnr_db"] is None
    assert exact["time_ratio"] == {"min": 1.0, "median": 1.0}
    # Guidance for 3 of 5 steps; the caches skip some of what is left.
    assert shorter["passes"] == 8 and both["passes"] <= 8
    assert 2 < easy["passes"] < 10 and 2 < lazy["passes"] < 10
    for row in (easy, lazy, shorter, both):
        assert 0 < row["relative_error"] < 1 and row["cosine"] < 1 and row["psnr_db"] > 0
    assert (eight["steps"], eight["passes"], three["steps"], three["passes"]) == (8, 8, 3, 3)
    assert "cosine" not in eight and "cosine" not in three


@pytest.mark.parametrize("arguments", [["--device", "tpu"], ["--size", "32", "32"], ["--rounds", "some"]])
def test_the_bench_refuses_what_it_does_not_know(arguments, capsys):
    with pytest.raises(SystemExit):
        clip.main(arguments)
    assert "usage: dev.py bench clip" in capsys.readouterr().err
