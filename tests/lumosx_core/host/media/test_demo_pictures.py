"""The templates' pictures are put into ComfyUI's input folder, and no file of a user is touched."""

import logging
import os

import folder_paths
import pytest
from PIL import Image

from lumosx_core.host.media.demo_pictures import place_demo_pictures
from lumosx_core.tiny.demo_pictures import MAN, demo_pictures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An input folder that is not there yet."""
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path / "input"))
    return tmp_path / "input"


def test_all_are_there_and_whole(folder):
    place_demo_pictures()
    assert {path.name for path in folder.iterdir()} == set(demo_pictures())
    for path in folder.iterdir():
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == {".png": "PNG", ".jpg": "JPEG"}[path.suffix]


def test_a_file_of_the_user_stays_and_nothing_is_drawn_twice(folder):
    folder.mkdir()
    (folder / MAN).write_bytes(b"mine")
    place_demo_pictures()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    place_demo_pictures()
    assert (folder / MAN).read_bytes() == b"mine"
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_link_is_not_followed(folder, tmp_path):
    folder.mkdir()
    os.symlink(tmp_path / "elsewhere.png", folder / MAN)
    place_demo_pictures()
    assert (folder / MAN).is_symlink() and not (tmp_path / "elsewhere.png").exists()


def test_a_folder_that_cannot_be_written_is_a_warning(folder, caplog):
    folder.write_bytes(b"a file in its place")
    with caplog.at_level(logging.WARNING):
        place_demo_pictures()
    assert str(folder) in caplog.text and "pictures" in caplog.text


def test_a_full_disk_leaves_no_half_picture(folder, full_disk, caplog):
    with full_disk(500), caplog.at_level(logging.WARNING):
        place_demo_pictures()
    assert list(folder.iterdir()) == [] and "pictures" in caplog.text
