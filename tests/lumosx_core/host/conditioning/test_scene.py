"""From sockets and widgets to scenes."""

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.scene import (
    attributes_of,
    background_of,
    influence_of,
    join_scene,
    log_warnings,
    objects_of,
    subject_of,
)
from lumosx_core.scene.influence import FULL, Influence

IMAGE = torch.rand(1, 4, 5, 3)
SLOTS = (1, 2, 3)


def test_slots_are_read_in_order_and_further_ones_follow():
    values = {
        "attribute_3": IMAGE, "attribute_3_phrase": "coat", "attribute_1": IMAGE, "attribute_1_phrase": "hat",
        "attribute_1_occurrence": 2, "attribute_2_phrase": "  ",
    }
    found = attributes_of(values, SLOTS, objects_of(IMAGE, "shoes", None, 0))
    assert [(word.phrase, word.occurrence) for word in found] == [("hat", 2), ("coat", 0), ("shoes", 0)]
    assert len({word.kind for word in found}) == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"attribute_2": IMAGE}, "LumosX Subject attribute_2_phrase: the phrase is empty"),
        ({"attribute_2": IMAGE, "attribute_2_phrase": ""}, "LumosX Subject attribute_2_phrase: the phrase is empty"),
        ({"attribute_1": torch.rand(2, 4, 5, 3), "attribute_1_phrase": "hat"}, "attribute_1: 2 pictures came in one"),
    ],
)
def test_half_filled_slots_are_refused_by_name(values, sentence):
    with pytest.raises(LumosXError, match=sentence):
        attributes_of(values, SLOTS, None)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"attribute_2": IMAGE, "full_body": IMAGE}, "attribute_2 and full_body"),
        ({"face": IMAGE, "attribute_1": IMAGE, "attribute_3": IMAGE}, "face, attribute_1 and attribute_3"),
    ],
)
def test_one_picture_at_several_inputs_without_words_is_said(values, names):
    with pytest.raises(LumosXError, match=f"phrase is empty, and {names} get the same picture"):
        attributes_of(values, SLOTS, None)
    others = {name: IMAGE.clone() for name in values}
    with pytest.raises(LumosXError, match="type the words of the prompt that this picture shows") as refusal:
        attributes_of(others, SLOTS, None)
    assert "Anything Everywhere" not in str(refusal.value)


def test_a_face_and_a_full_body_of_one_picture_without_words():
    with pytest.raises(LumosXError, match="LumosX Subject phrase: .*face and full_body get"):
        subject_of("", IMAGE, 0, (), IMAGE)
    assert subject_of("man", IMAGE, 0, (), IMAGE).full_body is not None


def test_a_subject_needs_something():
    with pytest.raises(LumosXError, match="face: nothing is linked"):
        subject_of("", None, 0, ())
    with pytest.raises(LumosXError, match="LumosX Subject phrase: the phrase is empty"):
        subject_of(" ", IMAGE, 0, ())
    assert subject_of("man", None, 0, ()).references == ()


def test_words_without_a_face_still_name_the_person():
    attributes = attributes_of({"attribute_1": IMAGE, "attribute_1_phrase": "hat"}, SLOTS, None)
    assert subject_of("man", None, 0, attributes).name == "man"
    assert subject_of("", None, 0, attributes).name == "hat"


def test_binding_keeps_order_adds_to_what_was_there_and_logs_warnings(caplog):
    man, woman = (subject_of(phrase, IMAGE, 0, ()) for phrase in ("man", "woman"))
    chain = objects_of(IMAGE, "table", objects_of(IMAGE, "lamp", None, 0), 0)
    first, view = join_scene([man, None], [chain], background_of(IMAGE, "room", 0), None)
    assert [r.phrase for r in first.references] == ["room", "lamp", "table", "man"]
    assert 'Background: "room"' in view["report"] and "4 reference pictures, 1 subject." in view["report"]
    cup = objects_of(IMAGE, "cup", None, 0)
    second, view = join_scene([woman, subject_of("man", IMAGE, 0, ())], [None, cup], None, first)
    assert [r.phrase for r in second.references] == ["room", "lamp", "table", "cup", "man", "woman", "man"]
    assert '**Warning:** Subject 1 ("man") and subject 3 ("man")' in view["report"]
    assert "cancel out" in caplog.text
    assert len(first.references) == 4


def test_a_background_is_that_of_either_scene():
    room, chain = background_of(IMAGE, "room", 0), objects_of(IMAGE, "lamp", None, 0)
    without, _ = join_scene([], [chain], None, None)
    assert join_scene([], [], room, without)[0].background is room
    with_one, _ = join_scene([], [chain], room, None)
    assert join_scene([], [], None, with_one)[0].background is room
    assert join_scene([], [], None, without)[0].background is None


def test_two_backgrounds_are_refused():
    room = background_of(IMAGE, "room", 0)
    with pytest.raises(LumosXError, match="background: the linked relations already have one"):
        join_scene([], [], room, join_scene([], [], room, None)[0])


def test_a_full_body_stands_under_the_persons_words():
    attributes = attributes_of({"attribute_1": IMAGE, "attribute_1_phrase": "hat"}, SLOTS, None)
    whole = subject_of("man", None, 2, (), IMAGE)
    assert (whole.face, whole.full_body.phrase, whole.full_body.occurrence) == (None, "man", 2)
    both = subject_of("man", IMAGE, 0, attributes, IMAGE)
    assert (both.face.phrase, both.full_body.phrase) == ("man", "man")
    words = subject_of("man", None, 0, attributes, IMAGE)
    assert words.face.image is None and words.full_body.full_body
    with pytest.raises(LumosXError, match="LumosX Subject phrase: the phrase is empty"):
        subject_of(" ", None, 0, (), IMAGE)
    with pytest.raises(LumosXError, match="LumosX Subject full_body: 2 pictures came in one batch"):
        subject_of("man", None, 0, (), torch.rand(2, 4, 5, 3))


def test_binding_puts_full_bodies_behind_the_objects():
    lamp = objects_of(IMAGE, "lamp", None, 0)
    first, _ = join_scene([subject_of("man", None, 0, (), IMAGE)], [lamp], None, None)
    woman = subject_of("woman", IMAGE, 0, (), IMAGE)
    second, view = join_scene([woman], [objects_of(IMAGE, "cup", None, 0)], None, first)
    report = view["report"]
    assert [r.phrase for r in second.objects] == ["lamp", "man", "cup", "woman"]
    assert [r.full_body for r in second.objects] == [False, True, False, True]
    assert '- Object: "man" (full body)\n' in report and '- Object: "woman" (full body of subject 1)' in report
    assert "5 reference pictures, 1 subject." in report
    assert '"woman" names a full body and a subject with pictures of its own' in report


def test_a_phrase_does_nothing_to_the_log(caplog):
    log_warnings(['"\x1b[2J\u202ehat" is not in the prompt.'])
    assert caplog.messages == ['LumosX: "?[2J?hat" is not in the prompt.']


def test_a_persons_strength_and_steps_apply_to_all_pictures_beside_their_own(caplog):
    values = {"attribute_1": IMAGE, "attribute_1_phrase": "hat", "attribute_1_strength": 0.5,
              "attribute_1_start_percent": 0.25, "attribute_2_strength": 2.0}
    more = objects_of(IMAGE, "shoes", None, 0, Influence(end=0.5))
    person, face = Influence(0.5, 0.1, 0.9), Influence(3.0)
    subject = subject_of("man", IMAGE, 0, attributes_of(values, SLOTS, more), IMAGE, person, face)
    assert [one.influence for one in (subject.face, *subject.attributes, subject.full_body)] == [
        Influence(1.5, 0.1, 0.9), Influence(0.25, 0.25, 0.9), Influence(0.5, 0.1, 0.5), person,
    ]
    assert "LumosX Subject attribute_2_strength: 2 has no effect" in caplog.text


def test_steps_that_end_before_they_begin_are_refused_by_their_input():
    with pytest.raises(LumosXError, match="^LumosX Subject face_start_percent: 0.6 is not below face_end_percent, 0.5"):
        influence_of("LumosX Subject", None, 0.6, 0.5, "face_")
    assert influence_of("LumosX Object", None, None, None) == FULL
