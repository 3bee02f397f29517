"""dev.py bench subjects, on a few clips."""

import json

from benchmarks import subjects


def test_cliques_find_the_people_of_every_clip_and_linking_does_not(tmp_path, capsys):
    file = tmp_path / "subjects.json"
    assert subjects.main(["--clips", "6", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "| all | 6 | 6 exact |" in printed and "| with twins | 2 | 2 exact |" in printed
    rows = json.loads(file.read_text())["clips"]["all"]
    assert sum(row[subjects.LINKED] for row in rows) < sum(row[subjects.CLIQUES] for row in rows) == 6
