import pytest

from lumosx_core.files import unfinished_beside, write_aside


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
