"""Which files the board looks at, and that it sees them as Load Image reads them."""

import os

import folder_paths
import pytest
from PIL import Image

from lumosx_core.host.page import thumbnails
from lumosx_core.host.page.thumbnails import sketch_of_file


@pytest.fixture
def folders(tmp_path, monkeypatch):
    import nodes

    assert nodes.LoadImage
    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    thumbnails._sketch.cache_clear()
    return tmp_path


def put(path, size=(64, 48), colour=(255, 0, 0), mode="RGB"):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new(mode, size, colour).save(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tiff"])
def test_pictures_of_every_folder_are_seen(folders, name):
    for place in ("input", "output", "temp"):
        put(folders / place / "under" / name)
        sketch = sketch_of_file(f"under/{name}" + ("" if place == "input" else f" [{place}]"))
        assert (sketch.width, sketch.height, sketch.blank) == (64, 48, True)
        assert sketch.cells.mean((0, 1)).tolist() == pytest.approx([1, 0, 0], abs=0.02)


def test_a_picture_with_transparency_has_three_colours(folders):
    put(folders / "input" / "a.png", colour=(0, 255, 0, 9), mode="RGBA")
    assert sketch_of_file("a.png").cells.shape == (64, 64, 3)


def test_what_is_no_ordinary_picture_is_not_looked_at(folders):
    put(folders / "input" / "a.gif")
    (folders / "input" / "folder").mkdir()
    (folders / "input" / "text.png").write_text("no picture")
    put(folders / "secret.png")
    os.symlink(folders / "secret.png", folders / "input" / "link.png")
    put(folders / "input_more" / "b.png")
    for name in ("a.gif", "folder", "text.png", "gone.png", "a\0b", "", "link.png", "../secret.png",
                 "../input_more/b.png", str(folders / "secret.png")):
        assert sketch_of_file(name) is None, name


@pytest.mark.parametrize(("bound", "most"), [("_MOST_BYTES", None), ("_MOST_PIXELS", 64 * 48)])
def test_pictures_are_looked_at_up_to_exactly_the_bound(folders, monkeypatch, bound, most):
    put(folders / "input" / "a.png")
    most = most or (folders / "input" / "a.png").stat().st_size
    monkeypatch.setattr(thumbnails, bound, most)
    assert sketch_of_file("a.png") is not None
    thumbnails._sketch.cache_clear()
    monkeypatch.setattr(thumbnails, bound, most - 1)
    assert sketch_of_file("a.png") is None


def test_a_file_that_changes_is_read_again(folders):
    put(folders / "input" / "a.png")
    assert sketch_of_file("a.png") is sketch_of_file("a.png")
    put(folders / "input" / "a.png", colour=(0, 0, 255))
    os.utime(folders / "input" / "a.png", (1, 1))
    assert sketch_of_file("a.png").cells.mean((0, 1)).tolist() == pytest.approx([0, 0, 1], abs=0.02)
