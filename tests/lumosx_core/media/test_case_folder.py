"""Case folders: the release's format, read the same everywhere."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.media import case_files, load_case
from lumosx_core.tiny.drawing import write_demo_case

PHOTOGRAPHS = Path(__file__).parents[4] / "shared" / "cases"


@pytest.fixture
def case(tmp_path):
    """case("subjects/1/face_man.png", …, caption="name;prompt") writes a folder of small pictures."""
    def write(*files, caption="name;a prompt", folder="case"):
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        if caption is not None:
            (root / "caption.txt").write_text(caption, encoding="utf-8")
        for file in files:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                Image.new("RGB", (6, 4), (200, 100, 50)).save(path)
            else:
                path.write_bytes(b"x")
        return root

    return write


def phrases(scene):
    return [(reference.kind.value, reference.phrase) for reference in scene.references]


def test_order_is_fixed_whatever_the_file_system_says(case):
    found = load_case(case(
        "subjects/10/face_tenth.png", "subjects/2/face_second.png", "subjects/2/a hat.png", "subjects/2/Z coat.png",
        "objects/lamp.png", "objects/Apple.png", "background/cozy, warmly lit room.png",
    ))
    assert phrases(found.scene) == [
        ("background", "cozy, warmly lit room"), ("object", "Apple"), ("object", "lamp"),
        ("face", "second"), ("attribute", "a hat"), ("attribute", "Z coat"), ("face", "tenth"),
    ]
    assert found.notes == ()


def test_dotfiles_are_passed_over_and_odd_files_are_named(case):
    found = load_case(case(
        ".DS_Store", "objects/.DS_Store", "objects/dr. martens.png", "objects/readme.md", "subjects/.x/face_a.png",
        "subjects/1/face_man.png", "subjects/1/surface pattern.png", "subjects/1/fullfullbody_man.png",
        "subjects/1/face_other.png", "subjects/stray.txt", "subjects/2/notes.txt", "background/a.png",
        "background/b.png",
    ))
    assert phrases(found.scene) == [
        ("background", "a"), ("object", "dr. martens"), ("face", "man"), ("attribute", "surface pattern"),
    ]
    notes = "\n".join(found.notes)
    for name in ("background/b.png", "objects/readme.md", "fullfullbody_man.png", "face_other.png", "stray.txt",
                 "notes.txt", "subjects/2 was left out"):
        assert name in notes
    assert "DS_Store" not in notes


def test_pictures_in_the_wrong_place_are_named(case):
    found = load_case(case("objects/lamp.png", "red hat.png", "object/white lamp.png", "Background/park.png"))
    assert phrases(found.scene) == [("object", "lamp")]
    for name in ("red hat.png", "object", "Background"):
        assert any(note.startswith(f"{name} was left out: a case has only caption.txt") for note in found.notes)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_files_behind_a_link_belong_to_the_case(case, tmp_path):
    root, person = case("objects/lamp.png"), case("face_man.png", folder="person", caption=None)
    (root / "subjects").mkdir()
    (root / "subjects" / "1").symlink_to(person)
    (root / "subjects" / "again").symlink_to(root)
    assert [path.name for path in case_files(root)] == ["caption.txt", "lamp.png", "face_man.png"]
    assert ("face", "man") in phrases(load_case(root).scene)


@pytest.mark.parametrize(
    ("caption", "name", "prompt"),
    [
        ("video_1;Two men; one dog", "video_1", "Two men; one dog"),
        ("no separator here", "case", "no separator here"),
        ("\ufeffname;  a \n prompt \n", "name", "a prompt"),
        (";a prompt", "case", "a prompt"),
    ],
)
def test_captions(case, caption, name, prompt):
    found = load_case(case("objects/lamp.png", caption=caption))
    assert (found.name, found.prompt) == (name, prompt)


@pytest.mark.parametrize(
    ("files", "caption", "sentence"),
    [
        (["objects/lamp.png"], None, "has no caption.txt; write one line"),
        (["objects/lamp.png"], "name;  ", "has no prompt"),
        ([], "name;prompt", "holds no pictures; it needs subjects/1/face_<phrase>.png"),
        (["subjects/1/face_.png"], "name;prompt", "case file 1/face_.png: the phrase is empty"),
        (["objects/lamp.jpg"], "name;prompt", "case: objects/lamp.jpg is no readable picture"),
    ],
)
def test_bad_cases_end_in_a_sentence(case, files, caption, sentence):
    with pytest.raises(LumosXError, match=sentence):
        load_case(case(*files, caption=caption))


def test_a_caption_that_is_no_utf8_and_a_missing_folder_are_named(case, tmp_path):
    root = case("objects/lamp.png")
    (root / "caption.txt").write_bytes(b"name;\xff\xfe")
    with pytest.raises(LumosXError, match="is not UTF-8 text"):
        load_case(root)
    with pytest.raises(LumosXError, match="there is no folder gone"):
        load_case(tmp_path / "gone")


def test_the_drawn_case_reads_the_same_after_a_move(tmp_path):
    first = write_demo_case(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    assert phrases(load_case(first).scene) == phrases(load_case(tmp_path / "second").scene)


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs are not part of the project")
@pytest.mark.parametrize(
    ("name", "references"), [("identity_1", 2), ("identity_2", 2), ("subject_1", 4), ("subject_2", 8)]
)
def test_real_photographs(name, references):
    found = load_case(PHOTOGRAPHS / name)
    assert (len(found.scene.references), len(found.scene.subjects)) == (references, 2)
    assert all(reference.phrase in found.prompt for reference in found.scene.references)
    assert found.notes == () and found.scene.warnings() == ()
