"""Folders that appear complete or not at all: who holds one that is being written, and which name it gets."""

import os
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from lumosx_core import whole_folders


@pytest.mark.parametrize(("age", "free"), [(0, False), (24 * 3600, False), (24 * 3600 + 1, True)])
def test_where_no_folder_can_be_locked_one_is_held_for_a_day(tmp_path, monkeypatch, age, free):
    """As on Windows."""
    monkeypatch.setattr(whole_folders, "fcntl", None)
    os.utime(tmp_path, (1000, 1000))
    monkeypatch.setattr(whole_folders, "time", SimpleNamespace(time=lambda: 1000.0 + age))
    with whole_folders._lock(tmp_path) as found:
        assert found == free


@pytest.mark.skipif(whole_folders.fcntl is None, reason="Windows cannot lock a folder")
def test_a_folder_is_held_by_one_at_a_time(tmp_path):
    with ExitStack() as both:
        first, second = (both.enter_context(whole_folders._lock(tmp_path)) for _ in range(2))
        assert first and not second
    with whole_folders._lock(tmp_path) as free:
        assert free


def test_a_free_name_is_taken_as_it_is_and_another_gets_a_number(tmp_path):
    """Whatever is there: a folder, even an empty one, a file, or a link to nothing."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a_2").write_bytes(b"x")
    (tmp_path / "a_3").symlink_to("nothing")
    for expected in ("b", "b_2"):
        with whole_folders.unfinished_beside(tmp_path / "b") as part:
            assert whole_folders.move_to_free_name(part, tmp_path / "b").name == expected
    with whole_folders.unfinished_beside(tmp_path / "a") as part:
        assert whole_folders.move_to_free_name(part, tmp_path / "a").name == "a_4"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a_2", "a_3", "a_4", "b", "b_2"]
