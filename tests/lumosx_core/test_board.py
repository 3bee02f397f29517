"""The board's guess: what binds to what while a user types, and that it agrees with what tokens say later."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.tokens import small_tokenizer
from lumosx_core.board import BoardReference, read_board
from lumosx_core.errors import LumosXError
from lumosx_core.phrases import find_phrase, token_units, unit_spans
from lumosx_core.prompt_text import clean_text
from lumosx_core.relations import Kind

TWO_MEN = "A man on the left in a red hat and a man on the right in a red scarf"


def face(phrase, person=0, occurrence=0, shown=True):
    return BoardReference(f"face {person}", Kind.FACE, phrase, occurrence, person, shown)


def attribute(phrase, person=0, occurrence=0):
    return BoardReference(f"{person} {phrase}", Kind.ATTRIBUTE, phrase, occurrence, person, True)


def thing(phrase, occurrence=0):
    return BoardReference(f"object {phrase}", Kind.OBJECT, phrase, occurrence, None, True)


def board(prompt, *references):
    answer = read_board(prompt, references)
    json.dumps(answer, allow_nan=False)
    return answer


def one(prompt, reference):
    return board(prompt, reference)["references"][0]


def bound(prompt, entry):
    typed = prompt.encode("utf-16-le")
    return [typed[2 * start:2 * end].decode("utf-16-le") for start, end in entry["ranges"]]


@pytest.mark.parametrize(
    ("phrase", "occurrence", "status", "words", "count"),
    [
        ("man on the left", 0, "found", ["man on the left"], 1),
        ("Man, on THE left!", 0, "found", ["man on the left"], 1),
        ("man", 0, "found", ["man", "man"], 2),
        ("man", 2, "found", ["man"], 2),
        ("man", 3, "too_few", [], 2),
        ("red (hat:1.2)", 0, "found", ["red hat"], 1),
        ("woman", 0, "missing", [], 0),
        ("me", 0, "missing", [], 0),
        ("!", 0, "missing", [], 0),
        ("  ", 0, "empty", [], 0),
    ],
)
def test_a_phrase_is_found_as_tokens_would_find_it(phrase, occurrence, status, words, count):
    entry = one(TWO_MEN, face(phrase, occurrence=occurrence))
    assert (entry["status"], bound(TWO_MEN, entry), entry["count"]) == (status, words, count)


def test_the_nearest_words_are_named_only_where_something_is_missing():
    assert one(TWO_MEN, face("man at the left"))["nearest"][0] == "man on the left"
    assert one(TWO_MEN, face("man"))["nearest"] == []


def test_without_a_prompt_only_phrases_are_compared():
    answer = board(None, face("man", 0), face("Man", 1), face("man", 2, occurrence=1), face("", 3))
    entries = answer["references"]
    assert [entry["status"] for entry in entries] == ["unknown", "unknown", "unknown", "empty"]
    assert [entry["shared_with"] for entry in entries] == [["face 1"], ["face 0"], [], []]
    assert [person["own_words"] for person in answer["people"]] == [False, False, True, True]


def test_a_choice_can_leave_a_phrase_out():
    prompt = "a {red|blue} hat, {a {red|green}|no} hat"
    both, some = one(prompt, thing("hat")), one(prompt, thing("red hat"))
    assert (both["status"], both["count"]) == ("found", 2)
    assert (some["status"], some["count"]) == ("sometimes", 2)
    assert bound(prompt, some) == ["red|blue} hat", "red|green}|no} hat"]
    assert one(prompt, thing("red hat", 2))["status"] == "sometimes"
    assert one(prompt, thing("red hat", 3))["status"] == "too_few"
    assert one(prompt, thing("no blue"))["status"] == "missing"


def test_more_choices_than_are_read_are_counted():
    prompt = "{a|b|c} man " * 5
    assert board(prompt, face("man"))["warnings"] == [{"code": "choices", "count": 243}]
    assert one(prompt, face("man"))["status"] == "found"


def test_a_comment_is_no_text():
    prompt = "a man // in a red hat\nand a /* blue */ scarf"
    assert one(prompt, thing("red hat"))["status"] == "missing"
    assert bound(prompt, one(prompt, thing("a scarf"))) == ["a /* blue */ scarf"]


def test_occurrence_0_binds_what_is_spelled_so_where_anything_is():
    """Ids mind case, so the release and we bind only these; a number counts them all."""
    prompt = "Man one, man two and a man"
    assert one(prompt, face("man"))["ranges"] == [[9, 12], [23, 26]]
    assert one(prompt, face("MAN"))["ranges"] == [[0, 3], [9, 12], [23, 26]]
    assert one(prompt, face("man", occurrence=1))["ranges"] == [[0, 3]]
    assert one(prompt, face("man"))["count"] == 3


def test_words_that_another_person_binds_too_are_shared():
    answer = board(TWO_MEN, face("man"), face("man on the right", 1), attribute("red", 0), attribute("red scarf", 1))
    shared = {entry["id"]: entry["shared_with"] for entry in answer["references"]}
    assert shared == {
        "face 0": ["face 1"], "face 1": ["face 0"], "0 red": ["1 red scarf"], "1 red scarf": ["0 red"],
    }
    assert [person["own_words"] for person in answer["people"]] == [True, True]


def test_things_share_no_words_for_they_cancel_nothing_out():
    entries = board(TWO_MEN, thing("red hat"), attribute("red hat"), attribute("hat"))["references"]
    assert all(entry["shared_with"] == [] for entry in entries)


@pytest.mark.parametrize(
    ("phrases", "expected"),
    [
        (("man", "man"), [False, False]),
        (("man", "man on the left"), [True, True]),
        (("left", "man on the left"), [False, True]),
        (("man on the left", "man on the right"), [True, True]),
        (("man", "man", "scarf"), [False, False, True]),
        (("man", "nobody"), [True, True]),
    ],
)
def test_people_without_words_of_their_own(phrases, expected):
    people = board(TWO_MEN, *(face(phrase, person) for person, phrase in enumerate(phrases)))["people"]
    assert [person["own_words"] for person in people] == expected
    assert [person["person"] for person in people] == list(range(len(phrases)))


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        ([face("man")], [False]),
        ([face("man"), face("scarf", 1)], [False, False]),
        ([face("man"), face("man on the right", 1)], [True, False]),
        ([face("man", occurrence=1), face("man", 1, 2)], [False, False]),
        ([face("man"), face("man", 1)], [True, True]),
        ([face("man"), attribute("man on the right")], [False, False]),
        ([thing("red"), attribute("red hat")], [True, False]),
        ([thing("red"), thing("red hat")], [True, False]),
    ],
)
def test_ambiguous_is_what_a_number_or_a_longer_phrase_would_part(references, expected):
    assert [entry["ambiguous"] for entry in board(TWO_MEN, *references)["references"]] == expected


def test_the_board_as_a_whole_is_judged_as_a_scene_is():
    many = [attribute(f"thing {number}") for number in range(4)]
    assert board(None, face("a", 0, shown=False), *many)["warnings"] == [
        {"code": "no_face", "person": 0}, {"code": "too_many_attributes", "person": 0, "count": 4},
    ]
    people = [face(str(person), person) for person in range(4)]
    assert board(None, *people)["warnings"] == [{"code": "too_many_people", "count": 4}]
    assert board(None, face("man", 0, shown=False), thing("Man"))["warnings"] == []
    assert board(None, attribute("hat"), thing("man"))["warnings"] == [{"code": "no_face", "person": 0}]


@pytest.mark.parametrize(
    "prompt",
    [
        "a man " * 3333, "{a|b}" * 4000, "({" * 16 + "x " * 9000, "&amp;" * 4000, "(" * 10_000 + ")" * 10_000,
        "x" * 20_000,
    ],
    ids=lambda prompt: prompt[:12],
)
def test_the_worst_that_can_be_asked_is_answered_soon(prompt):
    references = [attribute(f"man a mann {number}", number) for number in range(64)]
    start = time.perf_counter()
    board(prompt, *references)
    assert time.perf_counter() - start < 10


@pytest.fixture(scope="module")
def tokenize():
    cut = small_tokenizer()
    return lambda text: cut(clean_text(text))


def state(prompt, phrase, occurrence):
    """What ``find_phrase`` makes of it, in the board's words. Its ids find "hat" in "hats" too; the board does not."""
    try:
        return "found", len(find_phrase(prompt, phrase, occurrence).spans)
    except LumosXError as error:
        return ("too_few" if "was asked for" in str(error) else "missing"), 0


WORDS = st.lists(
    st.sampled_from(["man", "Man", "woman", "red", "hat", "on", "left,", "man's", "男人", "白色", "café", "🎩"]),
    max_size=8,
).map(" ".join)
LETTERS = st.text(st.characters(exclude_characters="(){}|\\/*\0\1\2", exclude_categories=["Cs"]), max_size=12)


@given(WORDS | LETTERS, WORDS | LETTERS)
def test_as_often_as_the_letters_of_tokens_say(tokenize, prompt, phrase):
    found = unit_spans(token_units(tokenize(prompt)), token_units(tokenize(phrase)))
    assert one(prompt, thing(phrase))["count"] == len(found)


@given(WORDS.filter(bool), st.data(), st.integers(0, 3))
def test_the_tokenizer_agrees_on_words(tokenize, prompt, data, occurrence):
    words = prompt.split()
    first = data.draw(st.integers(0, len(words) - 1))
    phrase = " ".join(words[first:first + data.draw(st.integers(1, 3))])
    phrase = data.draw(st.sampled_from([phrase, phrase.upper(), phrase.strip(","), "red hat"]))
    entry = one(prompt, thing(phrase, occurrence))
    assert (entry["status"], len(entry["ranges"])) == state(tokenize(prompt), tokenize(phrase), occurrence)
