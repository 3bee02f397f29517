"""References, subjects and scenes: order, checks and warnings."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.scene.relations import LONGEST_PHRASE, Kind, Reference, Scene, Subject


def picture(kind, phrase, occurrence=0, image=True):
    return Reference(kind, phrase, torch.rand(1, 4, 5, 3) if image else None, occurrence, source=f"the {kind.value}")


def person(phrase, *attributes, face=True):
    return Subject(
        picture(Kind.FACE, phrase, image=face), tuple(picture(Kind.ATTRIBUTE, attribute) for attribute in attributes)
    )


def test_order_is_background_objects_then_faces_before_attributes():
    scene = Scene(
        picture(Kind.BACKGROUND, "park"),
        (picture(Kind.OBJECT, "lamp"), picture(Kind.OBJECT, "table")),
        (person("man", "hat", "coat"), person("woman", "dress")),
    )
    order = [reference.phrase for reference in scene.references]
    assert order == ["park", "lamp", "table", "man", "hat", "coat", "woman", "dress"]
    assert [reference.phrase for reference in scene.non_human] == ["park", "lamp", "table"]


def test_white_space_in_a_phrase_is_tidied():
    assert picture(Kind.FACE, "  man \n on the\tleft ").phrase == "man on the left"


@pytest.mark.parametrize("phrase", ["", "   ", "\n"])
def test_an_empty_phrase_is_refused_by_name(phrase):
    with pytest.raises(LumosXError, match="the object: the phrase is empty; type"):
        picture(Kind.OBJECT, phrase)


def codes(scene):
    return [(finding.code, finding.words, finding.people) for finding in scene.findings()]


def test_what_is_bypassed_to_compare_keeps_its_words_and_its_place():
    """Background, an object and a whole person, each without its picture; the others stay as they were."""
    man, woman = person("man", "hat"), Subject(picture(Kind.FACE, "woman", image=False))
    things = picture(Kind.OBJECT, "lamp", image=False), picture(Kind.OBJECT, "guitar")
    scene = Scene.of_people(picture(Kind.BACKGROUND, "park", image=False), things, [woman, man])
    assert [word.phrase for word in scene.words] == ["park", "lamp", "guitar", "woman", "man", "hat"]
    assert [reference.phrase for reference in scene.references] == ["guitar", "man", "hat"]
    assert codes(scene) == [("person_unseen", (), (0,)), ("no_picture", (0,), ()), ("no_picture", (1,), ())]


@pytest.mark.parametrize("scene", [
    Scene(subjects=(Subject(picture(Kind.FACE, "man", image=False)),)),
    Scene(subjects=tuple(Subject(picture(Kind.FACE, name, image=False)) for name in ("man", "woman"))),
    Scene(objects=(picture(Kind.OBJECT, "lamp", image=False),)),
    Scene(background=picture(Kind.BACKGROUND, "park", image=False)),
])
def test_a_scene_of_words_only_is_warned_about_as_a_whole(scene):
    assert scene.references == () and codes(scene)[0] == ("no_pictures", (), ())
    assert not {"person_unseen", "no_face"} & {code for code, _, _ in codes(scene)}


def test_words_of_a_person_with_a_full_body_are_no_unseen_person():
    """The full body shows the person; an attribute of words only still binds in a group."""
    hat = picture(Kind.ATTRIBUTE, "hat", image=False)
    scene = Scene.of_people(None, [], [Subject(picture(Kind.FACE, "man", image=False), (hat,), full_body("man"))])
    assert [word.phrase for word in scene.words] == ["man", "man", "hat"] and codes(scene) == [("no_picture", (2,), ())]


def test_words_of_people_bind_without_a_picture_and_those_of_attributes_are_warned_about():
    face, hat = picture(Kind.FACE, "man"), picture(Kind.ATTRIBUTE, "hat", image=False)
    scene = Scene(None, (), (Subject(face, (hat,)),))
    assert scene.words == (face, hat) and scene.references == (face,)
    assert [(finding.code, finding.words) for finding in scene.findings()] == [("no_picture", (1,))]
    assert Subject(picture(Kind.FACE, "man", image=False), (picture(Kind.ATTRIBUTE, "hat"),)).words[0].image is None


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (4, 5, 3), (1, 4, 5, 4)])
def test_a_misshapen_picture_is_refused(shape):
    with pytest.raises(LumosXError, match="the image has shape"):
        Reference(Kind.OBJECT, "lamp", torch.rand(shape))


def test_a_negative_occurrence_is_refused():
    with pytest.raises(LumosXError, match="occurrence -1 is below 0"):
        picture(Kind.OBJECT, "lamp", occurrence=-1)


def test_nothing_to_show_is_refused():
    with pytest.raises(LumosXError, match="no reference; link at least one"):
        Scene()
    with pytest.raises(LumosXError, match="subject: it is empty; link a face"):
        Subject(None)


def test_a_reference_of_the_wrong_kind_is_refused():
    lamp = picture(Kind.OBJECT, "lamp")
    for build in (lambda: Subject(lamp), lambda: Subject(None, (lamp,)), lambda: Scene(background=lamp)):
        with pytest.raises(LumosXError, match="the object: this reference has kind object but is used"):
            build()
    with pytest.raises(LumosXError, match="has kind face but is used as object"):
        Scene(objects=(picture(Kind.FACE, "man"),))


def test_a_subject_without_a_face_is_allowed_with_a_warning():
    for subject in (person("man", "hat", face=False), Subject(None, (picture(Kind.ATTRIBUTE, "hat"),))):
        scene = Scene(subjects=(subject,))
        assert [reference.phrase for reference in scene.references] == ["hat"]
        assert any("no face image" in warning for warning in scene.warnings())


def test_a_clean_scene_has_no_warnings():
    assert Scene(subjects=(person("man", "white jacket"), person("boy", "black jacket"))).warnings() == ()


def test_people_whom_nothing_tells_apart_are_warned_about():
    (warning,) = Scene(subjects=(person("Man"), person("man"))).warnings()
    assert warning.startswith('Subject 1 ("Man") and subject 2 ("man") have no words of their own: ')
    assert "cancel out" in warning
    only_second = Scene(subjects=(person("man", "hat"), person("man"))).warnings()
    assert len(only_second) == 1 and only_second[0].startswith('Subject 2 ("man") has no words of its own')


def test_shared_words_are_one_conflict_even_where_other_words_tell_people_apart():
    """The encoder was silent about these, and the board was not."""
    (finding,) = Scene(subjects=(person("man", "hat"), person("man", "coat"), person("woman"))).findings()
    assert (finding.code, finding.words, finding.people) == ("shared", (0, 2), (0, 1))
    assert finding.text.startswith('Subject 1 ("man") and subject 2 ("man") share words of the prompt ("man")')
    assert Scene(subjects=(person("man", "hat"), person("boy", "hat"))).findings()[0].words == (1, 3)


def test_one_person_who_is_linked_twice_is_two_people_of_one_name():
    twice = person("man")
    (finding,) = [each for each in Scene(subjects=(twice, twice)).findings() if each.code == "no_own_words"]
    assert finding.people == (0, 1) and finding.words == (0, 1)


def test_an_occurrence_number_tells_people_apart():
    first, second = (Subject(picture(Kind.FACE, "man", occurrence=number)) for number in (1, 2))
    assert Scene(subjects=(first, second)).warnings() == ()


def test_more_than_the_model_was_trained_on_is_warned_about():
    names = ["man", "woman", "boy", "girl"]
    warnings = Scene(subjects=tuple(person(name) for name in names)).warnings()
    assert warnings == (
        "There are 4 people; the model was trained on at most 3, so likeness may suffer.",
    )
    attributes = Scene(subjects=(person("man", "a", "b", "c", "d"),)).warnings()
    assert len(attributes) == 1 and "4 attributes" in attributes[0]
    assert Scene(subjects=tuple(person(name, "a", "b", "c") for name in names[:1])).warnings() == ()
    assert Scene(subjects=tuple(person(name) for name in names[:3])).warnings() == ()


def full_body(phrase, occurrence=0):
    return Reference(Kind.OBJECT, phrase, torch.rand(1, 4, 5, 3), occurrence, source="the body", full_body=True)


def test_a_full_body_becomes_an_object_and_only_groups_stay_people():
    man = Subject(picture(Kind.FACE, "man"), (picture(Kind.ATTRIBUTE, "hat"),), full_body("man"))
    words_only = Subject(picture(Kind.FACE, "boy", image=False), (), full_body("boy"))
    alone = Subject(None, full_body=full_body("woman"))
    scene = Scene.of_people(picture(Kind.BACKGROUND, "park"), [picture(Kind.OBJECT, "lamp")], [alone, man, words_only])
    assert [reference.phrase for reference in scene.references] == ["park", "lamp", "woman", "man", "boy", "man", "hat"]
    assert [reference.phrase for reference in scene.full_bodies] == ["woman", "man", "boy"]
    assert len(scene.subjects) == 1 and scene.subjects[0].full_body is None and man.full_body is not None
    assert [scene.owner_of(body) for body in scene.full_bodies] == [None, 0, None]
    assert (alone.name, man.name) == ("woman", "man")


def test_a_full_body_of_two_people_with_the_same_words_is_nobodys():
    twins = [Subject(picture(Kind.FACE, name)) for name in ("man", "Man")]
    scene = Scene.of_people(None, [full_body("man")], [*twins, Subject(picture(Kind.FACE, "boy"))])
    assert scene.owner_of(scene.full_bodies[0]) is None
    assert scene.owner_of(full_body("boy")) == 2


def test_full_bodies_stand_only_where_they_may():
    with pytest.raises(LumosXError, match="the body: a full body"):
        Scene(subjects=(Subject(picture(Kind.FACE, "man"), full_body=full_body("man")),))
    with pytest.raises(LumosXError, match="the object: this reference is not a full body"):
        Subject(None, full_body=picture(Kind.OBJECT, "man"))
    with pytest.raises(LumosXError, match="has kind face but is used as object"):
        Reference(Kind.FACE, "man", torch.rand(1, 4, 5, 3), full_body=True)
    with pytest.raises(LumosXError, match="no reference; link at least one"):
        Scene.of_people(None, [], [])


def test_a_person_as_both_is_warned_about_once():
    man = Subject(picture(Kind.FACE, "man"), (), full_body("Man"))
    warnings = Scene.of_people(None, [], [man]).warnings()
    assert len(warnings) == 1
    assert warnings[0].startswith('"Man" names a full body and a subject with pictures of its own')


def test_two_full_bodies_of_the_same_words_are_warned_about():
    people = [Subject(None, full_body=full_body("man")) for _ in range(2)]
    warnings = Scene.of_people(None, [], people).warnings()
    assert warnings == (
        '"man" names 2 full bodies, so nothing tells them apart; use a phrase such as "man on the left" or an '
        "occurrence number.",
    )
    told_apart = [Subject(None, full_body=full_body("man", number)) for number in (1, 2)]
    assert Scene.of_people(None, [], told_apart).warnings() == ()


def test_full_bodies_do_not_set_off_warnings_about_groups():
    """They have no group: words are not shared with one, and a face that they show is not invented."""
    man = Subject(picture(Kind.FACE, "man", occurrence=1))
    other = Subject(None, full_body=full_body("man", 2))
    assert Scene.of_people(None, [], [man, other]).warnings() == ()
    dressed = Subject(picture(Kind.FACE, "man", image=False), (picture(Kind.ATTRIBUTE, "hat"),), full_body("man"))
    assert not any("no face image" in warning for warning in Scene.of_people(None, [], [dressed]).warnings())


def test_full_bodies_count_as_people_once():
    people = [Subject(None, full_body=full_body(name)) for name in ("man", "woman", "boy", "girl")]
    assert Scene.of_people(None, [], people).warnings()[0].startswith("There are 4 people")
    both = [Subject(picture(Kind.FACE, name), (), full_body(name)) for name in ("man", "woman")]
    assert not any(warning.startswith("There are") for warning in Scene.of_people(None, [], both).warnings())


def test_a_subject_that_is_linked_twice_shares_all_its_words_with_itself():
    twin = Subject(Reference(Kind.FACE, "man", torch.rand(1, 8, 8, 3)))
    codes = {finding.code: finding.people for finding in Scene(subjects=(twin, twin)).findings()}
    assert codes["no_own_words"] == (0, 1) and "same_picture" in codes


@pytest.mark.parametrize(("change", "words"), [
    ({"phrase": "x" * LONGEST_PHRASE}, None), ({"phrase": "x" * (LONGEST_PHRASE + 1)}, "letters, more than fit"),
    ({"occurrence": 0}, None), ({"occurrence": -1}, "occurrence -1 is below 0"), ({"phrase": " \n"}, "is empty"),
    ({"image": torch.rand(1, 1, 1, 3)}, None), ({"image": torch.rand(2, 4, 4, 3)}, "has shape"),
    ({"image": torch.rand(1, 4, 4, 4)}, "has shape"), ({"image": torch.rand(4, 4, 3)}, "has shape"),
    ({"image": None, "full_body": True}, "no image for"), ({"image": None, "kind": Kind.BACKGROUND}, None),
    ({"image": None, "kind": Kind.FACE}, None), ({"image": None, "kind": Kind.ATTRIBUTE}, None),
])
def test_a_reference_is_taken_exactly_up_to_each_bound(change, words):
    given = {"kind": Kind.OBJECT, "phrase": "hat", "image": torch.rand(1, 4, 4, 3), **change}
    if words is None:
        assert Reference(**given).phrase == given["phrase"]
    else:
        with pytest.raises(LumosXError, match=f"^{given['kind'].value}: .*{words}"):
            Reference(**given)
