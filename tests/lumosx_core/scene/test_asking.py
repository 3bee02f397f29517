"""What a question asks, and what an answer to it becomes."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.scene.answering import LONGEST_ANSWER, read_answer, repaired
from lumosx_core.scene.asking import FIND_PHRASES, MOST_PICTURES, WRITE_PROMPT, Question
from lumosx_core.scene.prompt import clean_text, read_text
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject

PROMPT = "A man on the left with a red hat\n and a Woman on the right, in a sunny park with two lamps"
TIDY = " ".join(PROMPT.split())
RIGHT = {1: "sunny park", 2: "lamps", 3: "man on the left", 4: "red hat", 5: "Woman on the right"}
OWNERS = {3: 1, 4: 1, 5: 2}


def reference(kind, phrase="?", shade=0.5, **options):
    return Reference(kind, phrase, torch.full((1, 4, 6, 3), shade), **options)


@pytest.fixture
def scene():
    return Scene(
        reference(Kind.BACKGROUND), (reference(Kind.OBJECT),), (
            Subject(reference(Kind.FACE, "one"), (reference(Kind.ATTRIBUTE),)), Subject(reference(Kind.FACE, "two")),
        ),
    )


def answer(words=RIGHT, owners=OWNERS, **more):
    pictures = [{"number": number, "person": owners.get(number), "words": said} for number, said in words.items()]
    return json.dumps({"pictures": pictures, **more})


def phrases(answer, scene, prompt=PROMPT):
    return [word.phrase for word in read_answer(answer, Question(scene, FIND_PHRASES, prompt)).scene.words]


def refusal(answer, scene, task=FIND_PHRASES, prompt=PROMPT):
    with pytest.raises(LumosXError, match="^answer: ") as caught:
        read_answer(answer, Question(scene, task, prompt))
    return str(caught.value)


@pytest.mark.parametrize("written", [
    answer(), f"```json\n{answer()}\n```", f"Here it is:\n{answer()}\nThe {{scene}} is nice.",
    f"<think>{{\"pictures\": []}} no</think> {answer()}", answer(reason="I looked"), answer(owners={}),
    answer({1: "sunnny parks", 2: "lamp", 3: "the  MAN on the left.", 4: "Red Hats", 5: "the woman on the right"}),
])
def test_an_answer_becomes_phrases_of_the_prompt(scene, written):
    made = read_answer(written, Question(scene, FIND_PHRASES, PROMPT))
    assert [word.phrase for word in made.scene.words] == list(RIGHT.values())
    assert made.prompt == TIDY and clean_text(TIDY) == clean_text(PROMPT)
    assert all(word.phrase in made.prompt for word in made.scene.words)
    assert [word.kind for word in made.scene.words] == [word.kind for word in scene.words]
    assert all(new.image is old.image for new, old in zip(made.scene.words, scene.words))
    assert all(f"\"{words}\"" in made.report for words in RIGHT.values())


@pytest.mark.parametrize(("written", "parts"), [
    ("", ["empty"]), ("I cannot see the picture.", ["no JSON", "I cannot see"]), ("[1, 2]", ["no JSON"]),
    (answer() + answer(RIGHT | {4: "hat"}), ["different"]), (answer()[:-2], ["last brace"]),
    ("{\"pictures\": " + "[" * 5000, ["deep"]), (answer() + " " * LONGEST_ANSWER, ["letters"]),
    ('{"pictures": [{"number": NaN, "words": "hat"}]}', ["NaN"]), ('{"pictures": {"1": "hat"}}', ["pictures"]),
    ('{"pictures": [], "pictures": []}', ["twice"]), ('{"pictures": [{"number": "1", "words": "hat"}]}', ["number"]),
    ('{"pictures": [{"number": 1, "words": 7}]}', ["words"]), ('{"prompt": "A hat"}', ["\"pictures\""]),
    ('{"pictures": [{"number": 1, "words": "hat", "which": 1e999}]}', ["which"]),
    (answer({**RIGHT, 4: "fedora"}), ["picture 4", "person 1", "fedora"]),
    (answer({**RIGHT, 5: "girl on the right"}), ["picture 5", "girl on the right", "woman on the right"]),
    (answer({1: "park", 4: "hat"}), ["picture 2", "picture 3", "picture 5"]),
    (answer({**RIGHT, 9: "hat"}), ["no picture 9"]), (answer({**RIGHT, 4: " "}), ["picture 4", "no words"]),
    (answer(owners=OWNERS | {4: 2}), ["picture 4", "person 2", "person 1"]),
    (answer(owners=OWNERS | {2: 1}), ["picture 2", "nobody"]),
    (answer({**RIGHT, 2: "Red hat"}), ["2 and 4", "same"]),
    (answer({**RIGHT, 4: "x" * 5000}), ["picture 4"]),
])
def test_a_wrong_answer_is_refused_by_name(scene, written, parts):
    said = refusal(written, scene)
    assert all(part in said for part in parts) and len(said) < 1500, said


def test_the_same_words_at_two_places(scene):
    prompt = "A man with a hat and a man with a lamp in a park"
    pictures = [
        {"number": 1, "words": "park"}, {"number": 2, "words": "lamp"}, {"number": 3, "words": "man", "which": 1},
        {"number": 4, "words": "hat"}, {"number": 5, "words": "man", "which": 2},
    ]
    made = read_answer(json.dumps({"pictures": pictures}), Question(scene, FIND_PHRASES, prompt)).scene
    assert [subject.face.occurrence for subject in made.subjects] == [1, 2]
    pictures[4]["which"] = 3
    assert "picture 5" in refusal(json.dumps({"pictures": pictures}), scene, prompt=prompt)
    del pictures[4]["which"]
    assert "3 and 5" in refusal(json.dumps({"pictures": pictures}), scene, prompt=prompt)


def test_a_full_body_takes_the_words_of_its_person():
    face, body = reference(Kind.FACE, "bob"), reference(Kind.OBJECT, "Bob", full_body=True)
    scene = Scene.of_people(None, (), [Subject(face, (reference(Kind.ATTRIBUTE, "hat"),), body)])
    written = answer({1: "man on the left", 2: "red hat"}, {1: 1, 2: 1})
    made = read_answer(written, Question(scene, FIND_PHRASES, PROMPT))
    assert [word.phrase for word in made.scene.words] == ["man on the left", "man on the left", "red hat"]
    assert made.scene.full_bodies[0].image is body.image


def test_words_without_a_picture_stay(scene):
    words = Reference(Kind.OBJECT, "red hat", None)
    made = Scene(scene.background, (words,), ())
    assert phrases(answer({1: "park"}), made) == ["park", "red hat"]


def test_a_written_prompt_holds_every_phrase():
    scene = Scene(None, (reference(Kind.OBJECT, "white lamp"),), (Subject(reference(Kind.FACE, "old man")),))
    question = Question(scene, WRITE_PROMPT, "")
    made = read_answer('{"prompt": "An old man\\n carries a white lamp."}', question)
    assert made.prompt == "An old man carries a white lamp." and made.scene is scene
    said = refusal('{"prompt": "An old man carries white lamps."}', scene, WRITE_PROMPT)
    assert "white lamp" in said and "old man" not in said
    for wrong in ('{"prompt": ["a"]}', '{"prompt": "..."}', '{"prompt": "a ' + "(" * 99 + '"}', '{"pictures": []}'):
        refusal(wrong, scene, WRITE_PROMPT)


def test_the_question_lists_every_picture_and_shows_the_form(scene):
    found = Question(scene, FIND_PHRASES, PROMPT)
    text = found.text(as_sheet=True)
    for line in ("1: background", "2: object", "3: face of person 1", "4: clothes or thing of person 1", TIDY):
        assert line in text
    example = json.loads(text[text.index("{"):text.rindex("}") + 1])
    assert {"number", "person", "words"} == set(example["pictures"][0])
    assert "phrase \"two\"" in Question(scene, WRITE_PROMPT, "").text(as_sheet=False)


@pytest.mark.parametrize(("count", "prompt", "named"), [
    (0, PROMPT, "relations"), (MOST_PICTURES + 1, PROMPT, "relations"), (1, " , ", "prompt"), (1, "a" * 9000, "prompt"),
])
def test_what_cannot_be_asked(count, prompt, named):
    things = [reference(Kind.OBJECT, str(number)) for number in range(count)] or [Reference(Kind.OBJECT, "hat", None)]
    with pytest.raises(LumosXError, match=f"^{named}: "):
        Question(Scene(None, tuple(things)), FIND_PHRASES, prompt)


WORDS = st.sampled_from([
    "a", "the", "man", "Men", "red", "hat", "hats", "jacket", "jaket", "(", ")", "\\(", "(hat:1.2)", "红", "남자는",
    "남자", "😀", "é", ".", "&amp;",
])
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join) | st.text(max_size=30)


@given(TEXTS, TEXTS)
def test_a_repaired_phrase_is_always_a_part_of_the_prompt_that_binds(typed, words):
    prompt = " ".join(typed.split())
    try:
        text = read_text(prompt)
    except LumosXError:
        return
    found = repaired(words, prompt, text)
    if found is not None:
        assert found and found in prompt and text.places(read_text(found))
