"""The board's guess: what binds to what while a user types, and that it agrees with what tokens say later."""

import dataclasses
import gc
import json
import time
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.media.sketch import Sketch
from lumosx_core.scene import checks
from lumosx_core.scene.checks import BoardReference, Deadline, read_board
from lumosx_core.scene.phrases import find_phrase, token_units, unit_spans
from lumosx_core.scene.prompt import clean_text
from lumosx_core.scene.relations import Kind
from support.tokens import small_tokenizer

TWO_MEN = "A man on the left in a red hat and a man on the right in a red scarf"


def face(phrase, person=0, occurrence=0, shown=True):
    return BoardReference(f"face {person}", Kind.FACE, phrase, occurrence, person, shown)


def attribute(phrase, person=0, occurrence=0):
    return BoardReference(f"{person} {phrase}", Kind.ATTRIBUTE, phrase, occurrence, person, True)


def thing(phrase, occurrence=0):
    return BoardReference(f"object {phrase}", Kind.OBJECT, phrase, occurrence, None, True)


def board(prompt, *references):
    answer = read_board(prompt, references, deadline=Deadline(60), most_tokens=512)
    json.dumps(answer, allow_nan=False)
    return answer


def one(prompt, reference):
    return board(prompt, reference)["references"][0]


def problems(answer, *codes):
    """(level, code, references, people) of each problem, or of those with these codes."""
    return [
        (each["level"], each["code"], each["references"], each["people"]) for each in answer["problems"]
        if not codes or each["code"] in codes
    ]


def values(answer, code):
    return [each["values"] for each in answer["problems"] if each["code"] == code]


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
    answer = board(TWO_MEN, face("man at the left"), face("man", 1))
    (near,) = values(answer, "missing")
    assert near["nearest"][0] == "man on the left"
    assert problems(answer) == [("error", "missing", ["face 0"], [])]


def nearest(prompt, *references):
    """What is suggested for each missing phrase, in order."""
    return [each["nearest"] for each in values(board(prompt, *references), "missing")]


def test_only_the_first_missing_phrases_get_suggestions():
    """Each takes time, and nobody fixes more at once."""
    phrases = "guy gentleman dude fellow bloke chap gent mister father dad"
    found = nearest("A man waves.", *map(thing, phrases.split()))
    assert found == [["man"]] * 8 + [[]] * 2


def test_words_that_are_taken_are_not_suggested():
    assert nearest("A man waves.", face("guy")) == [["man"]]
    assert nearest("A man waves.", face("guy"), face("man", 1)) == [[]]
    assert nearest("A man waves.", attribute("guy"), face("man", occurrence=4)) == [[]]
    assert nearest("A red hat and a blue hat.", thing("hats"), attribute("red hat")) == [["blue hat"]]


def test_only_what_every_choice_has_is_suggested():
    assert nearest("A {man|boy} and a woman wave.", face("guy")) == [[]]
    assert nearest("A {tall|small} man waves.", face("guy")) == [["man"]]


SUGGESTING = ["man", "guy", "lady", "woman", "hat", "hats", "red", "the", "on", "left", "{red|blue}", "{man|boy}"]


@given(
    st.lists(st.sampled_from(SUGGESTING), max_size=12).map(" ".join),
    st.lists(
        st.tuples(st.lists(st.sampled_from(SUGGESTING[:10]), min_size=1, max_size=3).map(" ".join), st.integers(0, 2)),
        min_size=1, max_size=4,
    ),
)
def test_a_suggestion_always_binds_and_is_never_taken(prompt, phrases):
    references = [face(phrase, person, occurrence) for person, (phrase, occurrence) in enumerate(phrases)]
    for problem in board(prompt, *references)["problems"]:
        for words in problem["values"].get("nearest", ()):
            (index,) = [index for index, each in enumerate(references) if [each.id] == problem["references"]]
            assert words not in [each.words for each in references]
            # The button puts occurrence 0; who types the words keeps theirs.
            for occurrence in (0, references[index].occurrence):
                fixed = [*references]
                fixed[index] = dataclasses.replace(references[index], phrase=words, occurrence=occurrence)
                assert board(prompt, *fixed)["references"][index]["status"] == "found"


def test_without_a_prompt_only_phrases_are_compared():
    answer = board(None, face("man", 0), face("Man", 1), face("man", 2, occurrence=1), face("", 3))
    assert [entry["status"] for entry in answer["references"]] == ["unknown", "unknown", "unknown", "empty"]
    assert problems(answer, "no_own_words", "shared") == [("warning", "no_own_words", ["face 0", "face 1"], [0, 1])]


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
    answer = board(prompt, face("man"), face("b a", 1))
    assert values(answer, "choices") == [{"count": 243}]
    assert [entry["status"] for entry in answer["references"]] == ["found", "sometimes"]
    assert all(level == "warning" for level, *_ in problems(answer))


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
    assert one("man and Man", face("man"))["ranges"] == [[0, 3]]


def test_all_places_are_counted_up_to_more_than_any_prompt_has():
    assert one("man " * 30, face("man"))["count"] == 30
    found = one("man " * 1500, face("man"))
    assert (found["count"], len(found["ranges"])) == (1024, 200)


def test_words_that_another_person_binds_too_are_one_conflict():
    references = [face("man"), face("man on the right", 1), attribute("red", 0), attribute("red scarf", 1)]
    answer = board(TWO_MEN, *references)
    assert problems(answer) == [
        ("warning", "shared", ["face 0", "face 1"], [0, 1]), ("warning", "shared", ["0 red", "1 red scarf"], [0, 1]),
    ]
    assert values(answer, "shared") == [{"places": 2}, {"places": 2}]


def test_three_people_of_one_name_are_one_conflict_and_no_error():
    answer = board(TWO_MEN, *(face("man", person) for person in range(3)))
    assert problems(answer) == [("warning", "no_own_words", ["face 0", "face 1", "face 2"], [0, 1, 2])]


def test_things_share_no_words_for_they_cancel_nothing_out():
    answer = board(TWO_MEN, face("man on the left"), thing("red hat"), attribute("red hat"), attribute("hat"))
    assert problems(answer) == []


@pytest.mark.parametrize(
    ("phrases", "expected"),
    [
        (("man", "man"), [0, 1]),
        (("man", "man on the left"), []),
        (("left", "man on the left"), [0]),
        (("man on the left", "man on the right"), []),
        (("man", "man", "scarf"), [0, 1]),
        (("man", "nobody"), []),
    ],
)
def test_people_without_words_of_their_own(phrases, expected):
    answer = board(TWO_MEN, *(face(phrase, person) for person, phrase in enumerate(phrases)))
    found = problems(answer, "no_own_words")
    assert [people for *_, people in found] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        ([thing("red")], []),
        ([thing("red"), attribute("red hat")], ["object red"]),
        ([thing("red"), thing("red hat")], ["object red"]),
        ([thing("red", 1), thing("red hat")], []),
        ([thing("red hat"), attribute("red hat")], []),
    ],
)
def test_ambiguous_is_what_a_number_or_a_longer_phrase_would_part(references, expected):
    found = problems(board(TWO_MEN, *references), "ambiguous")
    assert [ids for _, _, ids, _ in found] == ([expected] if expected else [])


def test_the_board_as_a_whole_is_looked_at_as_a_scene_is():
    many = [attribute(f"thing {number}") for number in range(4)]
    answer = board(None, face("a", 0, shown=False), *many)
    assert problems(answer) == [("warning", "no_face", [], [0]), ("warning", "too_many_attributes", [], [0])]
    assert values(answer, "too_many_attributes") == [{"count": 4}]
    assert values(board(None, *(face(str(person), person) for person in range(4))), "too_many_people") == [{"count": 4}]
    body = dataclasses.replace(thing("Man"), full_body=True)
    assert problems(board(None, face("man", 0, shown=False), attribute("hat"), body), "no_face") == []
    assert problems(board(None, attribute("hat"), thing("man"))) == [("warning", "no_face", [], [0])]
    assert problems(board(None, face("man"), body), "body_and_group") == [
        ("warning", "body_and_group", ["face 0", "object Man"], []),
    ]


def test_what_is_not_linked_or_not_named_stops_the_run():
    nothing = dataclasses.replace(thing(" "), shown=False)
    assert problems(board("a hat", nothing)) == [("error", "nothing", ["object  "], [])]
    # Words count alone, as when a picture is bypassed to compare.
    bare = dataclasses.replace(thing("hat"), shown=False)
    assert problems(board("a man and a hat", face("man"), bare)) == [("warning", "no_picture", ["object hat"], [])]
    unread = dataclasses.replace(thing(None), shown=False)
    assert problems(board("a man and a hat", face("man"), unread)) == [("warning", "no_picture", ["object None"], [])]
    # The words of a person bind alone too.
    alone = dataclasses.replace(attribute("hat"), shown=False)
    assert problems(board("a man in a hat", face("man"), alone)) == [("warning", "no_picture", ["0 hat"], [])]
    assert problems(board("a hat", thing(" "))) == [("error", "empty", ["object  "], [])]


def test_a_body_on_its_persons_row_is_an_object_and_shares_nothing():
    """The page tells whose it is, so that its badge is that row's."""
    body = dataclasses.replace(thing("man"), person=0, full_body=True)
    assert problems(board("A man and a boy.", face("man"), face("boy", 1), body)) == [
        ("warning", "body_and_group", ["face 0", "object man"], []),
    ]
    other = board("A man waves.", dataclasses.replace(body, person=1), face("man"))
    assert problems(other, "shared", "no_own_words") == []


def test_a_person_whose_only_picture_is_bypassed_is_a_warning():
    people = [face("man", 0, shown=False), face("woman", 1)]
    assert problems(board("a man and a woman", *people)) == [("warning", "person_unseen", [], [0])]
    alone = [dataclasses.replace(each, shown=False) for each in people]
    assert problems(board("a man and a woman", *alone)) == [("warning", "no_pictures", [], [])]
    # A board on which nothing is typed yet has no words to go by.
    assert problems(board("a man", face("", 0, shown=False))) == []
    assert problems(board("a man", face("", 0, shown=False), face("man", 1))) == []


def test_a_face_that_is_neither_linked_nor_named_is_no_mistake():
    assert problems(board("A red hat.", face("", shown=False), attribute("red hat"))) == [
        ("warning", "no_face", [], [0]),
    ]
    assert problems(board("A red hat.", face(""), attribute("red hat"))) == [("error", "empty", ["face 0"], [])]


def test_words_that_cannot_be_read_are_neither_missing_nor_shared():
    unread = [face(None, 0), face(None, 1), attribute("hat", 1)]
    for prompt in ("a hat", None):
        answer = board(prompt, *unread)
        assert [entry["status"] for entry in answer["references"]][:2] == ["unknown", "unknown"]
        assert problems(answer) == []


def test_a_linked_prompt_is_read_as_it_is():
    """Comments and choices are the page's own, for what is typed into the node."""
    prompt = "a {red|blue} hat // not a lamp"
    linked = read_board(prompt, [thing("red blue hat"), thing("lamp")], settled=True)
    assert [entry["status"] for entry in linked["references"]] == ["found", "found"]
    typed = read_board(prompt, [thing("red hat"), thing("lamp")])
    assert [entry["status"] for entry in typed["references"]] == ["sometimes", "missing"]


def test_a_phrase_that_begins_a_longer_word_is_left_to_the_tokenizer():
    answer = board("A man with red hats!", thing("red hat"), thing("ed hats"))
    assert [entry["status"] for entry in answer["references"]] == ["perhaps", "missing"]
    assert one("{red hats|a lamp}", thing("red hat"))["status"] == "perhaps"
    assert problems(answer) == [
        ("warning", "perhaps", ["object red hat"], []), ("error", "missing", ["object ed hats"], []),
    ]


@pytest.mark.parametrize(
    ("prompt", "code", "level"),
    [
        ("a man " * 300, "too_long", "error"),
        ("a remarkable man " * 130, "perhaps_too_long", "warning"),
        ("男" * 520, "perhaps_too_long", "warning"),
        ("{a man " + "man " * 600 + "|a man}", "perhaps_too_long", "warning"),
        ("a man " * 90, None, None),
        ("a man /* " + "man " * 600 + "*/", None, None),
        # Each word has a token at least, and the end has one of its own.
        ("a " * 511, None, None),
        ("a " * 512, "too_long", "error"),
        # Of so many choices not all are read, so that one may be short enough.
        ("{a|b|c} man " * 300, "perhaps_too_long", "warning"),
    ],
)
def test_a_prompt_that_is_or_may_be_longer_than_the_model_reads(prompt, code, level):
    found = problems(board(prompt, face("man") if "man" in prompt else face("男")), "too_long", "perhaps_too_long")
    assert [each[:2] for each in found] == ([(level, code)] if code else [])


@pytest.mark.parametrize("text", ["(" * 33 + "man" + ")" * 33, "a man embedding: red", "(embedding:)"])
def test_what_the_encoder_refuses_is_refused_in_a_sentence(text):
    for prompt, phrase in ((text, "man"), ("a man", text)):
        with pytest.raises(LumosXError, match="brackets are more than 32 deep|\"embedding:\" has no name after it"):
            board(prompt, face(phrase))


def of(picture, **values):
    return dataclasses.replace(thing("lamp"), sketch=Sketch.of(picture), **values)


def test_pictures_are_looked_at_as_the_encoder_does():
    picture = torch.rand(1, 40, 30, 3, generator=torch.Generator().manual_seed(1))
    first, second, coat, hat = (
        dataclasses.replace(each, sketch=Sketch.of(picture))
        for each in (face("man"), face("boy", 1), attribute("coat"), attribute("hat", 1))
    )
    assert problems(board(None, first, second), "same_picture") == [
        ("warning", "same_picture", ["face 0", "face 1"], []),
    ]
    assert problems(board(None, first, coat), "same_picture") == [("warning", "same_picture", ["face 0", "0 coat"], [])]
    assert problems(board(None, coat, hat), "same_picture") == [("warning", "same_picture", ["0 coat", "1 hat"], [])]
    assert problems(board(None, coat, dataclasses.replace(hat, phrase="Coat")), "same_picture") == []
    assert problems(board(None, coat, of(picture)), "same_picture") == []
    assert problems(board(None, of(picture), dataclasses.replace(of(picture), id="2", phrase="sofa"))) == []
    assert problems(board(None, of(torch.ones(1, 8, 8, 3)))) == [("warning", "blank_picture", ["object lamp"], [])]
    thin = torch.rand(1, 2, 900, 3, generator=torch.Generator().manual_seed(1))
    assert problems(read_board(None, [of(thin)], frame=(832, 480))) == [
        ("warning", "thin_picture", ["object lamp"], []),
    ]
    links = [dataclasses.replace(face(name, number), link="7:0") for number, name in enumerate(("man", "boy"))]
    assert problems(board(None, *links), "same_picture") == [("warning", "same_picture", ["face 0", "face 1"], [])]


WORST = {
    "nothing special": ("a man in a red hat and a woman talk " * 555, [f"man in a red {n}" for n in range(64)]),
    "one letter": ("a " * 10_000, ["a"] * 64),
    "one sign": ("男" * 20_000, ["男" * (1 + number) for number in range(64)]),
    "nearly the same": ("ab ba abba baab " * 1250, ["abab baba aabb ab ab " * (1 + n % 14) for n in range(64)]),
    "choices": ("{a|b} man " * 2000, ["a man b"] * 64),
    "nested choices": ("{" * 32 + "a|b}" * 4992, ["a b"] * 64),
    "weights": ("(" * 32 + "a " * 9000 + ")" * 32, ["a"] * 64),
    "open brackets": ("(a" * 10_000, ["a"] * 64),
    "entities": ("&amp;" * 4000, ["a"] * 64),
    "a huge number": ("&#" + "9" * 19_000 + ";", ["&#" + "9" * 300] * 64),
    "comments": ("/*" * 10_000, ["/"] * 64),
    "embeddings": ("embedding:a " * 1600, ["a"] * 64),
    "marks": (("e" + "\u0301\u0323" * 15) * 645, ["\u00e9"] * 64),
    "long phrases": ("a man in a red hat talks " * 800, ["a man in a red hat talks " * 12 + "x" * n for n in range(9)]),
    "Korean": ("가나 가나를 " * 3300, ["가나"] * 64),
    "one word": ("x" * 20_000, ["x" * 300] * 64),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", WORST)
def test_the_worst_that_can_be_asked_is_answered_soon(case):
    prompt, phrases = WORST[case]
    references = [attribute(phrase, number % 9) for number, phrase in enumerate(phrases)]
    references = [dataclasses.replace(each, id=str(number)) for number, each in enumerate(references)]
    # Late in a run, collecting what all tests before left would take longer than the answer.
    gc.collect()
    gc.disable()
    try:
        # Of the processor, since the machine can be busy; the first case takes a tenth of a second.
        start = time.thread_time()
        answer = read_board(prompt, references, deadline=Deadline(60), most_tokens=512)
        taken = time.thread_time() - start
    finally:
        gc.enable()
    assert taken < 1
    assert len(json.dumps(answer)) < 100_000


def test_an_answer_ends_with_its_time_or_with_who_asked():
    for deadline in (Deadline(0), Deadline(60)):
        deadline.drop()
        with pytest.raises(LumosXError, match="^board: the prompt and the phrases take more than 2 seconds"):
            read_board("a man", [face("man")], deadline=deadline)


@pytest.fixture(scope="module")
def tokenize():
    cut = small_tokenizer()
    return lambda text: cut(clean_text(text))


def state(prompt, phrase, occurrence):
    """What ``find_phrase`` makes of it, in the board's words. Its ids find "hat" in "hats" too; the board does not."""
    try:
        return "found", len(find_phrase(prompt, phrase, occurrence).spans)
    except LumosXError as error:
        return ("too_few" if "was chosen" in str(error) else "missing"), 0


WORDS = st.lists(
    st.sampled_from(
        ["man", "Man", "woman", "red", "hat", "on", "left,", "man's", "男人", "白色", "café", "🎩", "남자가"]
    ),
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


@pytest.mark.parametrize(("counts", "read_all", "code", "count"), [
    ([(5, 5)], True, None, None), ([(6, 6)], True, "too_long", 6), ([(6, 6)], False, "perhaps_too_long", 6),
    ([(6, 7), (5, 5)], True, "perhaps_too_long", 6), ([(6, 7), (7, 8)], True, "too_long", 7),
    ([(5, 6)], True, "perhaps_too_long", 6), ([(4, 5), (5, 9)], True, "perhaps_too_long", 9), ([], True, None, None),
])
def test_a_text_is_too_long_from_one_token_past_the_limit_on(monkeypatch, counts, read_all, code, count):
    monkeypatch.setattr(checks, "_tokens", lambda text: text)
    found = checks._prompt_problems(counts, 9, read_all, 5)
    found = [one for one in found if one["code"] != "choices"]
    assert [(one["code"], one["values"]) for one in found] == ([] if code is None else [
        (code, {"count": count, "limit": 5})
    ])
    choices = checks._prompt_problems(counts, 9, read_all, None)
    assert [one["values"] for one in choices] == ([] if read_all else [{"count": 9}])


@pytest.mark.parametrize(("phrase", "person", "words"), [
    ("  Red  HAT ", 0, "red hat"), ("", 0, ""), (None, None, "\0here"), (None, 2, "\x002"), (None, 0, "\x000"),
])
def test_which_words_a_reference_binds(phrase, person, words):
    reference = BoardReference("here", Kind.ATTRIBUTE, phrase, 3, person, True)
    assert reference.bound_words == (words, 3) and reference.words == " ".join((phrase or "").split())


@pytest.mark.parametrize(("text", "least", "likely"), [
    ("", 1, 1), ("a", 2, 2), ("a man", 3, 4), ("remarkable", 2, 7), ("a, b", 3, 4), ("\u7537\u4eba", 2, 3),
    ("1 2", 3, 3), ("a\0b", 3, 3), ("a" * 20, 2, 12),
])
def test_how_many_tokens_letters_make(text, least, likely):
    assert checks._tokens(SimpleNamespace(plain=text)) == (least, likely)
