"""dev.py bench face_repair, on one clip of each damage."""

import json

import pytest

from benchmarks import face_repair


@pytest.mark.slow
def test_the_bench_repairs_clips_and_writes_every_figure(tmp_path, capsys):
    file = tmp_path / "repair.json"
    assert face_repair.main(["--clips", "2", "--steps", "2", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in face_repair.DAMAGES)
    found = json.loads(file.read_text())
    assert [row["damage"] for row in found["rows"]] == list(face_repair.DAMAGES)
    assert found["summary"]["all"]["changed_outside"] == 0 and found["summary"]["all"]["clips"] == 2
    # A stranger's face, with a known distance, comes much nearer even in two steps.
    stranger = found["summary"][face_repair.STRANGER]
    assert stranger["before"] > 50 and stranger["fell"] > 0.2
