"""Paths and files that somebody else chose."""

import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core import untrusted
from lumosx_core.errors import LumosXError
from lumosx_core.untrusted import children, inside, read_inside, shown

links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")


@links
def test_only_what_is_below_is_inside(tmp_path):
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "folder2").mkdir()
    links = {"in": "a", "up": "..", "self": ".", "beside": "../folder2", "root": "/", "gone": "a/gone",
             "out": "../gone", "a/back": "../a", "chain": "in/back", "leaves": "up/folder2"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    assert {name for name in links if inside(folder, folder / name)} == {"in", "gone", "a/back", "chain"}
    assert inside(folder, folder / "in" / "x") == (folder / "a" / "x").resolve()
    for path in ("../folder/a", "a/../a", "/etc", "..", ".", "a/../../folder2", "\0"):
        assert bool(inside(folder, folder / path)) == (path in ("../folder/a", "a/../a"))
    began = time.process_time()
    assert inside(folder, folder / ("a/" * 400_000)) is None and time.process_time() - began < 1
    (tmp_path / "alias").symlink_to(folder)
    assert inside(tmp_path / "alias", tmp_path / "alias" / "a") == inside(folder, folder / "a")


@links
@given(st.lists(st.sampled_from(["a", "b", "..", ".", "in", "out", "loop"]), min_size=1, max_size=6))
def test_what_is_inside_stays_inside(tmp_path_factory, parts):
    folder = tmp_path_factory.getbasetemp() / "stays" / "folder"
    if not folder.exists():
        (folder / "a" / "b").mkdir(parents=True)
        for name, target in (("in", "a/b"), ("out", "../.."), ("loop", "loop"), ("a/out", "../.."), ("a/b/in", "..")):
            (folder / name).symlink_to(target)
    real = inside(folder, folder.joinpath(*parts))
    assert real is None or folder.resolve() in real.parents and ".." not in real.parts


def _refusal(folder, path):
    with pytest.raises(OSError) as caught:
        read_inside(folder, path, 5)
    return caught.value.strerror


@links
def test_only_regular_files_are_read_and_only_so_much(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("a")
    assert read_inside(tmp_path, tmp_path / "a", 5) == read_inside(tmp_path, tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4e-06 MB"):
        read_inside(tmp_path, tmp_path / "a", 4)
    os.mkfifo(tmp_path / "pipe")
    # Opening it would wait for somebody at the other end.
    refused = []
    reading = threading.Thread(target=lambda: refused.append(_refusal(tmp_path, tmp_path / "pipe")), daemon=True)
    reading.start()
    reading.join(5)
    assert refused == ["it is not a regular file"]
    # Somebody there changes nothing.
    threading.Thread(target=lambda: os.open(tmp_path / "pipe", os.O_RDWR | os.O_NONBLOCK), daemon=True).start()
    for name in ("pipe", "folder"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(OSError, match="not a regular file"):
            read_inside(tmp_path, tmp_path / name, 5)
    with pytest.raises(FileNotFoundError):
        read_inside(tmp_path, tmp_path / "gone", 5)
    (tmp_path / "folder" / "out").symlink_to("../a")
    with pytest.raises(OSError, match="leads out"):
        read_inside(tmp_path / "folder", tmp_path / "folder" / "out", 5)


def _target(handle):
    try:
        return os.readlink(f"/proc/self/fd/{handle}")
    except OSError:
        return ""


def test_handles_are_closed_whatever_happens(tmp_path):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("only Linux tells")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_bytes(b"12345")
    for name in ("folder", "a", "gone") * 20:
        with pytest.raises(OSError, match="."):
            read_inside(tmp_path, tmp_path / name, 1)
    # Those of other threads come and go.
    assert not [path for path in map(_target, os.listdir("/proc/self/fd")) if path.startswith(str(tmp_path))]


def test_folders_without_end_are_not_listed(tmp_path, monkeypatch):
    for name in ("a", "b", ".c"):
        (tmp_path / name).touch()
    assert {path.name for path in children(tmp_path)} == {"a", "b"}
    monkeypatch.setattr(untrusted, "MOST_ENTRIES", 2)
    with pytest.raises(LumosXError, match="contains more than 2 files"):
        children(tmp_path)


def test_names_are_shown_in_one_line():
    assert shown("白色 \U0001f600 a.png") == "白色 \U0001f600 a.png"
    assert shown("a\nb\x1b[2J\udce9\u202e") == "a?b?[2J??"
