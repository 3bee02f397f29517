"""What is written can be read back: the bounds of a case, exactly at each and one past it."""

import pytest
import torch

from lumosx_core.cases import load_case, write_case_folder, writing
from lumosx_core.errors import LumosXError
from lumosx_core.scene.relations import Kind, Reference, Scene


def thing(phrase, height=2, width=2):
    # One number in memory, however large the picture is.
    return Reference(Kind.OBJECT, phrase, torch.zeros(1, 1, 1, 1).expand(1, height, width, 3))


@pytest.mark.parametrize(("objects", "prompt", "sentence"), [
    ([thing("hat")] * 65, "a hat", "^relations: the scene has 65 references, but a case can have 64"),
    ([thing("hat")], "a hat " * 200_000, "^prompt: caption.txt would have 1200001 bytes"),
    ([thing("hat"), thing("coat", 9000, 9000)], "a hat", "^relations: the picture of \"coat\" is too large"),
    ([thing("hat", 8000, 8000)] * 9, "a hat", "^relations: the picture of \"hat\" is too large"),
])
def test_what_could_not_be_read_back_is_not_written(tmp_path, objects, prompt, sentence):
    with pytest.raises(LumosXError, match=sentence):
        write_case_folder(Scene(objects=tuple(objects)), prompt, "x", tmp_path / "case")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("most", "accepted"), [(6, True), (5, False)])
def test_pictures_may_have_exactly_as_many_pixels_as_can_be_read_back(tmp_path, monkeypatch, most, accepted):
    monkeypatch.setattr(writing, "MOST_PIXELS", most)
    if accepted:
        write_case_folder(Scene(objects=(thing("hat", 2, 3),)), "a hat", "x", tmp_path / "case")
    else:
        with pytest.raises(LumosXError, match="^relations: the picture of \"hat\" is too large"):
            write_case_folder(Scene(objects=(thing("hat", 2, 3),)), "a hat", "x", tmp_path / "case")
    monkeypatch.setattr(writing, "MOST_PIXELS", 100)
    monkeypatch.setattr(writing, "MOST_CASE_PIXELS", 2 * most)
    both = Scene(objects=(thing("hat", 2, 3), thing("coat", 3, 2)))
    if accepted:
        write_case_folder(both, "a hat and a coat", "x", tmp_path / "both")
    else:
        with pytest.raises(LumosXError, match="^relations: the picture of \"hat\" is too large"):
            write_case_folder(both, "a hat and a coat", "x", tmp_path / "both")


@pytest.mark.parametrize(("length", "accepted"), [(1_000_000, True), (1_000_001, False)])
def test_a_text_may_have_exactly_as_many_bytes_as_can_be_read_back(tmp_path, length, accepted):
    # The file adds two letters to the prompt.
    prompt = "a hat".ljust(length - 2, "x")
    if accepted:
        folder = write_case_folder(Scene(objects=(thing("hat"),)), prompt, "x", tmp_path / "case")
        assert len((folder / "caption.txt").read_bytes()) == length and load_case(folder).prompt == prompt
    else:
        with pytest.raises(LumosXError, match="^prompt: caption.txt would have 1000001 bytes"):
            write_case_folder(Scene(objects=(thing("hat"),)), prompt, "x", tmp_path / "case")


def test_as_many_references_as_a_case_holds_are_read_back(tmp_path):
    folder = write_case_folder(Scene(objects=(thing("hat"),) * 64), "a hat", "x", tmp_path / "case")
    assert len(load_case(folder).scene.objects) == 64


@pytest.mark.parametrize("name", ["a.replaced.part", f"lumosx-{'0' * 32}.part"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_only_folders_are_put_back_or_cleared_away(tmp_path, name, is_folder):
    path = tmp_path / name
    if is_folder:
        path.mkdir()
    else:
        path.write_bytes(b"x")
    writing.CASES.put_back_leftovers(tmp_path)
    left = [one.name for one in tmp_path.iterdir()]
    assert left == ([name] if not is_folder else ["a"] if name.startswith("a") else [])


@pytest.mark.parametrize(("present", "caption", "left"), [
    (False, False, ["a"]), (True, True, ["a"]), (True, False, ["a", "a.replaced.part"]),
])
def test_an_old_case_goes_only_where_a_whole_one_stands_in_its_place(tmp_path, present, caption, left):
    (tmp_path / "a.replaced.part").mkdir()
    if present:
        (tmp_path / "a").mkdir()
    if caption:
        (tmp_path / "a" / "caption.txt").write_text("a;b", encoding="utf-8")
    writing.CASES.put_back_leftovers(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == left
