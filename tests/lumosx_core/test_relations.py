"""References, subjects and scenes: order, checks and warnings."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.relations import Kind, Reference, Scene, Subject


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


def test_a_phrase_without_a_picture_is_refused_except_for_a_face():
    with pytest.raises(LumosXError, match='the attribute: no image for "hat"; link one'):
        picture(Kind.ATTRIBUTE, "hat", image=False)
    assert picture(Kind.FACE, "man", image=False).image is None


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
    with pytest.raises(LumosXError, match="a subject has no picture"):
        person("man", face=False)


def test_a_reference_of_the_wrong_kind_is_refused():
    lamp = picture(Kind.OBJECT, "lamp")
    for build in (lambda: Subject(lamp), lambda: Subject(None, (lamp,)), lambda: Scene(background=lamp)):
        with pytest.raises(LumosXError, match="the object: this reference has kind object but stands in"):
            build()
    with pytest.raises(LumosXError, match="has kind face but stands in the place of kind object"):
        Scene(objects=(picture(Kind.FACE, "man"),))


def test_a_subject_without_a_face_is_allowed_with_a_warning():
    for subject in (person("man", "hat", face=False), Subject(None, (picture(Kind.ATTRIBUTE, "hat"),))):
        scene = Scene(subjects=(subject,))
        assert [reference.phrase for reference in scene.references] == ["hat"]
        assert any("no face image" in warning for warning in scene.warnings())


def test_a_clean_scene_has_no_warnings():
    assert Scene(subjects=(person("man", "white jacket"), person("man", "black jacket"))).warnings() == ()


def test_people_whom_nothing_tells_apart_are_warned_about():
    warnings = Scene(subjects=(person("Man"), person("man"))).warnings()
    assert len(warnings) == 2
    assert all("cancel out" in warning for warning in warnings)
    only_second = Scene(subjects=(person("man", "hat"), person("man"))).warnings()
    assert len(only_second) == 1 and only_second[0].startswith("Subject 2")


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
