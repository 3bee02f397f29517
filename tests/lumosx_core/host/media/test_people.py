"""People under ComfyUI's model folders: which are listed, which names lead to them, and what changes them."""

import os

import folder_paths
import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.people import (
    Keeping,
    keep_person,
    list_people,
    open_kept,
    person_fingerprint,
    person_path,
    tidy_people,
)
from lumosx_core.host.weights.face_models import weights_state
from lumosx_core.people.person import OtherWords
from lumosx_core.scene.relations import Kind, Reference, Subject


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of people; nothing else is registered."""
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "lumosx", ([str(tmp_path / "more")], set()))
    return tmp_path / "models" / "lumosx" / "people"


def keep(name, seed=0, **options):
    face = torch.rand(1, 4, 4, 3, generator=torch.Generator().manual_seed(seed))
    return keep_person(Subject(Reference(Kind.FACE, "man", face)), None, None, Keeping(name, **options))[0]


def test_folders_and_zip_files_are_listed_and_nothing_else(root, tmp_path):
    assert list_people() == []
    assert [keep("Bob"), keep("anna"), keep("Bob")] == ["Bob", "anna", "Bob_2"]
    for file in ("Sent.zip", ".hidden.zip", "note.txt"):
        (root / file).touch()
    for folder in (".hidden", f"lumosx-{'0' * 32}.part", "Old.replaced.part", "Bob.zip"):
        (root / folder).mkdir()
    (tmp_path / "more" / "people" / "Elsewhere").mkdir(parents=True)
    (tmp_path / "more" / "people" / "Bob").mkdir()
    assert list_people() == ["anna", "Bob", "Bob.zip", "Bob_2", "Elsewhere", "Sent.zip"]
    assert person_path("Bob") == root / "Bob" and person_path("Elsewhere") == tmp_path / "more" / "people" / "Elsewhere"


def test_no_name_leads_out(root, tmp_path):
    keep("Bob")
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    for name in ("link", "..", ".", "", "../people/Bob", str(tmp_path / "outside"), "Bob/views", "Bob\\x", "C:x",
                 "a\0b", "x" * 300, "nobody", None, 3):
        with pytest.raises(LumosXError, match="^person: there is nobody called"):
            person_path(name)


def test_the_old_person_counts_while_a_new_one_takes_the_place(root):
    keep("Bob")
    (root / "Bob").rename(root / "Bob.replaced.part")
    assert person_path("Bob").name == "Bob.replaced.part"
    tidy_people()
    assert [path.name for path in root.iterdir()] == ["Bob"]


def test_a_fingerprint_follows_every_file(root):
    keep("Bob")
    seen = [person_fingerprint("Bob")]
    assert person_fingerprint("Bob") == seen[0]
    for change in (
        lambda: os.utime(root / "Bob" / "face_man.png", (1, 1)),
        lambda: (root / "Bob" / "hat.png").touch(),
        lambda: (root / "Bob" / "hat.png").unlink(),
        lambda: (root / "Bob" / "person.json").write_text("{}", encoding="utf-8"),
    ):
        change()
        seen.append(person_fingerprint("Bob"))
    assert len(set(seen)) == 4 and seen[1] == seen[3]
    (root / "A.zip").write_bytes(b"x")
    before = person_fingerprint("A.zip")
    (root / "A.zip").write_bytes(b"xy")
    assert person_fingerprint("A.zip") != before


def test_keeping_somebody_leaves_what_depends_on_weights_alone(root):
    """Scores would otherwise be computed again whenever a person is saved."""
    root.mkdir(parents=True)
    (root.parent / "weights.pth").touch()
    before = weights_state()
    keep("Bob")
    assert weights_state() == before
    (root.parent / "people.pth").touch()
    assert weights_state() != before


def test_words_of_this_prompt(root):
    keep("Bob", note="a note")
    kept = open_kept("Bob", OtherWords("the pilot", 2))
    assert (kept.subject.face.phrase, kept.subject.face.occurrence, kept.note) == ("the pilot", 2, "a note")
    assert torch.equal(kept.face, kept.pictures[0]) and kept.sheet.shape[0] == 1
    with pytest.raises(LumosXError, match="^attribute_phrases: there are 1 lines"):
        open_kept("Bob", OtherWords(attribute_phrases="hat"))
