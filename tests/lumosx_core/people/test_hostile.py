"""People from strangers: nothing outside is read, nothing without a bound, and every refusal is one sentence."""

import io
import json
import os
import struct
import zipfile

import pytest
import torch
from PIL import Image

from lumosx_core import untrusted
from lumosx_core.errors import LumosXError
from lumosx_core.people import Person, load_person, reading, sources, write_person_folder
from lumosx_core.people.reading import describe_person, read_picture
from lumosx_core.scene.relations import Kind, Reference, Subject

TELLING = b"nobody may read this"


def png(width=2, height=2):
    content = io.BytesIO()
    Image.new("RGB", (width, height)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A person with a face and a hat, in a place of their own."""
    worn = Reference(Kind.ATTRIBUTE, "hat", torch.zeros(1, 2, 2, 3))
    (tmp_path / "people").mkdir()
    (tmp_path / "secret.png").write_bytes(png(7, 7))
    return write_person_folder(
        Person(Subject(Reference(Kind.FACE, "man", torch.ones(1, 2, 2, 3)), (worn,))), tmp_path / "people" / "Bob"
    )


def described(folder, **changes):
    path = folder / "person.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def refused(path, sentence):
    with pytest.raises(LumosXError, match=sentence) as caught:
        load_person(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(("person: ", "person file "))


@pytest.mark.parametrize("file", [
    "../../secret.png", "/etc/passwd", "views/../../../secret.png", "..\\..\\secret.png", "C:secret.png", "", ".", "..",
    "views", "views/", "//secret.png", "a\0.png", "person.json", "other/a.png", "views/deep/a.png", "x" * 5000 + ".png",
    ".hidden.png",
])
def test_a_description_names_only_pictures_of_the_person(folder, file):
    described(folder, face={"file": file, "phrase": "man", "occurrence": 0})
    refused(folder, "which is not the path of a picture of the person")
    described(folder, face=None, views=[file])
    refused(folder, "which is not the path of a picture of the person")


@pytest.mark.parametrize("changes", [
    {"version": 2}, {"version": True}, {"face": 3}, {"face": None, "attributes": []}, {"attributes": {}},
    {"views": ["gone.png"]}, {"note": 5}, {"note": "x" * 10_001}, {"more": 1}, {"views": ["a.png"] * 65},
    {"attributes": [{"file": "hat.png", "phrase": "hat", "occurrence": 0}] * 65},
    {"face": {"file": "face_man.png", "phrase": " ", "occurrence": 0}},
    {"face": {"file": "face_man.png", "phrase": "man", "occurrence": -1}},
    {"face": {"file": "face_man.png", "phrase": "m" * 3000, "occurrence": 0}},
    {"face": {"file": "face_man.png", "phrase": "man", "occurrence": 1.5}},
])
def test_a_description_that_does_not_fit_is_refused(folder, changes):
    described(folder, **changes)
    refused(folder, "person.json|person file")


@pytest.mark.parametrize("content", [
    b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"version": 1, "note": "\\ud800"}', b"null",
])
def test_a_broken_description_is_refused(folder, content):
    (folder / "person.json").write_bytes(content)
    refused(folder, "^person: Bob/person.json ")


def test_links_that_lead_out_are_not_followed(folder, tmp_path):
    (folder / "face_man.png").unlink()
    (folder / "face_man.png").symlink_to(tmp_path / "secret.png")
    refused(folder, "names 'face_man.png', which does not exist")
    (folder / "person.json").unlink()
    person, notes = load_person(folder)
    assert person.subject.face is None and any("leads out" in note for note in notes)
    (folder / "person.json").symlink_to(tmp_path / "secret.png")
    (folder / "views").symlink_to(tmp_path)
    person, notes = load_person(folder)
    assert person.views == () and sum("leads out" in note for note in notes) == 3
    with pytest.raises(LumosXError, match="has no picture"):
        read_picture(folder, "face_man.png", 10**6)


def test_what_is_no_regular_file_is_left_out(folder):
    os.mkfifo(folder / "coat.png")
    (folder / "scarf.png").mkdir()
    _, notes = load_person(folder)
    assert sorted(note.partition(" ")[0] for note in notes) == ["coat.png", "scarf.png"]


def test_a_file_exchanged_for_a_pipe_does_not_hold_anybody_up(folder):
    source = sources.open_person(folder)
    (folder / "hat.png").unlink()
    os.mkfifo(folder / "hat.png")
    with pytest.raises(OSError, match="regular"):
        source.read("hat.png", 100)


def test_pictures_have_bounds(folder, monkeypatch):
    (folder / "hat.png").write_bytes(b"not a picture")
    refused(folder, "hat.png of Bob is not a readable picture")
    assert [entry.phrase for entry in describe_person(folder).entries] == ["man", "hat"]
    (folder / "hat.png").write_bytes(png())
    monkeypatch.setattr(reading, "MOST_BYTES", 20)
    refused(folder, "face_man.png of Bob cannot be read .it is larger than")
    monkeypatch.undo()
    monkeypatch.setattr(reading._Pictures, "most_pixels", 7)
    monkeypatch.setattr(reading._Pictures.__init__, "__defaults__", (7, 0))
    refused(folder, "the pictures of Bob have more than")


def test_a_huge_description_and_too_many_files_are_refused(folder, monkeypatch):
    (folder / "person.json").write_bytes(b" " * 1_000_001)
    refused(folder, "person.json of Bob cannot be read .it is larger than 1 MB")
    (folder / "views").mkdir()
    monkeypatch.setattr(untrusted, "MOST_ENTRIES", 6)
    for number in range(7):
        (folder / "views" / f"{number}.txt").touch()
    refused(folder, "^person: views contains more than 6 files; keep only the files of the person there")


def test_a_folder_without_a_person_says_what_it_needs(tmp_path):
    refused(tmp_path / "nobody", "cannot be read .No such file")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no picture of a person; it needs face_<phrase>.png")


def zipped(path, entries, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def kind_of(name, mode):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


@pytest.mark.parametrize(("entries", "sentence"), [
    ([("../face_man.png", png())], "which leads out of the person"),
    ([("Bob/../../face_man.png", png())], "which leads out of the person"),
    ([("/face_man.png", png())], "which leads out of the person"),
    ([("C:/face_man.png", png())], "which leads out of the person"),
    ([("..\\face_man.png", png())], "which leads out of the person"),
    ([(kind_of("face_man.png", 0o120777), TELLING)], "holds a link or a device"),
    ([(kind_of("face_man.png", 0o010644), TELLING)], "holds a link or a device"),
    ([("face_man.png", png()), ("face_man.png", png(3, 3))], "holds face_man.png twice"),
    ([("face_é.png", png()), ("face_e\u0301.png", png(3, 3))], "twice"),
    ([], "holds no picture of a person"),
    ([("face_man.png", b"x")], "is not a readable picture"),
])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_files_of_strangers(tmp_path, entries, sentence):
    refused(zipped(tmp_path / "Bob.zip", entries), sentence)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """Its size is declared, or it is not; both are bounded."""
    packed = zipped(tmp_path / "Bob.zip", [("face_man.png", b"\0" * 3_000_000)])
    assert packed.stat().st_size < 10_000
    monkeypatch.setattr(sources, "MOST_ZIP_BYTES", 2_000_000)
    refused(packed, "holds more than 2 MB")
    monkeypatch.undo()
    monkeypatch.setattr(reading, "MOST_BYTES", 1_000_000)
    refused(packed, "holds more than 1 MB as face_man.png")
    monkeypatch.undo()
    # The size in the directory says 9 bytes, and no more are unpacked.
    content = packed.read_bytes().replace(struct.pack("<I", 3_000_000), struct.pack("<I", 9))
    packed.write_bytes(content)
    refused(packed, "damaged|not a readable picture")


def test_a_directory_of_a_million_entries_is_not_read(tmp_path):
    packed = zipped(tmp_path / "Bob.zip", [("face_man.png", png())])
    content = bytearray(packed.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    for field in (struct.pack("<H", 4097), ):
        content[end + 10:end + 12] = field
    packed.write_bytes(content)
    refused(packed, "contains more than 4096 files")
    content[end + 10:end + 12] = struct.pack("<H", 1)
    content[end + 12:end + 16] = struct.pack("<I", (1 << 20) + 1)
    packed.write_bytes(content)
    refused(packed, "contains more than 4096 files")


@pytest.mark.parametrize("cut", [0, 1, 21, 22, 40, 100, -1, -22, -30])
def test_a_damaged_zip_file_is_refused(tmp_path, cut):
    packed = zipped(tmp_path / "Bob.zip", [("face_man.png", png())])
    packed.write_bytes(packed.read_bytes()[:cut])
    refused(packed, "Bob.zip is damaged")


@pytest.mark.slow
def test_every_byte_of_a_zip_file_may_be_wrong(tmp_path):
    """It is read, or refused in a sentence; nothing else happens."""
    packed = zipped(tmp_path / "Bob.zip", [("face_man.png", png())])
    content = packed.read_bytes()
    outcomes = set()
    for place in range(len(content)):
        for value in (0xFF, content[place] ^ 0x10):
            packed.write_bytes(content[:place] + bytes([value]) + content[place + 1:])
            try:
                load_person(packed)
                outcomes.add("read")
            except LumosXError:
                outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_encrypted_and_oddly_packed_entries_are_refused(tmp_path):
    packed = tmp_path / "Bob.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("face_man.png", png())
    refused(packed, "is encrypted, or packed in an unusual way")
    content = bytearray(zipped(packed, [("face_man.png", png())]).read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(content)
    refused(packed, "is encrypted, or packed in an unusual way")


def test_what_macs_and_subfolders_add_to_a_zip_file_is_left_out(tmp_path):
    packed = zipped(tmp_path / "Bob.zip", [
        ("Bob/face_man.png", png()), ("__MACOSX/Bob/._face_man.png", b"x"), ("Bob/.DS_Store", b"x"),
        ("Bob/views/1.png", png(5, 5)), ("Bob/more/hat.png", png()),
    ])
    person, notes = load_person(packed)
    assert person.subject.face.phrase == "man" and len(person.views) == 1
    assert len(notes) == 1 and "more/hat.png" in notes[0]


def test_a_zip_file_that_is_a_link_or_too_large_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "people").mkdir()
    packed = zipped(tmp_path / "Bob.zip", [("face_man.png", png())])
    (tmp_path / "people" / "Bob.zip").symlink_to(packed)
    refused(tmp_path / "people" / "Bob.zip", "it is a link that leads out of the folder")
    monkeypatch.setattr(sources, "MOST_ZIP_BYTES", packed.stat().st_size - 1)
    refused(packed, "it is larger than")
