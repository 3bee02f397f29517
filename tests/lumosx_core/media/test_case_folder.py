"""Case folders: the release's format, read the same everywhere."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from lumosx_core.errors import LumosXError
from lumosx_core.media import case_files, load_case
from lumosx_core.tiny.demo_case import write_demo_case

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


@pytest.fixture
def described(case):
    """described(entries, *files) writes a folder of pictures with a lumosx.json around the given parts."""
    def write(*files, **parts):
        root = case(*files)
        whole = {"version": 1, "background": None, "objects": [], "subjects": [], **parts}
        (root / "lumosx.json").write_text(json.dumps(whole), encoding="utf-8")
        return root

    return write


def entry(file, phrase="lamp", occurrence=0, **more):
    return {"file": file, "phrase": phrase, "occurrence": occurrence, **more}


def test_a_description_decides_and_what_it_does_not_name_follows_with_a_note(described):
    found = load_case(described(
        "objects/b.png", "objects/a.png", "objects/more.png", "background/room.png", "subjects/1/x.png",
        "subjects/1/face_new.png", "subjects/1/tie.png", "subjects/7/face_boy.png", "subjects/3/man.png",
        objects=[entry("objects/b.png", "blue lamp", 2), entry("objects/a.png", "a/b"),
                 entry("subjects/3/man.png", "man", full_body=True)],
        subjects=[{"face": entry(None, "woman", 1), "attributes": [entry("subjects/1/x.png", "coat")]}],
    ))
    assert phrases(found.scene) == [
        ("background", "room"), ("object", "blue lamp"), ("object", "a/b"), ("object", "man"), ("object", "more"),
        ("attribute", "coat"), ("attribute", "tie"), ("face", "boy"),
    ]
    assert [word.occurrence for word in found.scene.objects] == [2, 0, 0, 0]
    assert [word.full_body for word in found.scene.objects] == [False, False, True, False]
    assert (found.scene.subjects[0].face.phrase, found.scene.subjects[0].face.occurrence) == ("woman", 1)
    assert sorted(found.notes) == sorted([
        *(f"{name} was added, although lumosx.json does not name it."
          for name in ("objects/more.png", "background/room.png", "1/tie.png", "7/face_boy.png")),
        "1/face_new.png was left out: a subject has one face.",
    ])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read"),
        ("[" * 100000, "cannot be read"),
        ("[]", "needs exactly version, background, objects, subjects at the whole file"),
        ("{}", "needs exactly version"),
        ('{"version": 2, "anything": 1}', "has version 2, but this LumosX reads 1"),
        ('{"version": true, "background": null, "objects": [], "subjects": []}', "no whole number as its version"),
        ('{"version": 1, "background": null, "objects": {}, "subjects": []}', "has no list at objects"),
        ('{"version": 1, "background": null, "objects": [], "subjects": [], "extra": 1}', "needs exactly"),
    ],
)
def test_a_broken_description_ends_in_a_sentence(case, text, sentence):
    root = case("objects/lamp.png")
    (root / "lumosx.json").write_text(text, encoding="utf-8")
    with pytest.raises(LumosXError, match=f"case: case/lumosx.json .*{sentence}.*; mend it, or delete it"):
        load_case(root)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (entry("objects/gone.png"), "names 'objects/gone.png', which is not there"),
        (entry("objects/../../outside.png"), "which is no path to a picture in subjects, objects, background"),
        (entry("../outside.png"), "which is no path"),
        (entry("/etc/hostname"), "which is no path"),
        (entry("objects\\lamp.png"), "which is no path"),
        (entry("objects/a\0b"), "which is no path"),
        (entry("objects//lamp.png"), "which is no path"),
        (entry("caption.txt"), "which is no path"),
        (entry("objects"), "which is no path"),
        (entry("objects/" + "x" * 300), "which cannot be opened"),
        (entry("objects/lamp.png", "\ud800"), "cannot be read"),
        (entry(None), "file, phrase or occurrence of the wrong type at objects 1"),
        (entry("objects/lamp.png", 5), "wrong type at objects 1"),
        (entry("objects/lamp.png", "x", True), "wrong type at objects 1"),
        (entry("objects/lamp.png", "x", 1.0), "wrong type at objects 1"),
        (entry("objects/lamp.png", full_body="yes"), "full_body that is neither true nor false"),
        (entry("objects/lamp.png", full_body=1), "full_body that is neither true nor false"),
        (entry("objects/lamp.png", occurence=1), "needs exactly file, phrase, occurrence at objects 1"),
        ("objects/lamp.png", "needs exactly file, phrase, occurrence at objects 1"),
    ],
)
def test_an_entry_that_does_not_fit_ends_in_a_sentence(described, value, sentence):
    with pytest.raises(LumosXError, match=sentence):
        load_case(described("objects/lamp.png", objects=[value]))


@pytest.mark.parametrize(
    ("person", "sentence"),
    [
        ({"face": None, "attributes": []}, "has nothing at subjects 1"),
        ({"face": entry(None, "man"), "attributes": []}, "case file lumosx.json: a subject has no picture"),
        ({"face": entry("objects/lamp.png", full_body=True), "attributes": []}, "needs exactly file, phrase"),
        ({"face": entry("objects/lamp.png", ""), "attributes": []}, "the phrase is empty"),
        ({"face": entry("objects/lamp.png", "x", -1), "attributes": []}, "occurrence -1 is below 0"),
        ({"face": entry("objects/lamp.png")}, "needs exactly face, attributes at subjects 1"),
    ],
)
def test_a_person_that_does_not_fit_ends_in_a_sentence(described, person, sentence):
    with pytest.raises(LumosXError, match=sentence):
        load_case(described("objects/lamp.png", subjects=[person]))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_description_does_not_follow_links_out_of_the_case(described, tmp_path):
    root = described("objects/lamp.png", objects=[entry("objects/link.png")])
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    (root / "objects" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(LumosXError, match="a link that leads out of the case"):
        load_case(root)
    (root / "objects" / "link.png").unlink()
    (root / "objects" / "link.png").symlink_to("link.png")
    with pytest.raises(LumosXError, match="which (cannot be opened|is not there)"):
        load_case(root)


def test_full_bodies_are_taken_when_asked_for(case):
    root = case(
        "objects/lamp.png", "subjects/1/face_man.png", "subjects/1/fullbody_tall man.png", "subjects/1/fullbody_x.png",
        "subjects/2/FullFullBody_woman.png", "subjects/3/hat.png", "subjects/3/fullbodysuit.png",
    )
    scene = load_case(root).scene
    assert phrases(scene) == [("object", "lamp"), ("face", "man"), ("attribute", "hat")]
    found = load_case(root, full_bodies=True)
    assert [(word.phrase, word.full_body) for word in found.scene.objects] == [
        ("lamp", False), ("tall man", True), ("woman", True),
    ]
    assert len(found.scene.subjects) == 2
    assert len(found.notes) == 2 and "fullbody_x.png was left out: a subject has one full body" in found.notes[0]
    assert "fullbodysuit.png was left out" in found.notes[1]


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs are not part of the project")
@pytest.mark.parametrize(
    ("name", "references"), [("identity_1", 2), ("identity_2", 2), ("subject_1", 4), ("subject_2", 8)]
)
def test_real_photographs(name, references):
    found = load_case(PHOTOGRAPHS / name)
    assert (len(found.scene.references), len(found.scene.subjects)) == (references, 2)
    assert all(reference.phrase in found.prompt for reference in found.scene.references)
    assert found.notes == () and found.scene.warnings() == ()


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="only Linux has a file that nobody can read")
def test_a_caption_that_cannot_be_read_is_one_sentence(case):
    folder = case("objects/lamp.png", caption=None)
    (folder / "caption.txt").symlink_to("/proc/self/mem")
    with pytest.raises(LumosXError, match="^case: .* of case cannot be read"):
        load_case(folder)
