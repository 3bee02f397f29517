"""The question about owners, and what an answer may say."""

import copy
import json

import numpy as np
import pytest
from PIL import Image

from lumosx_core.data.answers import BadAnswer, parsed, schema_of
from lumosx_core.data.entities import EntitiesAnswer, checked, entities
from lumosx_core.data.work import Rejected, write_mask, write_picture
from support.data_stand_ins import Saying, mask_of

CAPTION = "A man on the left, wearing a hat, and a man on the right, wearing a red scarf and a hat, wave in a park."
GOOD = {
    "people": [
        {"box": 1, "words": "man on the left", "which": 0, "attributes": [{"words": "hat", "which": 1}]},
        {"box": 2, "words": "man on the right", "which": 0,
         "attributes": [{"words": "red scarf", "which": 0}, {"words": "hat", "which": 2}]},
    ],
    "objects": [], "background": {"words": "park", "which": 0},
}


def changed(place, value):
    answer = copy.deepcopy(GOOD)
    at = answer
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return answer


def read(answer, people=2):
    return checked(parsed(json.dumps(answer), "people", EntitiesAnswer), CAPTION, people)


def test_a_right_answer_stays_as_it_is():
    assert read(GOOD) == GOOD


def test_words_are_given_as_the_caption_spells_them():
    answer = changed(("people", 1, "attributes", 0, "words"), "the Red Scarf")
    assert read(answer)["people"][1]["attributes"][0] == {"words": "red scarf", "which": 0}
    # Of words that stand there once, every number is the same.
    assert read(changed(("background", "which"), 1)) == GOOD


HAT = {"words": "hat", "which": 1}


@pytest.mark.parametrize(("place", "value", "fault"), [
    (("people", 0, "attributes", 0, "words"), "velvet cloak", '"velvet cloak" is not in the caption'),
    (("people", 0, "attributes", 0, "which"), 3, '"hat" is in the caption 2 times, but which is 3'),
    (("people", 0, "attributes", 0, "which"), 2, 'take the same words'),
    (("people", 0, "attributes", 0, "which"), 0, 'take the same words'),
    (("people", 0, "words"), "man", 'take the same words'),
    (("objects",), [{"words": "scarf", "which": 0}], 'take the same words'),
    (("people", 0, "box"), 2, "box 1 is not there exactly once"),
    (("people", 0, "box"), 7, "there is no box 7"),
    (("people",), GOOD["people"][:1], "box 2 is not there exactly once"),
    (("people", 0, "attributes"), [HAT, {"words": "hat", "which": 2}], 'box 1 has "hat" twice'),
    (("people", 0, "attributes"), [HAT] * 4, "4 attributes, but 3 is the most"),
])
def test_every_broken_rule_is_named(place, value, fault):
    with pytest.raises(BadAnswer) as bad:
        read(changed(place, value))
    assert any(fault in one for one in bad.value.faults)


@pytest.mark.parametrize("answer", [
    "", "No JSON.", "{}", '{"people": 3}', '{"people": [{"box": "1", "words": "man", "attributes": []}]}',
    '{"people": [], "people": []}', "[" * 50_000, '{"people": []} {"people": [], "objects": []}', "x" * 100_001,
    '{"people": [{"box": 1, "words": "\\ud800", "attributes": []}]}',
])
def test_what_is_not_the_asked_json_is_refused(answer):
    with pytest.raises(BadAnswer):
        checked(parsed(answer, "people", EntitiesAnswer), CAPTION, 1)


@pytest.fixture
def ask(tmp_path, leave, backends, settings):
    """ask(*answers): the stage on a folder with two people, and the model that was asked."""
    write_picture(tmp_path, "frames/frame_0.png", Image.fromarray(np.full((240, 320, 3), 90, np.uint8)))
    leave("frames", chosen=[0])
    leave("caption", caption=CAPTION)
    boxes = {"1": (10, 10, 150, 230), "2": (170, 10, 310, 230)}
    faces = {"0": {"box": [60, 30, 110, 90], "score": 0.9, "landmarks": [[0, 0]] * 5}}
    leave("people", people=[
        {"faces": faces, "masks": {"0": write_mask(tmp_path, f"masks/person_{number}.png", mask_of(box))}}
        for number, box in boxes.items()
    ])

    def run(*answers):
        model = Saying(*answers)
        return entities(tmp_path, backends(model=model), settings), model

    return run


def test_one_question_shows_caption_and_numbered_boxes(ask):
    result, model = ask(GOOD)
    assert result == GOOD and len(model.asked) == 1
    (message,), schema = model.asked[0]
    assert CAPTION in message.text and "1 to 2" in message.text
    (picture,) = message.pictures
    assert picture.shape == (240, 320, 3) and (picture[100, 10] != 90).any() and (picture[100, 170] != 90).any()
    assert schema["additionalProperties"] is False and set(schema["required"]) == {"people", "objects", "background"}
    assert json.dumps(schema).count('"additionalProperties": false') == 3


def test_a_wrong_answer_is_asked_for_once_more_with_all_its_faults(ask):
    result, model = ask(changed(("people", 0, "attributes", 0, "words"), "velvet cloak"), GOOD)
    first, said, again = model.asked[1][0]
    assert result == GOOD and said.role == "assistant" and "velvet cloak" in said.text
    assert '"velvet cloak" is not in the caption' in again.text and len(first.pictures) == 1


def test_two_wrong_answers_reject_the_clip(ask):
    with pytest.raises(Rejected) as rejected:
        ask("No JSON.", GOOD["people"])
    assert rejected.value.reason == "bad answer" and "no JSON" in rejected.value.detail


def test_every_schema_requires_all_it_has():
    schema = schema_of(EntitiesAnswer)
    for part in (schema, *schema["$defs"].values()):
        assert part["required"] == list(part["properties"])
