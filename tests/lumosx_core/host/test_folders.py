"""Case folders under ComfyUI's input folder."""

import os
from pathlib import Path

import folder_paths
import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.host.folders import BUILT_IN, case_fingerprint, list_cases, open_case
from lumosx_core.tiny.drawing import write_demo_case


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    (tmp_path / "input").mkdir()
    return tmp_path / "input"


def test_cases_are_listed_with_the_built_in_one_first(inputs):
    for name in ("b", "a/inner", ".hidden/case", "one/two/three/four"):
        write_demo_case(inputs / name)
    (inputs / "no case").mkdir()
    assert list_cases() == [BUILT_IN, "a/inner", "b"]


def test_no_input_folder_lists_the_built_in_case(inputs):
    inputs.rmdir()
    assert list_cases() == [BUILT_IN]


def test_the_built_in_case_and_one_on_disk_are_read_alike(inputs):
    write_demo_case(inputs / "mine")
    built_in, mine = open_case(BUILT_IN), open_case("mine")
    assert built_in.prompt == mine.prompt
    assert [r.phrase for r in built_in.scene.references] == [r.phrase for r in mine.scene.references]
    for reference in built_in.scene.references:
        assert reference.phrase in built_in.prompt


@pytest.mark.parametrize("name", ["..", "../outside", "a/../../outside", "/etc", ".", ""])
def test_no_name_leaves_the_input_folder(inputs, name):
    write_demo_case(inputs.parent / "outside")
    with pytest.raises(LumosXError, match="is not inside ComfyUI's input folder"):
        open_case(name)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_does_not_leave_the_input_folder(inputs):
    (inputs / "link").symlink_to(write_demo_case(inputs.parent / "outside"))
    with pytest.raises(LumosXError, match="is not inside"):
        open_case("link")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, 5, None, True])
def test_what_is_no_name_ends_in_a_sentence(inputs, name):
    with pytest.raises(LumosXError, match="^case: "):
        open_case(name)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_in_another_encoding_does_no_harm(inputs):
    folder = write_demo_case(inputs / "mine")
    (Path(os.fsdecode(os.fsencode(folder) + b"/notes\xe9.txt"))).write_bytes(b"x")
    assert case_fingerprint("mine")
    assert open_case("mine").scene.references


def test_a_missing_case_is_named(inputs):
    with pytest.raises(LumosXError, match='the input folder has no folder "gone"'):
        open_case("gone")


def test_the_fingerprint_follows_the_files(inputs):
    folder = write_demo_case(inputs / "mine")
    before = case_fingerprint("mine")
    assert case_fingerprint("mine") == before
    caption = Path(folder) / "caption.txt"
    caption.write_text(caption.read_text(encoding="utf-8") + " more", encoding="utf-8")
    assert case_fingerprint("mine") != before
