"""Case folders under ComfyUI's input and output folders."""

import os
from pathlib import Path

import folder_paths
import pytest
import torch
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.cases import (
    BUILT_IN,
    BUILT_INS,
    case_fingerprint,
    check_case_names,
    list_cases,
    open_case,
    read_case,
    tidy_saved_cases,
    write_case,
)
from lumosx_core.host.page.routes import answer_case
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.tiny.demo_case import write_demo_case

SCENE = Scene(objects=(Reference(Kind.OBJECT, "lamp", torch.rand(1, 4, 4, 3)),))


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path / "input"))
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    (tmp_path / "input").mkdir()
    return tmp_path / "input"


@pytest.fixture
def outputs(inputs):
    (inputs.parent / "output").mkdir()
    return inputs.parent / "output"


def test_cases_are_listed_with_the_built_in_ones_first(inputs):
    for name in ("b", "a/inner", ".hidden/case", "one/two/three/four"):
        write_demo_case(inputs / name)
    (inputs / "no case").mkdir()
    assert list_cases() == [*BUILT_INS, "a/inner", "b"]


def test_no_input_folder_lists_the_built_in_cases(inputs):
    inputs.rmdir()
    assert list_cases() == list(BUILT_INS)


@pytest.mark.parametrize("name", BUILT_INS)
def test_a_built_in_case_and_one_on_disk_are_read_alike(inputs, name):
    BUILT_INS[name](inputs / "mine")
    built_in, mine = open_case(name), open_case("mine")
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


def test_an_unknown_choice_is_refused(inputs):
    """ComfyUI 0.3.75 does not check it."""
    with pytest.raises(LumosXError, match="full_body: 'both' is not known; choose one of leave out, as stand-alone"):
        read_case(BUILT_IN, "both")


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


def test_cases_of_the_output_folder_follow_in_comfyuis_form(inputs, outputs):
    write_demo_case(inputs / "b")
    for name in ("lumosx_cases/case_00001", "a", "lumosx_cases/lumosx-0123.part", ".x", "one/two/three/four"):
        write_demo_case(outputs / name)
    assert list_cases() == [*BUILT_INS, "b", "a [output]", "lumosx_cases/case_00001 [output]"]
    assert open_case("a [output]").scene.references and open_case("b [input]").scene.references
    assert case_fingerprint("a [output]") != case_fingerprint("b")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../input/b [output]", "is not inside ComfyUI's output folder"),
        (" [output]", "is not inside ComfyUI's output folder"),
        ("/etc [output]", "is not inside ComfyUI's output folder"),
        ("b [output]", 'the output folder has no folder "b"'),
        ("b [temp]", "the input folder has no folder"),
        ("a\0b [output]", "is not the name of a folder"),
        ("b/../b [output]", "is not inside ComfyUI's output folder"),
        ("x" * 300 + " [output]", "the output folder has no folder"),
    ],
)
def test_no_name_leaves_the_output_folder(inputs, outputs, name, sentence):
    write_demo_case(inputs / "b")
    for ask in (open_case, case_fingerprint):
        with pytest.raises(LumosXError, match=sentence):
            ask(name)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("name", [
    "out/there", "out/gone", "../outside/there", "../outside/gone", "{root}/outside/there", "{root}/outside/gone",
    "{root}/outside/there [output]", "x" * 5000, "in/" + "x" * 300, "circle/x", "file/x",
])
def test_no_sentence_says_what_lies_elsewhere_or_where(inputs, outputs, name):
    write_demo_case(inputs.parent / "outside" / "there")
    (inputs / "out").symlink_to(inputs.parent / "outside")
    (inputs / "circle").symlink_to("circle")
    (inputs / "file").write_text("x")
    name = name.format(root=inputs.parent)
    for ask in (open_case, case_fingerprint, list_case_of):
        with pytest.raises(LumosXError) as caught:
            ask(name)
        said = str(caught.value).replace(name, "NAME").replace(name[:200], "NAME").replace(name.split(" [")[0], "NAME")
        assert str(inputs.parent) not in said and len(said) < 300
        with pytest.raises(LumosXError) as other:
            ask(name.replace("there", "gone"))
        assert str(other.value).replace("gone", "there") == str(caught.value).replace("gone", "there")


def list_case_of(name):
    return answer_case(name) if len(name) <= 1000 else open_case(name)


@pytest.mark.parametrize("own", ["x [output]", "a/x [output]", "x [input]", "x [output] [input]", *BUILT_INS])
def test_a_name_that_looks_annotated_means_its_own_case(inputs, outputs, own):
    """ComfyUI's way of naming a folder is also a name that a folder can have."""
    for folder in (inputs / "x", outputs / "x", outputs / "a" / "x", inputs / own, outputs / own):
        (folder / "objects").mkdir(parents=True)
        (folder / "caption.txt").write_text("a prompt")
        mark = folder.relative_to(inputs.parent).as_posix().replace("/", "+")
        Image.new("RGB", (2, 2)).save(folder / "objects" / f"{mark}.png")
    names = list_cases()
    assert len(set(names)) == len(names) == len(BUILT_INS) + 5
    seen = {}
    for name in names[len(BUILT_INS):]:
        mark, = (word.phrase for word in open_case(name).scene.objects if "+" in word.phrase)
        seen[name] = mark
    assert len(set(seen.values())) == 5
    mine = "input+" + own.replace("/", "+")
    assert {name for name, mark in seen.items() if mark == mine} == {f"{own} [input]"}


def test_what_is_written_is_listed_and_read_back(inputs, outputs):
    saved_in, report = write_case(SCENE, "A white lamp", "first", "mine/lamps/case", replace=False)
    assert saved_in == "mine/lamps/case_00001 [output]" and saved_in in list_cases()
    scene, prompt, name, _ = read_case(saved_in)
    assert (prompt, name, scene.objects[0].phrase) == ("A white lamp", "first", "lamp")
    assert str(outputs / "mine/lamps/case_00001") in report and "Warning" not in report
    before = case_fingerprint(saved_in)
    assert write_case(SCENE, "A lamp", "x", "mine/lamps/case_00001", replace=True)[0] == saved_in
    assert read_case(saved_in)[1] == "A lamp" and case_fingerprint(saved_in) != before


def test_phrases_that_the_prompt_lacks_are_warned_about(outputs, caplog):
    _, report = write_case(SCENE, "A dark room", "n", "case", replace=False)
    assert '**Warning:** "lamp" is not in the prompt' in report and '"lamp" is not in the prompt' in caplog.text
    assert "Warning" not in write_case(SCENE, "The LAMP", "n", "case", replace=False)[1]
    red = Scene(objects=(Reference(Kind.OBJECT, "red lamp", torch.rand(1, 4, 4, 3)),))
    assert "Warning" not in write_case(red, "A (red,  lamp:1.2)", "n", "case", replace=False)[1]


def test_a_prompt_that_no_run_takes_is_saved_and_warned_about(outputs):
    name, report = write_case(SCENE, "A (lamp:inf)", "n", "case", replace=False)
    assert "**Warning:** prompt: inf cannot be the weight" in report and read_case(name)[1] == "A (lamp:inf)"


def test_what_the_release_reads_otherwise_is_warned_about(outputs, caplog):
    mask = Reference(Kind.ATTRIBUTE, "face mask", torch.rand(1, 4, 4, 3))
    face = Reference(Kind.FACE, "nurse", torch.rand(1, 4, 4, 3))
    _, report = write_case(Scene(None, (), (Subject(face, (mask,)),)), "A nurse, a face mask", "n", "case", False)
    sentence = 'The release reads "face mask" as a face without words, bound to nothing.'
    assert f"**Warning:** {sentence}" in report and sentence in caplog.text


@pytest.mark.parametrize(
    "folder",
    ["", " ", "..", "../x", "a/../b", "/etc", "C:/x", "C:x", "a\\b", "a//b", "a/", ".hidden", "a/.hidden", "nul",
     "x/CON.txt", "a\0b", "a b.", "x.part", "a/b/c/d", "conin$", "CONOUT$.x", "com\u00b9", "lpt3 .x", "x" * 101,
     "a\nb", "\ud800", "a /b", "what?", "\u4e2d" * 80],
)
def test_folders_that_are_no_plain_names_are_refused_before_anything_is_written(outputs, folder):
    for refuse in (lambda: check_case_names("n", folder), lambda: write_case(SCENE, "lamp", "n", folder, False)):
        with pytest.raises(LumosXError, match="folder: .* is not a plain folder name"):
            refuse()
    assert list(outputs.iterdir()) == []


def test_names_that_are_not_known_yet_are_not_checked(outputs):
    check_case_names(None, None)
    check_case_names("a name", "Fälle/白色 (2)/case-1.5")
    with pytest.raises(LumosXError, match="name: 'a;b' cannot"):
        check_case_names("a;b", None)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_writing_does_not_follow_a_link_out_of_the_output_folder(inputs, outputs):
    (outputs / "away").symlink_to(inputs)
    with pytest.raises(LumosXError, match="leads out of ComfyUI's output folder by a link"):
        write_case(SCENE, "lamp", "n", "away/case", False)
    with pytest.raises(LumosXError, match="is a link or a file"):
        write_case(SCENE, "lamp", "n", "away", True)
    assert list(inputs.iterdir()) == []
    (outputs / "circle").symlink_to("circle")
    with pytest.raises(LumosXError, match="cannot be (opened|written)"):
        write_case(SCENE, "lamp", "n", "circle/case", False)
    with pytest.raises(LumosXError, match="^case: "):
        open_case("circle [output]")


def test_what_a_kill_left_of_saving_is_in_order_after_a_start(inputs, outputs):
    for place in ("case", "mine/case", "mine/lamps/case"):
        write_case(SCENE, "A lamp", "n", place, replace=True)
        folder = outputs / place
        folder.rename(folder.with_name("case.replaced.part"))
        (folder.parent / f"lumosx-{'0' * 32}.part" / "objects").mkdir(parents=True)
        # Until then, and while another process replaces it, the old one is read.
        assert read_case(f"{place} [output]")[1] == "A lamp" and answer_case(f"{place} [output]")["prompt"] == "A lamp"
    for number in range(5000):
        (outputs / f"{number}.png").touch()
    tidy_saved_cases()
    assert not list(outputs.rglob("*.part"))
    assert list_cases() == [*BUILT_INS, "case [output]", "mine/case [output]", "mine/lamps/case [output]"]


def test_no_output_folder_stops_no_start(inputs):
    tidy_saved_cases()


def test_built_in_cases_are_separate_and_never_change(inputs):
    assert [open_case(name).name for name in BUILT_INS] == ["demo", "portraits"]
    assert [case_fingerprint(name) for name in BUILT_INS] == list(BUILT_INS)
