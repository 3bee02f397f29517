"""Cases written and read back: the same scene, prompt and name, whatever the phrases are."""

import multiprocessing
import os
import pickle
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.cases import load_case, write_case_folder
from lumosx_core.cases.reading import FACE, FULL_BODY
from lumosx_core.cases.writing import CASES, picture_name, release_warnings
from lumosx_core.errors import LumosXError
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from support import killed_writers

PHOTOGRAPHS = Path(__file__).parents[4] / "shared" / "cases"
ODD = [
    "con", "NUL.txt", "com1", "face_man", "FACE_", "fullbody", "fullfullbody_man", ".hidden", "..", "...",
    "dr. martens.", "a/b\\c", "C:\\x", "a?*<>|\"b", "Hat", "hat", "HAT", "ß", "ss", "é", "e\u0301",
    "\U0001f469\u200d\U0001f467", "白色外套", "x" * 400, "é" * 300, "hat (2)", "caption.txt", "a\x00b", "\x7f",
    "lumosx.json", "cozy, warmly lit room", "man's \"hat\"", "-rf", "~", "%s",
]
letters = st.characters(exclude_categories=["Cs"])
phrases = (st.sampled_from(ODD) | st.text(letters, min_size=1, max_size=12)).filter(lambda text: text.split())
occurrences = st.integers(0, 3)


@st.composite
def pictures(draw):
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    pixels = draw(st.lists(st.integers(0, 255), min_size=height * width * 3, max_size=height * width * 3))
    return torch.tensor(pixels, dtype=torch.uint8).reshape(1, height, width, 3).float() / 255


def references(kind, image, full_body=False):
    return st.builds(
        Reference, st.just(kind), phrases, image, occurrences, st.just(""),
        st.booleans() if full_body else st.just(False),
    )


@st.composite
def subjects(draw):
    attributes = tuple(draw(st.lists(references(Kind.ATTRIBUTE, pictures()), max_size=3)))
    face = references(Kind.FACE, st.none() | pictures() if attributes else pictures())
    return Subject(draw(st.none() | face if attributes else face), attributes)


@st.composite
def scenes(draw):
    background = draw(st.none() | references(Kind.BACKGROUND, pictures()))
    objects = draw(st.lists(references(Kind.OBJECT, pictures(), full_body=True), max_size=3))
    people = draw(st.lists(subjects(), min_size=0 if background or objects else 1, max_size=3))
    if people and people[0].words and draw(st.booleans()):
        word = people[0].words[0]
        objects.append(Reference(Kind.OBJECT, word.phrase, draw(pictures()), word.occurrence, full_body=True))
    return Scene(background, tuple(objects), tuple(people))


def content(scene):
    """A scene as plain values, pixels included."""
    def of(word):
        pixels = None if word is None or word.image is None else (word.image.shape, word.image.numpy().tobytes())
        return word and (word.kind, word.phrase, word.occurrence, word.full_body, pixels)

    people = [(of(subject.face), [of(word) for word in subject.attributes]) for subject in scene.subjects]
    return of(scene.background), [of(word) for word in scene.objects], people


def picture(kind, phrase, value=0.0, occurrence=0, full_body=False):
    return Reference(kind, phrase, torch.full((1, 2, 2, 3), value), occurrence, full_body=full_body)


@pytest.fixture
def scene():
    return Scene(
        picture(Kind.BACKGROUND, "park"),
        (picture(Kind.OBJECT, "lamp"), picture(Kind.OBJECT, "boy", full_body=True),
         picture(Kind.OBJECT, "man", full_body=True)),
        (Subject(picture(Kind.FACE, "man"), (picture(Kind.ATTRIBUTE, "z hat"), picture(Kind.ATTRIBUTE, "a coat"))),
         Subject(Reference(Kind.FACE, "woman", None, 2), (picture(Kind.ATTRIBUTE, "dress"),))),
    )


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@settings(max_examples=150)
@given(scenes(), st.text(letters), st.text(letters))
def test_any_scene_reads_back_exactly(tmp_path_factory, scene, prompt, name):
    name = " ".join(name.replace(";", "").replace("\ufeff", "").split()) or "name"
    prompt = " ".join(prompt.split()) or "prompt"
    target = tmp_path_factory.getbasetemp() / "any" / "case"
    folder = write_case_folder(scene, prompt, name, target)
    try:
        for full_bodies in (False, True):
            case = load_case(folder, full_bodies)
            assert content(case.scene) == content(scene)
            assert (case.prompt, case.name, case.notes) == (prompt, name, ())
    finally:
        shutil.rmtree(folder)


@settings(max_examples=300)
@given(st.lists(phrases, max_size=6), st.sampled_from(["", "face_", "fullfullbody_"]))
def test_names_are_what_every_system_takes_and_no_two_are_alike(found, prefix):
    taken = set()
    names = [picture_name(" ".join(phrase.split()), prefix, taken) for phrase in found]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert len(name.encode()) <= 140 and not name.startswith(".") and name.endswith(".png")
        assert not set('<>:"/\\|?*') & set(name) and all(ord(letter) >= 32 for letter in name)
        assert name.split(".")[0].rstrip().casefold() not in ("con", "prn", "aux", "nul", "com1", "lpt9")
        assert prefix or not (FACE.match(name) or FULL_BODY.match(name))


def test_plain_phrases_are_the_names_as_the_release_reads_them(tmp_path, scene):
    folder = write_case_folder(scene, "a prompt", "name", tmp_path / "case")
    assert files(folder) == [
        "background/park.png", "caption.txt", "lumosx.json", "objects/boy.png", "objects/lamp.png",
        "subjects/1/a coat.png", "subjects/1/face_man.png", "subjects/1/fullfullbody_man.png", "subjects/1/z hat.png",
        "subjects/2/dress.png",
    ]
    assert (folder / "caption.txt").read_bytes() == b"name;a prompt"
    with Image.open(folder / "subjects/1/a coat.png") as found:
        assert found.mode == "RGB" and np.asarray(found).max() == 0
    (folder / "lumosx.json").unlink()
    case = load_case(folder)
    assert [word.phrase for word in case.scene.references] == ["park", "boy", "lamp", "man", "a coat", "z hat", "dress"]
    assert len(case.notes) == 1 and "fullfullbody_man.png was left out" in case.notes[0]
    assert [word.phrase for word in load_case(folder, True).scene.full_bodies] == ["man"]


def test_a_full_body_of_two_people_with_the_same_words_lies_among_the_objects(tmp_path):
    twins = tuple(Subject(picture(Kind.FACE, "man")) for _ in range(2))
    scene = Scene(None, (picture(Kind.OBJECT, "man", full_body=True),), twins)
    folder = write_case_folder(scene, "p", "n", tmp_path / "case")
    assert files(folder) == [
        "caption.txt", "lumosx.json", "objects/man.png", "subjects/1/face_man.png", "subjects/2/face_man.png",
    ]
    assert content(load_case(folder, True).scene) == content(scene)


@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs are not part of the project")
@pytest.mark.parametrize("name", ["identity_1", "identity_2", "subject_1", "subject_2"])
def test_the_releases_own_cases_come_out_as_they_went_in(tmp_path, name):
    first = load_case(PHOTOGRAPHS / name)
    folder = write_case_folder(first.scene, first.prompt, first.name, tmp_path / "case")
    assert [file for file in files(folder) if file != "lumosx.json"] == files(PHOTOGRAPHS / name)
    assert (folder / "caption.txt").read_bytes() == (PHOTOGRAPHS / name / "caption.txt").read_bytes()
    assert content(load_case(folder).scene) == content(first.scene)


def test_numbers_follow_the_highest_there(tmp_path, scene):
    def write():
        return write_case_folder(scene, "p", "n", tmp_path / "a" / "case").name

    assert [write(), write()] == ["case_00001", "case_00002"]
    (tmp_path / "a" / "case_00007").mkdir()
    (tmp_path / "a" / "CASE_00011.txt").write_text("x", encoding="utf-8")
    (tmp_path / "a" / "case_x").mkdir()
    (tmp_path / "a" / "case_00099x_other").mkdir()
    assert write() == "case_00100"


@pytest.mark.parametrize("name", ["a+b", "case (1", "a.b", "[x", "c^$", "a_00005"])
def test_numbers_follow_whatever_the_name_is(tmp_path, scene, name):
    (tmp_path / f"{name}_00007").mkdir()
    # Those of other names, which a pattern of letters would take for the same.
    (tmp_path / "aab_00040").mkdir()
    (tmp_path / "axb_00050").mkdir()
    assert write_case_folder(scene, "p", "n", tmp_path / name).name == f"{name}_00008"


def test_an_empty_folder_is_replaced(tmp_path, scene):
    (tmp_path / "case").mkdir()
    target = write_case_folder(scene, "p", "n", tmp_path / "case", replace=True)
    assert load_case(target).prompt == "p" and os.listdir(tmp_path) == ["case"]


def test_replacing_swaps_the_whole_case(tmp_path, scene):
    target = tmp_path / "case"
    assert write_case_folder(scene, "p", "n", target, replace=True) == target
    (target / ".DS_Store").write_bytes(b"x")
    (target / "subjects" / "1" / "added.jpg").write_bytes(b"x")
    small = Scene(picture(Kind.BACKGROUND, "beach"))
    assert write_case_folder(small, "q", "n", target, replace=True) == target
    assert files(target) == ["background/beach.png", "caption.txt", "lumosx.json"]
    assert os.listdir(tmp_path) == ["case"]


@pytest.mark.parametrize(
    "stray", ["video.mp4", "notes/a.txt", "red hat.png", ".git/config", "subjects/1/take.mp4", ".secret"]
)
def test_what_is_no_case_is_never_replaced(tmp_path, scene, stray):
    target = write_case_folder(scene, "p", "n", tmp_path / "case", replace=True)
    (target / stray).parent.mkdir(exist_ok=True)
    (target / stray).write_bytes(b"mine")
    before = files(target)
    with pytest.raises(LumosXError, match=f"folder: case holds '{stray}' too, so it is not just a case"):
        write_case_folder(scene, "p", "n", target, replace=True)
    other = tmp_path / "other"
    (other / "objects").mkdir(parents=True)
    (other / "objects" / "lamp.png").write_bytes(b"mine")
    with pytest.raises(LumosXError, match=r"folder: other has no caption\.txt"):
        write_case_folder(scene, "p", "n", other, replace=True)
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(LumosXError, match="folder: file .* is a link or a file"):
        write_case_folder(scene, "p", "n", tmp_path / "file", replace=True)
    assert files(target) == before and sorted(os.listdir(tmp_path)) == ["case", "file", "other"]


@pytest.mark.parametrize("stray", ["notes/", "objects/more/", "subjects/1/originals/", "subjects/1/2/3/", ".git/",
                                   "objects/more/a.png", "subjects/a.png", "caption.txt/"])
def test_folders_and_pictures_where_no_case_has_them_are_never_lost(tmp_path, scene, stray):
    target = write_case_folder(scene, "p", "n", tmp_path / "case", replace=True)
    if stray == "caption.txt/":
        (target / "caption.txt").unlink()
    if stray.endswith("/"):
        (target / stray).mkdir(parents=True)
    else:
        (target / stray).parent.mkdir(exist_ok=True)
        (target / stray).write_bytes(b"mine")
    with pytest.raises(LumosXError, match="^folder: case holds .* too, so it is not just a case"):
        write_case_folder(scene, "p", "n", target, replace=True)
    assert (target / stray).exists() and os.listdir(tmp_path) == ["case"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
@pytest.mark.parametrize("link", ["objects/lamp.png", "caption.txt", "lumosx.json", "subjects/1/x.png", "subjects/9",
                                  "background", ".DS_Store", "objects/gone.png"])
def test_links_in_a_case_are_never_lost(tmp_path, scene, link):
    target = write_case_folder(scene, "p", "n", tmp_path / "case", replace=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.png").write_bytes(b"mine")
    path = target / link
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(outside / ("gone" if "gone" in link else "mine.png" if "." in link else ""))
    with pytest.raises(LumosXError, match=f"^folder: case holds '{link}' too"):
        write_case_folder(scene, "p", "n", target, replace=True)
    assert path.is_symlink() and (outside / "mine.png").read_bytes() == b"mine"


def test_what_comes_while_a_case_is_written_is_not_lost(tmp_path, scene, monkeypatch):
    target = write_case_folder(scene, "p", "n", tmp_path / "case", replace=True)
    saved = Image.Image.save
    monkeypatch.setattr(Image.Image, "save", lambda *rest, **named: (
        (target / "video.mp4").write_bytes(b"mine"), saved(*rest, **named)))
    with pytest.raises(LumosXError, match="holds 'video.mp4' too"):
        write_case_folder(scene, "p", "n", target, replace=True)
    assert (target / "video.mp4").read_bytes() == b"mine" and os.listdir(tmp_path) == ["case"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit for the size of files")
@pytest.mark.parametrize("room", [0, 30, 60, 80, 200, 500])
def test_a_full_disk_leaves_the_old_case_and_nothing_else(tmp_path, scene, full_disk, room):
    target = write_case_folder(scene, "p", "n", tmp_path / "case", replace=True)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    for replace in (True, False):
        with full_disk(room), pytest.raises(LumosXError, match="folder: case cannot be written") as caught:
            write_case_folder(scene, "q", "n", target, replace=replace)
        assert str(tmp_path) not in str(caught.value)
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    assert os.listdir(tmp_path) == ["case"]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot lock a folder")
@pytest.mark.parametrize("moment", ["writing", "moved away", "in place"])
@pytest.mark.parametrize("again", ["save", "start"])
def test_what_a_kill_left_is_put_back_or_cleaned(tmp_path, scene, moment, again):
    target = write_case_folder(scene, "old", "n", tmp_path / "case", replace=True)
    process = killed_writers.start(killed_writers.save_and_die, pickle.dumps(scene), target, moment)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert any(path.name.endswith(".part") for path in tmp_path.iterdir())
    assert target.exists() == (moment != "moved away")
    if again == "start":
        CASES.put_back_leftovers(tmp_path)
        assert load_case(target).prompt == ("new" if moment == "in place" else "old")
        assert os.listdir(tmp_path) == ["case"]
    else:
        write_case_folder(scene, "newer", "n", target, replace=True)
        assert load_case(target).prompt == "newer" and os.listdir(tmp_path) == ["case"]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot lock a folder")
def test_only_our_own_leftovers_are_touched(tmp_path, scene, monkeypatch):
    mine = f"lumosx-{'0' * 32}.part"
    (tmp_path / mine / "objects").mkdir(parents=True)
    (tmp_path / mine / "objects" / "video.mp4").write_bytes(b"mine")
    (tmp_path / f"lumosx-{'1' * 32}.part").write_bytes(b"a file")
    (tmp_path / f"lumosx-{'2' * 32}.part").symlink_to(tmp_path / "elsewhere")
    for name in ("lumosx-x.part", "other.part", "new.replaced.part", "case.replaced.part"):
        (tmp_path / name).mkdir()
    (tmp_path / "case.replaced.part" / "video.mp4").write_bytes(b"mine")
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "caption.txt").write_bytes(b"x")
    CASES.put_back_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([
        mine, f"lumosx-{'1' * 32}.part", f"lumosx-{'2' * 32}.part", "lumosx-x.part", "other.part", "new", "case",
        "case.replaced.part",
    ])
    with pytest.raises(LumosXError, match="folder: case.replaced.part is in the way"):
        write_case_folder(scene, "p", "n", tmp_path / "case", replace=True)
    assert (tmp_path / "case.replaced.part" / "video.mp4").read_bytes() == b"mine"
    # One that is being written just now stays.
    saved = Image.Image.save

    def look(*rest, **named):
        CASES.put_back_leftovers(tmp_path / "a")
        saved(*rest, **named)

    monkeypatch.setattr(Image.Image, "save", look)
    assert load_case(write_case_folder(scene, "p", "n", tmp_path / "a" / "case")).prompt == "p"


@pytest.mark.parametrize(
    ("prompt", "name", "sentence"),
    [
        (" \n", "n", "prompt: it is empty"),
        ("p", "a;b", "name: 'a;b' cannot be the name of a case"),
        ("p", "a\nb", "cannot be the name of a case"),
        ("p", " ", "cannot be the name of a case"),
        ("p", "\ufeff", "cannot be the name of a case"),
        ("p", "a\u2028b", "cannot be the name of a case"),
        ("p\ud800", "n", "half of a character"),
        ("p", "\udfff", "half of a character"),
    ],
)
def test_what_a_caption_cannot_hold_is_refused_before_anything_is_written(tmp_path, scene, prompt, name, sentence):
    with pytest.raises(LumosXError, match=sentence):
        write_case_folder(scene, prompt, name, tmp_path / "case")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_is_not_replaced(tmp_path, scene):
    real = write_case_folder(scene, "p", "n", tmp_path / "real", replace=True)
    (tmp_path / "link").symlink_to(real)
    with pytest.raises(LumosXError, match="is a link or a file"):
        write_case_folder(scene, "p", "n", tmp_path / "link", replace=True)
    assert (tmp_path / "link").is_symlink() and (real / "caption.txt").is_file()


def test_a_failure_halfway_leaves_the_old_case_and_nothing_else(tmp_path, scene, monkeypatch):
    target = write_case_folder(scene, "p", "n", tmp_path / "case", replace=True)
    before = files(target)
    saved = Image.Image.save

    def full_disk(self, path, *arguments, **options):
        if "dress" in str(path):
            raise OSError(28, "No space left on device")
        saved(self, path, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", full_disk)
    for replace in (True, False):
        with pytest.raises(LumosXError, match="folder: case cannot be written .*No space left"):
            write_case_folder(scene, "p", "n", target, replace=replace)
    assert files(target) == before and os.listdir(tmp_path) == ["case"]


def test_a_swap_that_fails_puts_the_old_case_back(tmp_path, scene, monkeypatch):
    target = write_case_folder(scene, "old", "n", tmp_path / "case", replace=True)
    moved = Path.rename

    def denied(self, to):
        if Path(to) == target and (self / "caption.txt").read_text(encoding="utf-8") == "n;new":
            raise PermissionError(13, "in use")
        return moved(self, to)

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(LumosXError, match="cannot be written"):
        write_case_folder(scene, "new", "n", target, replace=True)
    assert load_case(target).prompt == "old" and os.listdir(tmp_path) == ["case"]


def is_whole(folder):
    try:
        case = load_case(folder)
    except LumosXError:
        return False
    return len(case.scene.references) == 40 and case.notes == ()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork server")
@pytest.mark.parametrize("how", ["number", "replace"])
@pytest.mark.parametrize("delay", [0.001, 0.013, 0.05, 0.11])
def test_a_kill_leaves_whole_cases_only(tmp_path, delay, how):
    heard, connection = multiprocessing.Pipe(duplex=False)
    process = killed_writers.start(
        killed_writers.save_again_and_again, tmp_path / "case", how == "replace", connection
    )
    assert heard.recv() == "saved"
    time.sleep(delay)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert all(is_whole(path) for path in tmp_path.iterdir() if not path.name.endswith(".part"))
    # At no moment is there no copy at all.
    assert any(is_whole(path) for path in tmp_path.iterdir())


def plain_scene(attributes=(), objects=(), background=None, face="man"):
    """A scene of 1x1 pictures with these phrases."""
    def made(kind, phrase):
        return Reference(kind, phrase, torch.zeros(1, 1, 1, 3))

    subject = Subject(made(Kind.FACE, face), tuple(made(Kind.ATTRIBUTE, phrase) for phrase in attributes))
    return Scene.of_people(
        None if background is None else made(Kind.BACKGROUND, background),
        [made(Kind.OBJECT, phrase) for phrase in objects], [subject],
    )


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        ({"attributes": ["surface pattern"]}, '"surface pattern" as a face without words, bound to nothing.'),
        ({"attributes": ["face_man"]}, '"face_man" as a face with the words "face_man".'),
        ({"attributes": ["a/b"]}, '"a/b" as an attribute with the words "a_b".'),
        ({"attributes": ["hat", "hat"]}, '"hat" as an attribute with the words "hat (2)".'),
        ({"objects": ["dr. martens"]}, '"dr. martens" as an object with the words "dr".'),
        ({"background": "st. peter"}, '"st. peter" as a background with the words "st".'),
        ({"face": "a/b"}, '"a/b" as a face with the words "a_b".'),
        ({"objects": ["park"], "background": "park"}, 'only one of the 2 pictures with the words "park".'),
        ({"attributes": ["man"]}, 'only one of the 2 pictures with the words "man".'),
        ({"attributes": ["a fullfullbody suit"]}, 'ignores "a fullfullbody suit"'),
    ],
)
def test_what_the_release_reads_otherwise_is_reported(scene, sentence):
    warning, = release_warnings(plain_scene(**scene), "a prompt")
    assert warning.startswith("The release ") and sentence in warning


def test_what_the_release_reads_alike_is_not_warned_about():
    scene = plain_scene(["no. 5 shirt", "Facebook shirt"], ["lamp", "box"], "cozy, warmly lit room", "man_on the left")
    assert release_warnings(scene, "a prompt") == []
    assert "in the prompt" in release_warnings(scene, "a {prompt")[0]


def test_words_of_a_person_without_a_face_picture_are_reported():
    hat = Reference(Kind.ATTRIBUTE, "hat", torch.zeros(1, 1, 1, 3))
    scene = Scene(None, (), (Subject(Reference(Kind.FACE, "man", None), (hat,)),))
    warning, = release_warnings(scene, "a prompt")
    assert 'the words of subject 1, "man"' in warning


def test_words_of_an_attribute_without_a_picture_come_back_and_are_reported(tmp_path):
    face, hat = Reference(Kind.FACE, "man", torch.zeros(1, 2, 2, 3)), Reference(Kind.ATTRIBUTE, "hat", None, 2)
    scene = Scene(None, (), (Subject(face, (hat,)),))
    back, = load_case(write_case_folder(scene, "p", "n", tmp_path / "case")).scene.subjects
    assert [(word.phrase, word.occurrence, word.image) for word in back.attributes] == [("hat", 2, None)]
    warning, = release_warnings(scene, "a prompt")
    assert '"hat" of subject 1' in warning


def test_a_scene_of_bypassed_pictures_comes_back_and_is_reported(tmp_path):
    """Background, object and a whole person of words only, beside a picture."""
    words = Reference(Kind.BACKGROUND, "a park", None), Reference(Kind.OBJECT, "lamp", None, 1)
    lamp = Reference(Kind.OBJECT, "box", torch.zeros(1, 2, 2, 3))
    scene = Scene(words[0], (words[1], lamp), (Subject(Reference(Kind.FACE, "man", None)),))
    back = load_case(write_case_folder(scene, "p", "n", tmp_path / "case")).scene
    assert [(word.kind, word.phrase, word.occurrence, word.image is None) for word in back.words] == [
        (word.kind, word.phrase, word.occurrence, word.image is None) for word in scene.words
    ]
    said = release_warnings(scene, "a prompt")
    assert len(said) == 3 and all(any(f'"{phrase}"' in line for line in said) for phrase in ("a park", "lamp", "man"))
