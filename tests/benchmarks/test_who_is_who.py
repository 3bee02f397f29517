"""``dev.py bench who_is_who`` on a few held-out clips: the right names, no strangers, and labels that hide no face."""

import json

import pytest

from benchmarks import who_is_who
from benchmarks.who_is_who import clips, common, measure


def counted(people, stranger=False):
    rows = [measure(clip) for clip in clips(people, 6, 2, stranger)]
    return {key: sum(row[key] for row in rows) for key in rows[0]}


@pytest.mark.slow
@pytest.mark.parametrize("people", [2, 3])
def test_names_are_on_the_right_people_and_labels_on_no_face(people):
    found = counted(people)
    assert found["right"] >= 0.9 * found["people"] > 0 and found["wrong and sure"] <= 0.05 * found["people"]
    assert found["labels"] >= found["people"]
    assert found["labels on a face"] <= 0.02 * found["labels"]
    assert found["labels nearest to somebody else"] <= 0.02 * found["labels"]


@pytest.mark.slow
def test_a_head_behind_another_one_is_not_seen_and_a_stranger_is_nobodys():
    drawn = list(clips(2, 12, 1, True))
    crossing = [clip for clip in drawn if any(len(heads) == 1 for heads in clip.heads)]
    assert 0 < len(crossing) < len(drawn)
    for clip in drawn:
        assert sorted(str(owner) for _, owner in clip.heads[0]) in (["0", "None"], ["1", "None"])
        for heads in clip.heads:
            assert all(common(one, other) < 0.5 * common(one, one) for (one, _), (other, _) in zip(heads, heads[1:]))


@pytest.mark.slow
def test_the_table_and_the_json_have_a_row_for_each_kind_of_clip(tmp_path, capsys):
    file = tmp_path / "who.json"
    assert who_is_who.main(["--clips", "1", "--zoom", "1", "--json", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    printed = capsys.readouterr().out
    assert len(rows) == 4 and all(f"| {name} |" in printed for name in rows)
    assert all(row["right"] + row["wrong"] <= row["people"] for row in rows.values())
