"""Cases told from names alone: the same as reading them, with no picture opened."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.cases import load_case, names, write_case_folder
from lumosx_core.cases.description import file_key
from lumosx_core.cases.names import list_case
from lumosx_core.errors import LumosXError
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.tiny.demo_case import write_demo_case

IMAGE = torch.zeros(1, 4, 4, 3)
FILES = [
    "background/b.png", "background/a room.PNG", "objects/lamp.png", "objects/10.png", "objects/2.webp",
    "objects/n.txt",
    "subjects/1/face_man.png", "subjects/1/Face_b.png", "subjects/1/hat.jpg", "subjects/1/.x.png",
    "subjects/1/fullbody_man.png", "subjects/1/fullfullbody_x.png", "subjects/2/fullbodyx_y.png",
    "subjects/2/fullbody_b.png", "subjects/2/a b.png",
    "subjects/10/face_c.bmp", "subjects/3/no.txt", "subjects/stray.png", "stray.png",
]


def state(reference):
    return reference.kind, reference.phrase, reference.occurrence, reference.full_body, reference.image is not None


def as_loaded(folder, full_bodies=False):
    case = load_case(folder, full_bodies)
    scene = case.scene
    return (
        case.prompt, [state(one) for one in scene.non_human],
        [[state(word) for word in subject.words] for subject in scene.subjects],
    )


def as_listed(folder, full_bodies=False):
    case = list_case(folder, full_bodies)

    def as_plain(named):
        kind, entry = named
        return kind, " ".join(entry.phrase.split()), entry.occurrence, entry.full_body, entry.file is not None

    alone = ([] if case.background is None else [case.background]) + list(case.objects)
    people = [[as_plain(word) for word in person] for person in case.people]
    return case.prompt, [as_plain(one) for one in alone], people


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("case")


@pytest.mark.slow
@settings(max_examples=40)
@given(st.sets(st.sampled_from(FILES), min_size=1), st.booleans())
def test_names_say_what_reading_says(folders, files, full_bodies):
    folder = folders()
    (folder / "caption.txt").write_text("name; a man  walks", encoding="utf-8")
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path, format="PNG")
    try:
        loaded = as_loaded(folder, full_bodies)
    except LumosXError:
        # Nothing to bind; the list is then empty, and says so itself.
        assert as_listed(folder, full_bodies)[1:] == ([], [])
        return
    assert as_listed(folder, full_bodies) == loaded


@pytest.mark.parametrize("extra", [(), ("subjects/1/scarf.png", "objects/new.png", "subjects/9/face_new.png")])
def test_a_description_decides(tmp_path, extra):
    def of(kind, phrase, image=IMAGE, occurrence=0, body=False):
        return Reference(kind, phrase, image, occurrence, full_body=body)

    scene = Scene.of_people(
        of(Kind.BACKGROUND, "room"),
        [of(Kind.OBJECT, "lamp", occurrence=2), of(Kind.OBJECT, "box", None), of(Kind.OBJECT, "man", body=True)],
        [
            Subject(of(Kind.FACE, "man", None, 1), (of(Kind.ATTRIBUTE, "hat"), of(Kind.ATTRIBUTE, "a coat"))),
            Subject(of(Kind.FACE, "man", occurrence=2)),
            Subject(None, (of(Kind.ATTRIBUTE, "hat"),)),
            Subject(of(Kind.FACE, "boy", None)),
        ],
    )
    folder = write_case_folder(scene, "a man and a man", "name", tmp_path / "case", replace=True)
    for file in extra:
        (folder / file).parent.mkdir(exist_ok=True)
        Image.new("RGB", (2, 2)).save(folder / file)
    assert as_listed(folder) == as_loaded(folder)


def test_no_picture_is_opened(tmp_path):
    folder = write_demo_case(tmp_path / "case")
    expected = as_loaded(folder)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(LumosXError, match="not a readable picture"):
        load_case(folder)
    assert as_listed(folder) == expected


def test_a_folder_without_caption_is_refused(tmp_path):
    with pytest.raises(LumosXError, match=r"^case: .* has no caption\.txt"):
        list_case(tmp_path)


@pytest.mark.parametrize(("things", "background"), [(64, False), (63, True)])
def test_as_many_references_as_a_case_may_have(tmp_path, things, background):
    (tmp_path / "caption.txt").write_text("name;a prompt", encoding="utf-8")
    files = [f"objects/{number}.png" for number in range(things)] + ["background/b.png"] * background
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        Image.new("RGB", (2, 2)).save(tmp_path / file)
    assert as_listed(tmp_path) == as_loaded(tmp_path) and len(as_listed(tmp_path)[1]) == 64
    Image.new("RGB", (2, 2)).save(tmp_path / "objects" / "more.png")
    for read in (list_case, load_case):
        with pytest.raises(LumosXError, match="has more than 64 references"):
            read(tmp_path)


def test_a_name_is_one_however_its_letters_are_composed():
    """macOS takes them apart when it lists a folder."""
    assert file_key("objects/e\u0301.png") == file_key("objects/\u00e9.png") != file_key("objects/e.png")


@pytest.mark.parametrize(("name", "bodies", "taken"), [
    ("face_man", False, "face"), ("FACE_man", True, "face"), ("red hat", False, "attribute"),
    ("fullbody_man", True, "body"), ("FullBody_man", True, "body"), ("fullbody_man", False, None),
    ("fullbodyx_man", True, None), ("body_man", True, "attribute"), ("my face_man", False, "attribute"),
])
def test_a_file_of_a_person_is_taken_by_its_name(name, bodies, taken):
    person = names._Person()
    names._take(Path(f"{name}.png"), f"subjects/1/{name}.png", person, bodies)
    attribute = person.attributes[0] if person.attributes else None
    found = {"face": person.face, "attribute": attribute, "body": person.full_body}
    assert [kind for kind, entry in found.items() if entry is not None] == ([] if taken is None else [taken])
    if taken is not None:
        kept = found[taken]
        assert kept.file == f"subjects/1/{name}.png" and kept.phrase == (name if taken == "attribute" else "man")
        assert (kept.occurrence, kept.full_body) == (0, taken == "body")


def test_of_several_faces_the_first_is_taken_and_of_several_attributes_all():
    person = names._Person()
    for name in ("face_a", "face_b", "hat", "coat", "fullbody_a", "fullbody_b"):
        names._take(Path(f"{name}.png"), name, person, True)
    assert (person.face.file, person.full_body.file) == ("face_a", "fullbody_a")
    assert [one.file for one in person.attributes] == ["hat", "coat"]
