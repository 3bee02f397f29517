import os

import pytest

from lumosx_core.files import DEVICE_NAME, append_line, replacing, unfinished_beside, write_aside


def test_a_file_appears_whole(tmp_path):
    write_aside(tmp_path / "file", b"first")
    write_aside(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_nothing_half_written_stays(tmp_path):
    # A folder in the way is what any system refuses at the last moment.
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError):
        write_aside(tmp_path / "file", b"content")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_unfinished_file_has_a_short_name_of_its_own(tmp_path):
    with unfinished_beside(tmp_path / ("x" * 250)) as part:
        part.write_bytes(b"half")
        assert len(part.name) < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for the size of files")
def test_a_line_is_there_whole_or_not_at_all(tmp_path, full_disk):
    path = tmp_path / "file"
    append_line(path, b"first")
    for room in range(6, 13):
        with full_disk(room), pytest.raises(OSError):
            append_line(path, b"second")
        assert path.read_bytes() == b"first\n"
    with full_disk(13):
        append_line(path, b"second")
    append_line(path, b"third")
    assert path.read_bytes() == b"first\nsecond\nthird\n"


def test_a_line_that_did_not_reach_the_disk_is_taken_back(tmp_path, monkeypatch):
    """Its error ends the batch, and the line would say that the work is done."""
    path = tmp_path / "file"
    append_line(path, b"first")

    def failing(handle):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        append_line(path, b"second")
    assert path.read_bytes() == b"first\n"


def test_a_file_is_replaced_when_the_block_ends_and_only_then(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"before"
    with replacing(path) as part:
        part.write_bytes(b"whole")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"whole" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["con", "NUL", "aux.txt", "Com1", "lpt9.tar.gz", "com\u00b9", "conin$", "CONOUT$.x", "prn .x"]
)
def test_windows_devices_are_known_by_the_beginning_of_their_names(name):
    assert DEVICE_NAME.match(name)


@pytest.mark.parametrize("name", ["console", "com", "com12", "nul_", "my con", ""])
def test_other_names_are_none_of_a_device(name):
    assert not DEVICE_NAME.match(name)
