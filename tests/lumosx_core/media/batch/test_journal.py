"""What a batch keeps on disk, and what a kill may leave of it."""

import json
import os
from dataclasses import asdict, replace
from pathlib import PureWindowsPath

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.media.batch import journal
from lumosx_core.media.batch.journal import Journal, Posted, Results, only_runner, replacing

POSTED = Posted("case 1", "demo", "0f8fad5b-d9cb-469f-a165-70867728950e", "lumosx_batch/case_1", "ab" * 32, 5)
LINE = {"case": "case 1", "status": "done"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.jsonl"


def test_a_prompt_is_on_disk_when_put_returns(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.server = "http://a"
    journal.put(POSTED)
    again = Journal(tmp_path / "journal")
    assert again.under_way == {"case 1": POSTED} and again.server == "http://a"
    again.drop("case 1")
    again.put(replace(POSTED, case="case 2"))
    assert list(Journal(tmp_path / "journal").under_way) == ["case 2"]
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_replaced_is_either_old_or_new(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as part:
        part.write_text("ne")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]
    # What a kill left is written over.
    (tmp_path / "file.part").write_text("much longer rubbish")
    with replacing(target) as part:
        part.write_text("new")
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"server": "", "under_way": [{"case": "a"}]}'])
def test_a_strange_journal_is_refused(tmp_path, content):
    (tmp_path / "journal").write_text(content)
    with pytest.raises(LumosXError, match="is no journal of a batch; take it away"):
        Journal(tmp_path / "journal")


@pytest.mark.parametrize(("field", "value"), [
    ("case", "../private"), ("case", ".."), ("case", "."), ("case", ""), ("case", "/etc"), ("case", "a/b"),
    ("case", "a/"), ("case", "a\0"), ("case", 5), ("name", None), ("prompt_id", "../../etc"), ("prompt_id", ""),
    ("prompt_id", POSTED.prompt_id.upper()), ("prompt_id", "{" + POSTED.prompt_id + "}"), ("prompt_id", 5),
    ("prefix", "lumosx_batch"), ("prefix", "lumosx_batch/../x"), ("prefix", "/lumosx_batch/x"),
    ("prefix", "lumosx_batch//x"), ("prefix", "lumosx_batch/x/"), ("prefix", "lumosx_batch/x\n"), ("prefix", "x"),
    ("prefix", "lumosx_batch/a b"), ("workflow", 1), ("seed", "1"), ("seed", True),
])
def test_a_journal_that_came_with_a_folder_leads_nowhere_else(tmp_path, field, value):
    entry = {**asdict(POSTED), field: value}
    (tmp_path / "journal").write_text(json.dumps({"server": "http://a", "under_way": [entry]}))
    with pytest.raises(LumosXError, match="is no journal of a batch; take it away"):
        Journal(tmp_path / "journal")


@pytest.mark.parametrize("case", ["..\\private", "C:x", "C:\\x", "a\\b"])
def test_a_path_of_windows_is_no_case_there(monkeypatch, case):
    replace(POSTED, case=case).check()
    monkeypatch.setattr(journal, "PurePath", PureWindowsPath)
    with pytest.raises(ValueError, match="."):
        replace(POSTED, case=case).check()


def test_a_link_where_a_part_is_written_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "journal.part").symlink_to(tmp_path / "mine")
    Journal(tmp_path / "journal").put(POSTED)
    assert (tmp_path / "mine").read_text() == "mine"


def test_lines_are_read_again(path):
    results = Results(path)
    results.add(LINE)
    results.add({"case": "süß \udcff", "status": "failed"})
    assert Results(path).lines == results.lines and len(results.lines) == 2
    results.drop(["case 1"])
    assert list(Results(path).lines) == ["süß \udcff"]


def test_a_line_that_was_cut_off_is_taken_away_wherever_it_was_cut(path):
    Results(path).add(LINE)
    whole = path.read_bytes()
    second = json.dumps({"case": "case 2", "status": "done"}).encode() + b"\n"
    for length in range(len(second)):
        path.write_bytes(whole + second[:length])
        assert list(Results(path).lines) == ["case 1"]
        assert path.read_bytes() == whole
    path.write_bytes(whole + second)
    assert list(Results(path).lines) == ["case 1", "case 2"]


@pytest.mark.parametrize("line", ["{}", "no JSON", '{"case": "a", "status": "?"}', "[]",
                                  '{"case": 5, "status": "done"}'])
def test_a_file_of_something_else_is_left_alone(path, line):
    path.write_text(json.dumps(LINE) + f"\n{line}\n")
    before = path.read_bytes()
    with pytest.raises(LumosXError, match="line 2 of .* is not from a batch"):
        Results(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ['{"something": "else"}', "a", "{}", '{"case":1'])
def test_a_file_of_one_line_without_an_end_is_left_alone(path, text):
    path.write_text(text)
    with pytest.raises(LumosXError, match="line 1 of .* is not from a batch"):
        Results(path)
    assert path.read_text() == text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_one_sentence(path):
    path.symlink_to("/dev/full")
    results = Results.__new__(Results)
    results.path, results.lines = path, {}
    with pytest.raises(LumosXError, match="cannot be written"):
        results.add(LINE)
    assert results.lines == {}


def test_two_runners_on_one_file_are_refused(path, tmp_path):
    with only_runner(path):
        with pytest.raises(LumosXError, match="another batch is writing"), only_runner(path):
            pass
        with only_runner(tmp_path / "other.jsonl"):
            pass
    with only_runner(path):
        pass
