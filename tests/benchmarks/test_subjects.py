"""dev.py bench subjects: on a few clips, and what it last found."""

import json
from pathlib import Path

from benchmarks import subjects

DOCS = Path(subjects.__file__).parents[1] / "docs" / "polyvivid.md"


def test_cliques_find_the_people_of_every_clip_and_linking_does_not(tmp_path, capsys):
    file = tmp_path / "subjects.json"
    assert subjects.main(["--clips", "6", "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert capsys.readouterr().out == subjects.table_of(result) + "\n"
    rows = result["clips"]["all"]
    assert sum(row[subjects.LINKED] for row in rows) < sum(row[subjects.CLIQUES] for row in rows) == 6
    twins = result["clips"][subjects.TWINS]
    assert [row["seed"] for row in twins] == [0, 3] and all(row[subjects.CLIQUES] for row in twins)


def test_the_documentation_has_the_table_of_the_committed_results():
    result = json.loads(subjects.RESULTS.read_text(encoding="utf-8"))
    assert subjects.table_of(result) in DOCS.read_text(encoding="utf-8")
    rows = result["clips"]["all"]
    assert len(rows) == 100 and sum(row[subjects.CLIQUES] for row in rows) >= 99
