"""Case folders: the release's format, read the same everywhere."""

import json
import os
import shutil
import socket
import stat
from pathlib import Path

import pytest
from PIL import Image

from lumosx_core import untrusted
from lumosx_core.cases import case_files, load_case
from lumosx_core.cases import reading as case_folder
from lumosx_core.cases.names import list_case
from lumosx_core.errors import LumosXError
from lumosx_core.tiny.demo_case import write_demo_case
from lumosx_core.untrusted import read_inside

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
def test_links_inside_a_case_belong_to_it(case):
    root = case("objects/lamp.png", "subjects/1/face_man.png")
    (root / "subjects" / "2").symlink_to("1")
    (root / "objects" / "again.png").symlink_to("lamp.png")
    (root / "caption.txt").rename(root / "text.txt")
    (root / "caption.txt").symlink_to("text.txt")
    assert [path.name for path in case_files(root)] == [
        "caption.txt", "again.png", "lamp.png", "face_man.png", "face_man.png", "text.txt",
    ]
    found = load_case(root)
    assert phrases(found.scene) == [("object", "again"), ("object", "lamp"), ("face", "man"), ("face", "man")]


LEAKS = {
    "a picture": "objects/secret.png", "a person": "subjects/7", "a face": "subjects/1/face_x.png",
    "people": "subjects", "objects": "objects", "the background": "background", "a part of a part": "subjects/1",
}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
@pytest.mark.parametrize("there", [True, False])
def test_links_that_lead_out_are_named_and_never_followed(case, tmp_path, leak, there):
    """A whole folder and a file beside the case; what is said does not depend on whether they are there."""
    root = case("objects/park.png" if leak == "background" else "background/park.png")
    if there:
        case("face_man.png", "1/face_man.png", "file.png", folder="outside", caption=None)
    target = tmp_path / "outside" / ("file.png" if leak.endswith(".png") else "")
    (root / leak).parent.mkdir(parents=True, exist_ok=True)
    (root / leak).symlink_to(target)
    found = load_case(root)
    assert [phrase for _, phrase in phrases(found.scene)] == ["park"]
    name = leak.rpartition("/")[2]
    note, = (note for note in found.notes if "link" in note)
    assert note.endswith(f"{name} was left out: it is a link that leads out of the folder.")
    assert str(tmp_path) not in note
    assert {path.name for path in case_files(root)} == {"park.png", "caption.txt"}
    case_names = list_case(root)
    assert case_names.people == () and len(case_names.objects) + (case_names.background is not None) == 1


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("file", ["caption.txt", "lumosx.json"])
@pytest.mark.parametrize("target", ["secret.txt", "gone.txt", ".", "/etc/passwd", "/etc/gone"])
def test_texts_behind_a_link_are_refused_whatever_is_there(case, tmp_path, file, target):
    root = case("objects/lamp.png")
    (tmp_path / "secret.txt").write_text("name;my password")
    (root / file).unlink(missing_ok=True)
    (root / file).symlink_to(tmp_path / target)
    for read in (load_case, list_case):
        with pytest.raises(LumosXError, match="cannot be read .it is a link that leads out of the folder") as caught:
            read(root)
        assert str(tmp_path) not in str(caught.value) and "etc" not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among files")
@pytest.mark.parametrize("file", ["caption.txt", "lumosx.json", "objects/x.png", "subjects/1/face_x.png", "stray"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_what_is_no_regular_file_never_holds_us_up(case, file, kind):
    root = case("background/park.png")
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("this user may not make devices")
    else:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(path)) if len(str(path)) < 100 else os.mkfifo(path)
    if file in ("caption.txt", "lumosx.json"):
        with pytest.raises(LumosXError, match="has no caption.txt|not a regular file|cannot be read"):
            load_case(root)
        return
    found = load_case(root)
    assert phrases(found.scene) == [("background", "park")]
    assert any(path.name in note and "left out" in note for note in found.notes)
    assert [one.name for one in case_files(root)] == ["park.png", "caption.txt"]
    assert list_case(root).objects == ()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among files")
@pytest.mark.parametrize("swapped", ["pipe", "link"])
def test_a_file_that_is_exchanged_after_the_look_is_not_read(case, tmp_path, monkeypatch, swapped):
    root = case("objects/lamp.png")
    picture = root / "objects" / "lamp.png"
    real = os.path.realpath

    def look(path, **options):
        found = real(path, **options)
        if path == picture:
            picture.unlink(missing_ok=True)
            os.mkfifo(picture) if swapped == "pipe" else picture.symlink_to(tmp_path / "secret.png")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(os.path, "realpath", look)
        with pytest.raises(OSError, match="not a regular file|symbolic links"):
            read_inside(root, picture, 100)


def test_too_much_is_one_sentence(case, monkeypatch):
    root = case(*(f"objects/lamp {number}.png" for number in range(64)))
    assert len(load_case(root).scene.objects) == 64 == len(list_case(root).objects)
    shutil.copytree(root / "objects", root / "background")
    for read in (load_case, list_case):
        with pytest.raises(LumosXError, match="case: case has more than 64 references"):
            read(root)
    shutil.rmtree(root / "background")
    for number in range(66):
        (root / "subjects" / str(number)).mkdir(parents=True)
    for read in (load_case, list_case):
        with pytest.raises(LumosXError, match="case: case has more than 64 references"):
            read(root)
    shutil.rmtree(root / "subjects")
    with monkeypatch.context() as patched:
        patched.setattr(case_folder, "MOST_CASE_PIXELS", 24 * 63)
        with pytest.raises(LumosXError, match="the pictures of case have more than"):
            load_case(root)
    for number in range(100):
        (root / f"stray {number}").touch()
    notes = load_case(root).notes
    assert len(notes) == 65 and notes[-1] == "36 more files were left out or added."
    monkeypatch.setattr(untrusted, "MOST_ENTRIES", 20)
    for read in (load_case, list_case, case_files):
        with pytest.raises(LumosXError, match="contains more than 20 files"):
            read(root)


@pytest.mark.parametrize("file", ["caption.txt", "lumosx.json"])
def test_texts_have_a_size(case, file):
    root = case("objects/lamp.png")
    with open(root / file, "wb") as large:
        large.truncate(50_000_000_000)
    for read in (load_case, list_case):
        with pytest.raises(LumosXError, match="it is larger than 1 MB"):
            read(root)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_odd_names_are_named_in_one_line(case):
    root = case("objects/lamp.png", "objects/a\nb.txt", "objects/\x1b[2J.txt")
    (root / "objects" / os.fsdecode(b"bad\xe9.png")).write_bytes(b"x")
    notes = load_case(root).notes
    assert len(notes) == 3 and all(note.isprintable() for note in notes)
    assert any("its name is not UTF-8" in note for note in notes)
    assert [entry.phrase for _, entry in list_case(root).objects] == ["lamp"]


@pytest.mark.parametrize("name", [f"lamp.{end}" for end in ("jfif", "JFIF", "tif", "TIFF", "webp", "jpeg", "bmp")])
def test_kinds_of_pictures_are_recognised_by_their_content(case, name):
    root = case("background/park.png")
    (root / "objects").mkdir()
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        Image.new("RGB", (4, 4)).save(root / "objects" / name, kind)
        assert phrases(load_case(root).scene)[1:] == [("object", "lamp")]
        assert len(list_case(root).objects) == 1
    for kind in ("EPS", "GIF", "PPM", "ICO", "TGA", "PCX", "JPEG2000"):
        Image.new("RGB", (4, 4)).save(root / "objects" / name, kind)
        with pytest.raises(LumosXError, match="objects/.* not a readable picture"):
            load_case(root)


@pytest.mark.parametrize("name", ["lamp.eps", "lamp.gif", "lamp.psd", "lamp.svg", "lamp"])
def test_files_of_other_kinds_are_passed_over_and_named(case, name):
    root = case("background/park.png")
    (root / "objects").mkdir()
    Image.new("RGB", (4, 4)).save(root / "objects" / name, "PNG")
    found = load_case(root)
    assert found.scene.objects == ()
    assert len(found.notes) == 1 and found.notes[0].startswith(f"objects/{name} ")


def test_of_several_frames_or_pages_the_first_is_used(case):
    root = case("background/park.png")
    (root / "objects").mkdir()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 0, 255), (0, 255, 0))]
    for kind, name in (("WEBP", "a.webp"), ("PNG", "b.png"), ("TIFF", "c.tif"), ("WEBP", "d.png")):
        options = {"lossless": True} if kind == "WEBP" else {}
        frames[0].save(root / "objects" / name, kind, save_all=True, append_images=frames[1:], **options)
    found = load_case(root)
    assert all(word.image[0, 4, 4].tolist() == [1, 0, 0] for word in found.scene.objects)
    names = "a.webp", "b.png", "c.tif", "d.png"
    assert [note.split(" has ")[0] for note in found.notes] == [f"objects/{name}" for name in names]


@pytest.mark.parametrize("file", ["OBJECTS/lamp.png", "objects/LAMP.png", "objects/lamp.png.", "objects/lamp.png ",
                                  "objects/lamp.png::$DATA", "objects/CON", "objects/C:lamp.png", "Objects/lamp.png"])
def test_a_description_names_files_as_they_are_listed(described, monkeypatch, file):
    """As on a system that opens a file by other names too."""
    root = described("objects/lamp.png", objects=[entry(file)])
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    with pytest.raises(LumosXError, match="which (does not exist|is not the path)"):
        load_case(root)


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
        (["objects/lamp.jpg"], "name;prompt", "case: objects/lamp.jpg is not a readable picture"),
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
        ("[]", r"its beginning .*not \[\]"),
        ("{}", "version .*required"),
        ('{"version": 2, "anything": 1}', "has version 2, but this LumosX reads 1"),
        (f'{{"version": {"7" * 4000}}}', "has version 7{20}, but this LumosX reads 1"),
        ('{"version": true, "background": null, "objects": [], "subjects": []}', "version .*not True"),
        ('{"version": 1, "background": null, "objects": {}, "subjects": []}', "objects .*not {}"),
        ('{"version": 1, "background": null, "objects": [], "subjects": [], "extra": 1}', "extra .*not 1"),
    ],
)
def test_a_broken_description_ends_in_a_sentence(case, text, sentence):
    root = case("objects/lamp.png")
    (root / "lumosx.json").write_text(text, encoding="utf-8")
    with pytest.raises(LumosXError, match=f"case: case/lumosx.json .*{sentence}"):
        load_case(root)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (entry("objects/gone.png"), "names 'objects/gone.png', which does not exist"),
        (entry("objects/../../outside.png"), "names .*outside.png"),
        (entry("../outside.png"), "which is not the path"),
        (entry("/etc/hostname"), "which is not the path"),
        (entry("objects\\lamp.png"), "which is not the path"),
        (entry("objects/a\0b"), "which is not the path"),
        (entry("objects//lamp.png"), "which is not the path"),
        (entry("caption.txt"), "which is not the path"),
        (entry("objects"), "which is not the path"),
        (entry("objects/" + "x" * 300), "which cannot be opened"),
        (entry("objects/" + "a/" * 400_000 + "b"), "which is not the path"),
        (entry("objects/" + "e" + "\u0345\u0301\u0316" * 40_000), "which is not the path"),
        (entry("objects/lamp.png", "a " * 400_000), "phrase .*799999"),
        (entry("objects/lamp.png", "\ud800"), "cannot be read"),
        (entry(None, full_body=True), "no image for"),
        (entry("objects/lamp.png", 5), "objects 1 phrase .*not 5"),
        (entry("objects/lamp.png", "x", True), "objects 1 occurrence .*not True"),
        (entry("objects/lamp.png", "x", 1.0), "objects 1 occurrence .*not 1.0"),
        (entry("objects/lamp.png", full_body="yes"), "objects 1 full_body .*not 'yes'"),
        (entry("objects/lamp.png", full_body=1), "objects 1 full_body .*not 1"),
        (entry("objects/lamp.png", occurence=1), "objects 1 occurence .*not 1"),
        ("objects/lamp.png", "objects 1 .*not 'objects/lamp.png'"),
    ],
)
def test_an_entry_that_does_not_fit_ends_in_a_sentence(described, value, sentence):
    with pytest.raises(LumosXError, match=sentence):
        load_case(described("objects/lamp.png", objects=[value]))


@pytest.mark.parametrize(
    ("person", "sentence"),
    [
        ({"face": None, "attributes": []}, "subjects 1 .*face"),
        ({"face": entry("objects/lamp.png", full_body=True), "attributes": []}, "subjects 1 face full_body"),
        ({"face": entry("objects/lamp.png", ""), "attributes": []}, "the phrase is empty"),
        ({"face": entry("objects/lamp.png", "x", -1), "attributes": []}, "occurrence -1 is below 0"),
        ({"face": entry("objects/lamp.png")}, "subjects 1 attributes .*required"),
    ],
)
def test_a_person_that_does_not_fit_ends_in_a_sentence(described, person, sentence):
    with pytest.raises(LumosXError, match=sentence):
        load_case(described("objects/lamp.png", subjects=[person]))


@pytest.mark.skipif(os.name == "nt", reason="a backslash parts names on Windows")
def test_a_name_that_is_a_path_on_windows_is_none_anywhere(described):
    """A case has to mean the same on every system."""
    root = described("objects/lamp.png", objects=[entry("objects/a\\b.png")])
    Image.new("RGB", (2, 2)).save(root / "objects" / "a\\b.png")
    with pytest.raises(LumosXError, match="which is not the path"):
        load_case(root)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_description_does_not_follow_links_out_of_the_case(described, tmp_path):
    root = described("objects/lamp.png", objects=[entry("objects/link.png")])
    Image.new("RGB", (2, 2)).save(tmp_path / "secret.png")
    (root / "objects" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(LumosXError, match="a link that leads out of the case"):
        load_case(root)
    (root / "objects" / "link.png").unlink()
    (root / "objects" / "link.png").symlink_to("link.png")
    with pytest.raises(LumosXError, match="which (cannot be opened|does not exist)"):
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
    # Both people of that case are called "man"; their clothes tell them apart.
    findings = ["shared"] if name == "subject_1" else []
    assert found.notes == () and [finding.code for finding in found.scene.findings()] == findings


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="only Linux has a file that nobody can read")
def test_a_caption_that_cannot_be_read_is_one_sentence(case):
    folder = case("objects/lamp.png", caption=None)
    (folder / "caption.txt").symlink_to("/proc/self/mem")
    with pytest.raises(LumosXError, match="^case: .* of case cannot be read"):
        load_case(folder)


def test_names_are_sorted_as_people_count():
    """Signs such as ² are digits to Python, but no numbers."""
    names = ["b", "10.png", "2.png", "a10", "a2", "1\u00b22", "\u00b2", "2", "\u0663", "A3"]
    found = sorted(names, key=lambda name: case_folder.natural(Path(name)))
    assert found == ["1\u00b22", "2", "2.png", "\u0663", "10.png", "a2", "A3", "a10", "b", "\u00b2"]
