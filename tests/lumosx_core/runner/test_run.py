"""What of a folder of cases goes to a server, and what never does."""

import json
import os
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.runner.journal import Posted
from lumosx_core.runner.run import files_to_send, find_cases

links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def write_journal(root, server, *cases):
    """As version 0.1 wrote them."""
    entries = [asdict(Posted(case, case, ID, "lumosx_batch/x/y", "ab" * 32, 5)) for case in cases]
    (root / "lumosx_results.jsonl.journal").write_text(json.dumps({"server": server.url, "under_way": entries}))


def uploaded(server):
    return {path.name for path in (server.base / "input" / "lumosx_batch").rglob("*") if path.is_file()}


def test_a_journal_that_names_a_folder_beside_the_root_sends_nothing(
    root, add_case, batch, server, executed, tmp_path, capsys
):
    add_case("1")
    shutil.copytree(root / "1", root.parent / "private")
    (root.parent / "private" / "secret.txt").write_text("secret")
    write_journal(root, server, "../private")
    assert batch("--download", tmp_path / "videos") == 1 and executed() == 0
    assert "lumosx_results.jsonl.journal is not the journal of a batch" in capsys.readouterr().err
    assert not (tmp_path / "private.mp4").exists() and "secret.txt" not in uploaded(server)


def test_what_was_under_way_and_is_no_case_any_more_is_forgotten(
    root, add_case, batch, lines, executed, server, capsys
):
    add_case("1")
    (root / "gone").mkdir()
    (root / "gone" / "private.txt").touch()
    write_journal(root, server, "gone")
    assert batch() == 0 and executed() == 1
    said = capsys.readouterr()
    assert "gone: it is not, or no longer" in said.err and said.out.startswith("1 cases: 1 done, 0 failed")
    assert [line["case"] for line in lines()] == ["1"] and "private.txt" not in uploaded(server)


@links
def test_a_case_whose_link_leads_out_fails_and_sends_nothing(root, add_case, batch, lines, executed, server, tmp_path):
    for case in ("1", "2", "3"):
        add_case(case)
    (tmp_path / "key.txt").write_text("secret")
    (root / "1" / "objects" / "key.txt").symlink_to(tmp_path / "key.txt")
    (root / "2" / "subjects" / "all").symlink_to("/")
    assert batch() == 1 and executed() == 1
    errors = {line["case"]: line["error"] for line in lines()}
    assert re.match("case: objects/key.txt of 1 .*link", errors["1"]) and errors["3"] is None
    assert re.match("case: subjects/all of 2 .*link", errors["2"])
    assert "key.txt" not in uploaded(server)


@links
def test_links_inside_a_case_are_sent_and_hidden_ones_are_not_looked_at(tmp_path):
    case = tmp_path / "case"
    (case / "objects").mkdir(parents=True)
    (case / "objects" / "a.png").touch()
    (case / "objects" / "b.png").symlink_to("a.png")
    (case / "background").symlink_to("objects")
    (case / ".all").symlink_to("/")
    (case / "notes.exe").symlink_to("/etc/passwd")
    assert len(files_to_send(case)) == 4
    (case / "circle.txt").symlink_to("circle.txt")
    assert len(files_to_send(case)) == 4


@links
def test_a_case_that_is_a_link_out_of_the_root_fails_and_nothing_of_it_is_reported(
    root, add_case, batch, lines, executed, server, tmp_path
):
    add_case("1")
    shutil.move(root / "1", tmp_path / "private")
    (tmp_path / "private" / "secret.txt").write_text("secret")
    (tmp_path / "no case").mkdir()
    add_case("2")
    (root / "a").symlink_to(tmp_path / "private")
    (root / "b").symlink_to(tmp_path / "no case")
    assert batch() == 1 and executed() == 1
    errors = {line["case"]: line["error"] for line in lines()}
    assert errors.pop("2") is None and errors.keys() == {"a", "b"}
    assert all(re.fullmatch(f"case: {name} is a link .*", error) for name, error in errors.items())
    assert "secret.txt" not in uploaded(server)


def denied(path):
    raise PermissionError(13, "Permission denied", str(path))


def test_a_root_that_may_not_be_read_is_one_sentence(root, monkeypatch):
    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(LumosXError, match=r"^ROOT: .* cannot be read \(Permission denied\)"):
        find_cases(root)


def test_a_case_that_may_not_be_read_stops_no_other(root, add_case, batch, lines, monkeypatch):
    for case in ("1", "2", "3"):
        add_case(case)
    is_file = Path.is_file
    locked = [root / "1" / "caption.txt"]
    monkeypatch.setattr(Path, "is_file", lambda path: denied(path) if path in locked else is_file(path))
    opened = os.open
    unreadable = root / "2" / "caption.txt"
    monkeypatch.setattr(os, "open", lambda path, *rest: denied(path) if path == unreadable else opened(path, *rest))
    assert batch() == 1
    errors = {line["case"]: line["error"] for line in lines()}
    assert errors["3"] is None
    assert all(re.match(f"case: caption.txt of {case} .*Permission denied", errors[case]) for case in "12")
