"""A typed prompt, read as ComfyUI's page, the encoder and the tokenizer read it."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.scene.prompt import (
    DEEPEST_CHOICE,
    DEEPEST_WEIGHT,
    LARGEST_WEIGHT,
    MOST_COMBINATIONS,
    MOST_MARKS,
    clean_text,
    read_prompt,
    read_text,
    tokenizer_text,
)


def utf16(text, span):
    """What JavaScript's slice gives."""
    return text.encode("utf-16-le", "surrogatepass")[2 * span[0]:2 * span[1]].decode("utf-16-le", "surrogatepass")


def words(text):
    return [unit.text for unit in text.units]


def typed_words(typed, text):
    return [utf16(typed, text.typed((unit.start, unit.end))) for unit in text.units]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a red // nobody\nhat", ["a", "red", "hat"]),
        ("a red /* no\nbody */hat", ["a", "red", "hat"]),
        ("see http://x.org\nhat", ["see", "http", "hat"]),
        ("a /* is not closed", ["a", "is", "not", "closed"]),
        ("a \\{b|c\\} d", ["a", "b", "c", "d"]),
        ("a|b }", ["a", "b"]),
        ("a (red hat:1.2) b", ["a", "red", "hat", "b"]),
        ("a ((red) hat:0.5) b", ["a", "red", "hat", "b"]),
        ("a (red:hat) b", ["a", "red", "hat", "b"]),
        ("a \\(red:1.2\\) b", ["a", "red", "1", "2", "b"]),
        ("a (red hat:1.2", ["a", "red", "hat", "1", "2"]),
        ("a (:1.2) b", ["a", "1", "2", "b"]),
        ("a (x:1.2) b", ["a", "x", "b"]),
        ("ﬁne ｈａｔ", ["fine", "hat"]),
        ("hat(s)", ["hat", "s"]),
        ("a hat embedding:easy, b", ["a", "hat", "b"]),
        ("caf&eacute; &amp;eacute; x", ["caf\u00e9", "\u00e9", "x"]),
    ],
)
def test_only_words_that_reach_the_tokenizer_are_words(typed, expected):
    (text,), number = read_prompt(typed)
    assert number == 1 and words(text) == expected


def test_a_text_that_was_resolved_keeps_its_braces_and_slashes():
    assert words(read_text("{a|b} // c")) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("\U0001f600 a man", ["\U0001f600", "a", "man"]),
        ("caf&eacute; man", ["caf&eacute;", "man"]),
        ("cafe\u0301 man", ["cafe\u0301", "man"]),
        ("re/* x */d (hat:1.2)", ["re/* x */d", "hat"]),
        ("\u1112\u1161\u11ab x", ["\u1112\u1161\u11ab", "x"]),
        ("\ud800 man", ["\ud800", "man"]),
        ("\uffff man \U00010000", ["man", "\U00010000"]),
    ],
)
def test_every_word_knows_where_it_was_typed(typed, expected):
    (text,), _ = read_prompt(typed)
    assert typed_words(typed, text) == expected


def test_choices_make_every_text_once():
    texts, number = read_prompt("a {red|{dark|light} blue|} {hat|cap")
    assert number == 8 == len(texts)
    assert {" ".join(words(text)) for text in texts} == {
        f"a {colour}{thing}" for colour in ("red ", "dark blue ", "light blue ", "") for thing in ("hat", "cap")
    }


def test_of_too_many_choices_every_option_is_read():
    texts, number = read_prompt(" ".join("{" + "|".join(f"w{n}x{m}" for m in range(5)) + "}" for n in range(9)))
    assert number == 10**6 and len(texts) == MOST_COMBINATIONS
    assert {word for text in texts for word in words(text)} == {f"w{n}x{m}" for n in range(9) for m in range(5)}


def test_as_many_choices_as_are_read_one_by_one_give_as_many_texts():
    eight = "{" + "|".join("abcdefgh") + "}"
    texts, number = read_prompt(f"{eight} {eight}")
    assert number == MOST_COMBINATIONS == len({tuple(words(text)) for text in texts})


def test_choices_without_end_are_refused_in_a_sentence():
    assert read_prompt("{" * 32)[1] == 1
    with pytest.raises(LumosXError, match="^prompt: choices in braces are more than 32 deep; "):
        read_prompt("{" * 20_000)


def test_brackets_without_end_are_read():
    assert words(read_text("(" * 5000 + "a" + ")" * 32)) == ["a"]
    assert words(read_text("(" * 32 + "a" + ")" * 32)) == ["a"]


@pytest.mark.parametrize("text", ["(" * 5000 + "a" + ")" * 5000, "a (x" + "(" * 32 + "b" + ")" * 33])
def test_brackets_that_the_tokenizer_would_give_up_at_are_refused_in_a_sentence(text):
    with pytest.raises(LumosXError, match="^the hat: brackets are more than 32 deep; "):
        tokenizer_text(text, "the hat")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e40", "2024", " -1001 "])
def test_a_weight_that_leaves_nothing_of_a_text_is_refused(number):
    for text in (f"a (man:{number})", f"((a (hat:{number})))"):
        with pytest.raises(LumosXError, match=f"^prompt: {number.strip()} cannot be the weight of words"):
            tokenizer_text(text, "prompt")


def test_usual_weights_and_other_colons_are_let_through():
    for text in ("(man:1.4)", "(man:0)", "(man:-1)", "(man:1000)", "at 12:2024", r"\(in:2024\)", "(ratio: wide)"):
        tokenizer_text(text, "prompt")


@pytest.mark.parametrize(
    "text", ["a man embedding: red hat", "embedding:", "a (embedding:)", "a (embedding::1.2)", "embedding:(hat)"]
)
def test_an_embedding_without_a_name_is_refused_since_it_would_take_the_next_word(text):
    with pytest.raises(LumosXError, match="^prompt: \"embedding:\" has no name after it; "):
        tokenizer_text(text, "prompt")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("red embedding:easy<x hat", ["red", "x", "hat"]),
        ("red embedding:easy[x hat", ["red", "x", "hat"]),
        ("(embedding:easy<x:1.2) hat", ["x", "hat"]),
        ("red,embedding:easy hat", ["red", "embedding", "easy", "hat"]),
        ("\\(embedding:easy hat\\)", ["embedding", "easy", "hat"]),
        ("(embedding:easy)hat", ["hat"]),
        # As many characters of the name are left over as it has commas around it.
        ("embedding:,,easy, hat", ["sy", "hat"]),
    ],
)
def test_where_an_embedding_begins_and_ends(typed, expected):
    assert words(read_text(typed)) == expected
    assert words(read_text(tokenizer_text(typed, "prompt"))) == expected


def test_the_comma_after_an_embedding_is_text():
    assert read_text("a embedding:easy, b").plain.strip("\0") == "a , b"


def test_a_number_of_thousands_of_digits_is_no_character():
    assert clean_text("a &#" + "9" * 9000 + "; b") == "a \ufffd b" and clean_text("&#0000000065;") == "A"
    assert words(read_text("a &#" + "9" * 9000 + "; b")) == ["a", "\ufffd", "b"]


PIECES = st.sampled_from([
    "man", "Man ", " red", "(", ")", ":1.2)", "\\(", "\\)", "\\", ":", "&amp;", "&#x41;", "&am", "\u0301", "e", "\n",
    " ", "\u3000", "\u2019", "\U0001f600", "男", "\u1161", "\u1112", "embedding:x ", "{", "|", "}", "/", "*", "\0", "ﬁ",
])


@given(st.lists(PIECES, max_size=25).map("".join) | st.text(max_size=30))
@example("&notit; &amp;lt;b&amp;gt;")
def test_characters_are_those_of_the_cleaned_text_and_ranges_are_in_the_typed_one(typed):
    plain = read_text(typed).plain
    if re.search(r"embedding:([\s<\[)]|$)", clean_text(typed)):
        return
    if not set("()") & set(clean_text(typed)) and "embedding:" not in typed:
        assert plain.lstrip("\0") == clean_text(typed).lstrip("\0")
    size = len(typed.encode("utf-16-le")) // 2
    for text in read_prompt(typed)[0]:
        assert all(0 <= start <= end <= size for _, start, end in text.letters)
        assert all(text.typed((unit.start, unit.end))[0] < size for unit in text.units)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 999, "x" + "f" * 5000])
@pytest.mark.parametrize("typed", ["a &#{};", "a &#{}", "a &amp;#{};"])
def test_entities_of_thousands_of_digits_are_one_unknown_character(number, typed):
    text = typed.format(number)
    assert clean_text(text) == "a \ufffd"
    assert read_text(text).plain.strip("\0") == "a \ufffd"


@pytest.mark.parametrize("number", ["65", "0", "99999999"])
@pytest.mark.parametrize("sign", ["&", "&amp;"])
def test_entities_with_thousands_of_zeros(sign, number):
    typed, short = f"a {sign}#{'0' * 5000}{number}; hat", f"a &#{number}; hat"
    assert clean_text(typed) == clean_text(short)
    assert read_text(typed).plain == read_text(short).plain


MARKS = "\u0345\u0301\u0316\u0334"


@pytest.mark.parametrize("mark", [*MARKS, "\uff9e\u0301", "&#769;&#790;", "&amp;#837;&#x316;", "\u0344"])
def test_no_letter_has_accents_without_end(mark):
    assert read_text("a" + mark * (MOST_MARKS // 4)).letters
    with pytest.raises(LumosXError, match="^phrase: one letter has more than 30 accents"):
        read_text("a" + mark * (MOST_MARKS + 1), "phrase")


def test_every_letter_may_have_its_own_accents():
    typed = "a\u0301\u0316" * 1000 + "\u0e01\u0e34\u0e48" * 1000
    assert len(read_text(typed).units) == 3001


@pytest.mark.parametrize(
    "typed",
    ["/* " * 60_000, "*/" + "/*" * 90_000, "(embedding:a" * 15_000, "a" + "\u0345\u0301\u0316\u0334" * 45_000],
    ids=["comments", "comments after one", "embeddings", "accents"],
)
def test_long_texts_take_no_longer_than_their_length(typed):
    began = time.process_time()
    for read in (read_prompt, lambda text: tokenizer_text(text, "prompt")):
        try:
            read(typed)
        except LumosXError:
            assert "\u0345" in typed
    assert time.process_time() - began < 6


@given(st.lists(st.sampled_from(["/*", "*/", "//", "/", "*", "a", " ", "\n"]), max_size=14).map("".join))
@example("*//* // b\nc")
def test_comments_are_those_of_the_page(typed):
    (text,), _ = read_prompt(typed)
    expected = re.sub(r"/\*[\s\S]*?\*/|//[^\n\r\u2028\u2029]*", "", typed)
    assert text.plain == read_text(expected).plain


@pytest.mark.parametrize(("text", "phrase", "places"), [
    ("남자가 남자", "남자", [(5, 7)]), ("红帽子 红帽", "红帽", [(5, 7)]), ("Hat hat, hat", "hat", [(5, 8), (10, 13)]),
    ("'hat' hat", "'hat", [(2, 5)]), ("hats hat", "hat", [(6, 9)]), ("hat", "hat", [(1, 4)]),
])
def test_a_phrase_is_spelled_so_where_no_letter_goes_on_after_it(text, phrase, places):
    read, words = read_text(text), read_text(phrase)
    assert list(read.spelled(read.places(words), words)) == places


@pytest.mark.parametrize(("text", "words"), [
    ("(" * DEEPEST_WEIGHT + "a hat" + ")" * DEEPEST_WEIGHT, None),
    ("(" * (DEEPEST_WEIGHT + 1) + "a hat" + ")" * (DEEPEST_WEIGHT + 1), "brackets are more than"),
    (f"(hat:{LARGEST_WEIGHT})", None), (f"(hat:-{LARGEST_WEIGHT})", None), (f"(hat:{LARGEST_WEIGHT + 1})", "weight"),
    ("(hat:nan)", "weight"), ("(hat:inf)", "weight"), ("(:1.5)", None), ("(hat:x)", None), ("()", None),
])
def test_weights_are_read_exactly_up_to_their_bounds(text, words):
    if words is None:
        assert isinstance(read_text(text).plain, str)
    else:
        with pytest.raises(LumosXError, match=f"^prompt: .*{words}"):
            read_text(text)


@pytest.mark.parametrize(("text", "plain"), [
    ("()", ""), ("(())", ""), ("a () man", "a man"), ("(", "("), (")", ")"), (")(", ")("), ("(hat", "(hat"),
    ("hat)", "hat)"), ("(a)(b)", "ab"), ("(:1)", ":1"), ("(a:1:2)", "a:1"), ("((a:2):1)", "a"), ("(a: 1.5 )", "a"),
])
def test_brackets_that_are_weights_and_brackets_that_are_letters(text, plain):
    assert " ".join(read_text(text).plain.replace("\0", "").split()) == plain


@pytest.mark.parametrize(("deep", "fits"), [(DEEPEST_CHOICE, True), (DEEPEST_CHOICE + 1, False)])
def test_choices_are_read_exactly_up_to_their_depth(deep, fits):
    text = "{" * deep + "a hat" + "}" * deep
    if fits:
        assert read_prompt(text)[0][0].spelling == "a hat"
    else:
        with pytest.raises(LumosXError, match="^prompt: choices in braces are more than"):
            read_prompt(text)


@pytest.mark.parametrize(("text", "plain"), [
    ("\\{a|b\\}", "{a|b}"), ("a\\", "a\\"), ("a\\x", "a\\x"), ("}a{", "}a"), ("a|b", "a|b"), ("{a", "a"),
])
def test_braces_that_are_letters(text, plain):
    assert read_prompt(text)[0][0].spelling == plain
