"""People written and read back, as folder and as zip file, and turned into cases and back: nothing is lost."""

import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.cases import load_case, write_case_folder
from lumosx_core.errors import LumosXError
from lumosx_core.people import Person, load_person, write_person_folder
from lumosx_core.people.__main__ import main
from lumosx_core.people.converting import case_from_people, people_from_case
from lumosx_core.people.person import OtherWords, called, people_of, person_of
from lumosx_core.people.reading import describe_person, read_picture
from lumosx_core.scene.influence import FULL, Influence
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject

ODD = [
    "face_man", "fullbody_man", "preview", "person.json", "views", "note.txt", "con", "..", ".hidden", "a/b\\c",
    "C:\\x", "é", "e\u0301", "HAT", "hat", "白色外套", "x" * 400, "\U0001f469\u200d\U0001f467", "man's \"hat\"",
    "a\x00b",
]
letters = st.characters(exclude_categories=["Cs"])
phrases = (st.sampled_from(ODD) | st.text(letters, min_size=1, max_size=12)).filter(lambda text: text.split())


def picture(seed, height=3, width=2):
    pixels = torch.randint(0, 256, (1, height, width, 3), generator=torch.Generator().manual_seed(seed))
    return pixels.float() / 255


influences = st.sampled_from([FULL, Influence(0.5), Influence(2, 0.1, 0.75), Influence(start=0.5)])
pictures = st.builds(picture, st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))


@st.composite
def people(draw):
    """Somebody with a full body under the same words as the face, as the node makes it."""
    words, which = draw(phrases), draw(st.integers(0, 3))
    worn = tuple(
        Reference(
            Kind.ATTRIBUTE, draw(phrases), draw(st.none() | pictures), draw(st.integers(0, 3)),
            influence=draw(influences),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    whole = Reference(Kind.OBJECT, words, draw(pictures), which, full_body=True, influence=draw(influences))
    body = whole if draw(st.booleans()) else None
    bare = st.none() if body is not None or any(one.image is not None for one in worn) else st.nothing()
    face = Reference(Kind.FACE, words, draw(bare | pictures), which, influence=draw(influences))
    return Person(Subject(face, worn, body), tuple(draw(st.lists(pictures, max_size=2))), draw(st.text(letters)))


def told(reference):
    if reference is None:
        return None
    image = None if reference.image is None else reference.image.tolist()
    return reference.kind, reference.phrase, reference.occurrence, reference.full_body, reference.influence, image


def subject_told(subject):
    return [told(subject.face), [told(one) for one in subject.attributes], told(subject.full_body)]


def zipped(folder, path, below=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, below + file.relative_to(folder).as_posix())
    return path


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(person=people(), below=st.sampled_from(["", "Anna/"]))
def test_a_person_comes_back_exactly_from_a_folder_and_from_a_zip_file(tmp_path_factory, person, below):
    root = tmp_path_factory.mktemp("people")
    folder = write_person_folder(person, root / "Anna")
    for path in (folder, zipped(folder, root / "Anna.zip", below)):
        read, notes = load_person(path)
        assert notes == () and read.note == person.note
        assert subject_told(read.subject) == subject_told(person.subject)
        assert [view.tolist() for view in read.views] == [view.tolist() for view in person.views]
        assert [entry.phrase for entry in describe_person(path).entries] == [
            one.phrase for one in (*person.subject.words, person.subject.full_body) if one is not None
        ]


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(everybody=st.lists(people(), min_size=1, max_size=3))
def test_people_become_a_case_and_come_back(tmp_path_factory, everybody):
    root = tmp_path_factory.mktemp("people")
    subjects = [person.subject for person in everybody]
    # Words of two people alike: nobody can say whose full body it is, so it stands alone.
    words = [one.words[0].bound_words for one in subjects]
    if len(set(words)) < len(words):
        return
    folders = [write_person_folder(person, root / f"p{number}") for number, person in enumerate(everybody)]
    case = case_from_people(folders, "a prompt", "n", root / "case")
    back = [load_person(folder)[0].subject for folder in people_from_case(case, root / "back")]
    in_groups = [one for one in subjects if one.references or one.attributes]
    alone = [Subject(None, full_body=one.full_body) for one in subjects if one not in in_groups]
    assert [subject_told(one) for one in back] == [subject_told(one) for one in (*in_groups, *alone)]
    again = case_from_people(sorted((root / "back").iterdir()), "a prompt", "n", root / "case")
    first, second = (load_case(path).scene for path in (case, again))
    assert list(map(subject_told, first.subjects)) == list(map(subject_told, second.subjects))
    # A full body that stands alone comes behind the others, see ``people_of``.
    bodies = [sorted(repr(told(one)) for one in scene.full_bodies) for scene in (first, second)]
    assert bodies[0] == bodies[1]


def test_a_case_with_things_and_a_place_keeps_only_its_people(tmp_path):
    hat = Reference(Kind.ATTRIBUTE, "hat", picture(1), 2)
    man = Subject(Reference(Kind.FACE, "man", picture(2)), (hat,))
    body = Reference(Kind.OBJECT, "woman", picture(3), 1, full_body=True)
    lamp, park = Reference(Kind.OBJECT, "lamp", picture(4)), Reference(Kind.BACKGROUND, "park", picture(5))
    case = write_case_folder(Scene(park, (lamp, body), (man,)), "p", "n", tmp_path / "case")
    found = people_from_case(case, tmp_path / "kept", "park")
    assert [folder.name for folder in found] == ["park_1", "park_2"]
    assert [subject_told(load_person(folder)[0].subject) for folder in found] == [
        subject_told(man), subject_told(Subject(None, full_body=body)),
    ]
    things = write_case_folder(Scene(objects=(lamp,)), "p", "n", tmp_path / "things")
    with pytest.raises(LumosXError, match="^case: things_00001 has no people"):
        people_from_case(things, tmp_path / "kept")


def test_the_command_line_converts_both_ways(tmp_path, capsys):
    man = Subject(Reference(Kind.FACE, "man", picture(2), 3))
    case = write_case_folder(Scene(subjects=(man,)), "a man", "n", tmp_path / "case")
    assert main(["from-case", str(case), str(tmp_path / "kept"), "--name", "Bob"]) == 0
    bob = tmp_path / "kept" / "Bob"
    assert main(["to-case", str(bob), "--to", str(tmp_path / "new"), "--prompt", "a man"]) == 0
    assert load_case(tmp_path / "new_00001").scene.subjects[0].face.occurrence == 3
    assert main(["from-case", str(tmp_path / "nothing"), str(tmp_path / "kept")]) == 1
    printed = capsys.readouterr()
    assert f"Saved {bob}" in printed.out and printed.err.startswith("case: there is no folder nothing")


def test_names_decide_where_nothing_is_written_down(tmp_path):
    folder = tmp_path / "Anna"
    (folder / "views").mkdir(parents=True)
    for number, file in enumerate((
        "face_tall woman.png", "red hat.png", "blue coat 10.png", "blue coat 2.png", "fullbody_tall woman.jpg",
        "views/b.png", "views/a.png", "preview.png",
    )):
        Image.new("RGB", (number + 1, 1)).save(folder / file)
    (folder / "note.txt").write_text("from the beach", encoding="utf-8")
    (folder / "other.txt").write_text("x", encoding="utf-8")
    person, notes = load_person(folder)
    subject = person.subject
    assert (subject.face.phrase, subject.full_body.phrase) == ("tall woman", "tall woman")
    assert [one.phrase for one in subject.attributes] == ["blue coat 2", "blue coat 10", "red hat"]
    assert [view.shape[2] for view in person.views] == [7, 6] and person.note == "from the beach"
    assert len(notes) == 1 and "other.txt" in notes[0]


def test_nobody_is_replaced_unless_it_is_asked_for(tmp_path):
    def kept(seed, **options):
        person = Person(Subject(Reference(Kind.FACE, "man", picture(seed))))
        return write_person_folder(person, tmp_path / "Bob", **options).name

    def face_of(name):
        return load_person(tmp_path / name)[0].subject.face.image.tolist()

    assert [kept(1), kept(2), kept(3, replace=True)] == ["Bob", "Bob_2", "Bob"]
    assert face_of("Bob") == picture(3).tolist() and face_of("Bob_2") == picture(2).tolist()
    (tmp_path / "Bob" / "diary.txt").write_text("x", encoding="utf-8")
    with pytest.raises(LumosXError, match="^name: Bob holds 'diary.txt' too"):
        kept(4, replace=True)
    assert face_of("Bob") == picture(3).tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Bob", "Bob_2"]


def test_half_a_person_is_never_seen(tmp_path, monkeypatch):
    """Where writing stops midway nothing new is there, and nothing of it is left."""
    person = Person(Subject(Reference(Kind.FACE, "man", picture(1)), (Reference(Kind.ATTRIBUTE, "hat", picture(2)),)))
    write_person_folder(person, tmp_path / "Bob")
    real, written = Image.Image.save, []

    def full(self, path, *arguments, **options):
        assert [one.name for one in tmp_path.iterdir() if not one.name.endswith(".part")] == ["Bob"]
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        real(self, path, *arguments, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(LumosXError, match="^name: Bob cannot be written .No space left"):
        write_person_folder(person, tmp_path / "Bob", replace=True)
    assert [one.name for one in tmp_path.iterdir()] == ["Bob"]
    assert load_person(tmp_path / "Bob")[0].subject.face.image.tolist() == picture(1).tolist()


def test_the_preview_shows_the_face(tmp_path):
    person = Person(Subject(Reference(Kind.FACE, "man", torch.zeros(1, 4, 4, 3))), (torch.ones(1, 2, 2, 3),))
    folder = write_person_folder(person, tmp_path / "Bob")
    preview = read_picture(folder, None, 256 * 256)
    assert preview.shape == (1, 256, 256, 3) and preview.max() == 0
    assert read_picture(folder, "views/01.png", 100).min() == 1
    for wrong in ("person.json", "../Bob/preview.png", "views/02.png", "", "/etc/passwd"):
        with pytest.raises(LumosXError, match="has no picture"):
            read_picture(folder, wrong, 100)
    (folder / "preview.png").unlink()
    assert read_picture(folder, None, 100).shape == (1, 4, 4, 3)


def test_other_words_for_the_same_person():
    worn = tuple(Reference(Kind.ATTRIBUTE, words, picture(1), 2) for words in ("hat", "coat"))
    body = Reference(Kind.OBJECT, "man", picture(3), 1, full_body=True)
    person = Subject(Reference(Kind.FACE, "man", picture(2), 1), worn, body)
    new = called(person, OtherWords("the pilot", 0, "\nlong coat\n\n"))
    assert [(word.phrase, word.occurrence) for word in (*new.words, new.full_body)] == [
        ("the pilot", 0), ("hat", 2), ("long coat", 0), ("the pilot", 0),
    ]
    same = called(person, OtherWords())
    assert [(word.phrase, word.occurrence) for word in same.words] == [("man", 1), ("hat", 2), ("coat", 2)]
    assert [(word.phrase, word.occurrence) for word in called(person, OtherWords("", 2)).words][0] == ("man", 2)
    with pytest.raises(LumosXError, match="^attribute_phrases: there are 3 lines"):
        called(person, OtherWords("", 0, "a\nb\nc"))
    with pytest.raises(LumosXError, match="^phrase: this person has no face"):
        called(Subject(None, worn), OtherWords("man"))


def test_one_of_several_people():
    man = Subject(Reference(Kind.FACE, "man", picture(2)))
    body = Reference(Kind.OBJECT, "man", picture(3), full_body=True)
    other = Reference(Kind.OBJECT, "woman", picture(4), full_body=True)
    scene = Scene(objects=(other, body), subjects=(man,))
    assert [told(one.full_body) for one in people_of(scene)] == [told(body), told(other)]
    assert person_of(scene, 1).face is man.face
    with pytest.raises(LumosXError, match="^number: the relations hold 2 people, so there is no person 3"):
        person_of(scene, 3)
