"""What a batch keeps on disk, and what a kill may leave of it."""

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path, PureWindowsPath

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.runner import journal
from lumosx_core.runner.journal import Journal, Posted, Results, Stop, only_runner, replacing_durably

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
    assert again.under_way == {"case 1": POSTED} and again.server == "http://a" and again.posts == {"case 1": 0}
    again.count("case 1")
    assert Journal(tmp_path / "journal").posts == {"case 1": 1}
    # Posted again, it has still been posted once before.
    again.put(POSTED)
    assert again.posts == Journal(tmp_path / "journal").posts == {"case 1": 1}
    again.drop("case 1")
    assert Journal(tmp_path / "journal").under_way == {}
    again.put(replace(POSTED, case="case 2", seed=2**64 - 1))
    again.put(replace(POSTED, case="case 3", seed=None))
    assert [posted.seed for posted in Journal(tmp_path / "journal").under_way.values()] == [2**64 - 1, None]
    assert list(Journal(tmp_path / "journal").under_way) == ["case 2", "case 3"]
    (tmp_path / "journal-journal").write_bytes(b"left by a kill")
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_replaced_is_either_old_or_new(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing_durably(target) as part:
        part.write_text("ne")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]
    # What a kill left is written over.
    (tmp_path / "file.part").write_text("much longer rubbish")
    with replacing_durably(target) as part:
        part.write_text("new")
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


def test_a_journal_of_version_0_1_is_read_and_becomes_a_database_with_the_first_change(tmp_path):
    second = replace(POSTED, case="case 2", seed=2**64 - 1)
    state = {"server": "http://a", "under_way": [asdict(POSTED), asdict(second)], "posts": {"case 1": 2}}
    (tmp_path / "journal").write_text(json.dumps(state))
    journal = Journal(tmp_path / "journal")
    assert journal.under_way == {"case 1": POSTED, "case 2": second} and journal.posts == {"case 1": 2, "case 2": 0}
    assert json.loads((tmp_path / "journal").read_text()) == state
    journal.count("case 1")
    again = Journal(tmp_path / "journal")
    assert (again.server, again.under_way, again.posts) == ("http://a", journal.under_way, {"case 1": 3, "case 2": 0})
    assert (tmp_path / "journal").read_bytes().startswith(b"SQLite format 3")
    again.drop("case 1")
    assert list(Journal(tmp_path / "journal").under_way) == ["case 2"]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"server": "", "under_way": [{"case": "a"}]}',
                                     '{"server": 5, "under_way": []}',
                                     '{"server": "", "under_way": [%s], "posts": {"case 1": Infinity}}',
                                     '{"server": "", "under_way": [%s], "posts": {"case 1": 1e999}}',
                                     "[" * 100_000, "\0" * 100])
def test_a_strange_journal_is_refused(tmp_path, content):
    (tmp_path / "journal").write_text(content.replace("%s", json.dumps(asdict(POSTED))))
    with pytest.raises(LumosXError, match="journal is not the journal of a batch"):
        Journal(tmp_path / "journal")


LEADS_ELSEWHERE = [
    ("case", "../private"), ("case", ".."), ("case", "."), ("case", ""), ("case", "/etc"), ("case", "a/b"),
    ("case", "a/"), ("case", "a\0"), ("prompt_id", "../../etc"), ("prompt_id", ""),
    ("prompt_id", POSTED.prompt_id.upper()), ("prompt_id", "{" + POSTED.prompt_id + "}"), ("prompt_id", "5"),
    ("prefix", "lumosx_batch"), ("prefix", "lumosx_batch/../x"), ("prefix", "/lumosx_batch/x"),
    ("prefix", "lumosx_batch//x"), ("prefix", "lumosx_batch/x/"), ("prefix", "lumosx_batch/x\n"), ("prefix", "x"),
    ("prefix", "lumosx_batch/a b"), ("seed", "x"),
]


@pytest.mark.parametrize(("field", "value"), [
    *LEADS_ELSEWHERE, ("case", 5), ("name", None), ("prompt_id", 5), ("workflow", 1), ("seed", "1"), ("seed", True),
])
def test_a_journal_that_came_with_a_folder_leads_nowhere_else(tmp_path, field, value):
    entry = {**asdict(POSTED), field: value}
    (tmp_path / "journal").write_text(json.dumps({"server": "http://a", "under_way": [entry]}))
    with pytest.raises(LumosXError, match="journal is not the journal of a batch"):
        Journal(tmp_path / "journal")


@pytest.mark.parametrize(("field", "value"), LEADS_ELSEWHERE)
def test_a_database_that_came_with_a_folder_leads_nowhere_else(tmp_path, field, value):
    changed(tmp_path / "journal", f"UPDATE under_way SET {'folder' if field == 'case' else field} = ?", value)
    with pytest.raises(LumosXError, match="journal is not the journal of a batch"):
        Journal(tmp_path / "journal")


def changed(path, *statement):
    """Write a journal with one prompt, and change it by hand."""
    Journal(path).put(POSTED)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement[0], statement[1:])


@pytest.mark.parametrize("statement", [
    "UPDATE under_way SET posts = -1", "UPDATE under_way SET posts = 'x'", "DELETE FROM batch",
    "INSERT INTO batch VALUES ('http://b')", "UPDATE batch SET server = x'00'", "CREATE TABLE more (a)",
    "CREATE VIEW more AS SELECT 1", "CREATE INDEX more ON under_way (name)",
    "CREATE TRIGGER more AFTER DELETE ON under_way BEGIN UPDATE batch SET server = 'http://b'; END",
    "DROP TABLE under_way", "UPDATE under_way SET name = x'00'",
])
def test_a_database_of_other_tables_or_values_is_refused(tmp_path, statement):
    changed(tmp_path / "journal", statement)
    before = (tmp_path / "journal").read_bytes()
    with pytest.raises(LumosXError, match="journal is not the journal of a batch"):
        Journal(tmp_path / "journal")
    assert (tmp_path / "journal").read_bytes() == before


@pytest.mark.parametrize("place", [0, 16, 60, 100, 105, 4096, 4100, 8192, 8200])
def test_a_damaged_database_is_refused_or_read_as_it_was(tmp_path, place):
    Journal(tmp_path / "journal").put(POSTED)
    content = bytearray((tmp_path / "journal").read_bytes())
    content[place:place + 4] = b"\xff" * 4
    (tmp_path / "journal").write_bytes(content)
    try:
        assert Journal(tmp_path / "journal").under_way == {"case 1": POSTED}
    except LumosXError as error:
        assert "journal is not the journal of a batch" in str(error)
    (tmp_path / "journal").write_bytes(content[:-1000])
    with pytest.raises(LumosXError, match="journal is not the journal of a batch"):
        Journal(tmp_path / "journal")


_KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
for number in range(200):
    database.execute("INSERT INTO under_way SELECT ?, name, prompt_id, prefix, workflow, seed, posts FROM under_way "
                     "WHERE folder = 'case 1'", (f"case x{number}",))
os._exit(9)
"""


@pytest.fixture
def cut_off(tmp_path):
    """A journal whose writer was killed in the middle of a change that was partly in the file."""
    Journal(tmp_path / "journal").put(POSTED)
    before = (tmp_path / "journal").read_bytes()
    assert subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "journal"]).returncode == 9
    assert (tmp_path / "journal").read_bytes() != before and (tmp_path / "journal-journal").stat().st_size > 4096
    return tmp_path / "journal"


def test_a_change_that_a_kill_cut_off_never_was(cut_off):
    journal = Journal(cut_off)
    assert journal.under_way == {"case 1": POSTED}
    journal.count("case 1")
    assert Journal(cut_off).posts == {"case 1": 1} and [path.name for path in cut_off.parent.iterdir()] == ["journal"]


def test_a_rollback_of_somebody_elses_deletes_no_file(cut_off):
    """SQLite deletes the file that such a rollback names as the journal of several databases."""
    mine = cut_off.parent / "mine"
    mine.write_text("mine")
    name = bytes(mine)
    end = len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big") + journal._SUPER_JOURNAL
    with (cut_off.parent / "journal-journal").open("ab") as file:
        file.write((2**30 // 4096 + 1).to_bytes(4, "big") + name + end)
    with pytest.raises(LumosXError, match="journal is not the journal of a batch"):
        Journal(cut_off)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_rollback_that_is_not_a_file_is_refused(tmp_path, kind):
    Journal(tmp_path / "journal").put(POSTED)
    rollback = tmp_path / "journal-journal"
    if kind == "link":
        rollback.symlink_to(Path(__file__))
    elif kind == "pipe":
        os.mkfifo(rollback)
    else:
        rollback.mkdir()
    with pytest.raises(LumosXError, match="journal is not the journal of a batch"):
        Journal(tmp_path / "journal")


def test_a_rollback_of_a_journal_that_was_taken_away_is_not_played_back(cut_off):
    cut_off.unlink()
    Journal(cut_off).put(replace(POSTED, case="case 2"))
    assert list(Journal(cut_off).under_way) == ["case 2"]


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


STRANGE = ["{}", "no JSON", '{"case": "a", "status": "?"}', "[]", '{"case": 5, "status": "done"}', "[" * 100_000,
           '{"case": "a", "sta']


@pytest.mark.parametrize("line", STRANGE, ids=lambda line: line[:20])
def test_lines_that_cannot_be_read_are_passed_over_and_stay(path, line):
    whole = json.dumps(LINE) + "\n"
    for text, number in ((f"{line}\n{whole}", 1), (f"{whole}{line}\n", 2), (f"{whole}\n{line}\n{whole}", 3)):
        path.write_text(text)
        results = Results(path)
        assert list(results.lines) == ["case 1"] and results.passed_over == [number]
        assert path.read_text() == text
        results.add({"case": "case 2", "status": "done"})
        assert list(Results(path).lines) == ["case 1", "case 2"] and Results(path).passed_over == [number]
        Results(path).drop(["case 2"])
        assert list(Results(path).lines) == ["case 1"] and line in path.read_text()


@pytest.mark.parametrize("line", ["{}", "no JSON", "[]", '{"something": 1}'], ids=lambda line: line[:20])
@pytest.mark.parametrize("end", ["", "\n", '\n{"case": '])
def test_a_file_of_something_else_is_left_alone(path, line, end):
    path.write_text(f"{line}\n{line}{end}")
    before = path.read_bytes()
    with pytest.raises(LumosXError, match="line 1 of .* is not from a batch"):
        Results(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("tail", [bytes(1), bytes(99), b'{"case": "b"' + bytes(99), bytes(9) + b'{"case"', b"\0\n" * 9])
def test_zeros_at_the_end_are_no_line(path, tail):
    """As a crash leaves them where the system had made room."""
    whole = json.dumps(LINE).encode() + b"\n"
    for before in (b"", whole):
        path.write_bytes(before + tail)
        results = Results(path)
        assert len(results.lines) == bool(before) and results.passed_over == []
        results.add({"case": "case 2", "status": "failed"})
        assert Results(path).lines["case 2"]["status"] == "failed"
        assert Results(path).passed_over == []


def test_whole_lines_behind_torn_ones_count(path):
    """As version 0.1 left them when it was resumed after the disk had been full."""
    whole = [json.dumps({"case": f"case {number}", "status": "done"}) for number in range(3)]
    path.write_text(f"{whole[0]}\n{whole[1][:30]}{whole[1]}\n\0\0{whole[2]}\n")
    results = Results(path)
    assert list(results.lines) == ["case 0", "case 1", "case 2"] and results.passed_over == []


def test_a_last_line_by_hand_is_kept(path):
    path.write_text(json.dumps(LINE) + "\n# my notes")
    assert Results(path).passed_over == [2]
    Results(path).add({"case": "case 2", "status": "done"})
    assert path.read_text().splitlines()[1] == "# my notes" and len(Results(path).lines) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for the size of files")
@pytest.mark.parametrize("room", range(1, 1300, 61))
def test_a_disk_that_gets_full_leaves_whole_lines_and_a_batch_that_goes_on(path, full_disk, room):
    def line(number):
        return {"case": f"case {number}", "status": "done", "text": "x" * 500}

    known = 0
    for _ in range(2):
        results = Results(path)
        with full_disk(room), pytest.raises(LumosXError, match="results: .* cannot be written .File too large.*lost"):
            for number in range(known, 9):
                results.add(line(number))
        known = len(results.lines)
        text = path.read_text() if path.exists() else ""
        assert text == "".join(json.dumps(line(number)) + "\n" for number in range(known))
        assert list(Results(path).lines) == list(results.lines) and known == room // len(json.dumps(line(0)) + "\n")
    Results(path).add(LINE)
    assert len(Results(path).lines) == known + (known < 2) and Results(path).passed_over == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for the size of files")
def test_a_journal_on_a_full_disk_is_the_old_one(tmp_path, full_disk):
    journal = Journal(tmp_path / "journal")
    journal.put(POSTED)
    for room in (0, 100, 600, 5000, 9000):
        with full_disk(room), pytest.raises(Stop, match="journal cannot be written"):
            journal.put(replace(POSTED, case="case 2"))
        journal = Journal(tmp_path / "journal")
        assert list(journal.under_way) == ["case 1"]
        assert [one.name for one in tmp_path.iterdir()] == ["journal"]
    journal.remove()
    with full_disk(5000), pytest.raises(Stop, match="journal cannot be written"):
        Journal(tmp_path / "journal").put(POSTED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "gone", "pipe", "folder"])
@pytest.mark.parametrize("open_it", [Results, Journal])
def test_files_that_came_with_a_folder_lead_nowhere_else(tmp_path, kind, open_it):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    if kind == "link":
        elsewhere.write_text(json.dumps(LINE) + "\n")
    path = root / "file"
    if kind in ("link", "gone"):
        path.symlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    before = elsewhere.read_bytes() if kind == "link" else None
    with pytest.raises(LumosXError, match="^results: "):
        open_it(path)
    assert (elsewhere.read_bytes() if elsewhere.exists() else None) == before
    (root / "other.lock").symlink_to(elsewhere)
    with pytest.raises(LumosXError, match="cannot be written"), only_runner(root / "other"):
        pass
    assert elsewhere.exists() == (kind == "link")


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
