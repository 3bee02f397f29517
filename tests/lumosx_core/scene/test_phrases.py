"""Phrases on real sentencepiece tokens."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.scene.likeness import STOP_WORDS
from lumosx_core.scene.phrases import (
    LONGEST_COMPARED,
    Tokens,
    _overlap,
    _written,
    claimed_units,
    exact_spans,
    find_phrase,
    find_phrases,
    marked_text,
    nearest_runs,
    occurrences,
)
from lumosx_core.scene.prompt import read_text
from support.tokens import small_tokenizer

GOLDEN = Path(__file__).parents[2] / "golden" / "phrase_spans.json"
PROMPT = "Two men. The man on the left wears a white t-shirt; the woman on the right a White, woollen hat."


@pytest.fixture(scope="module")
def tokenize():
    return small_tokenizer()


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text()))
def test_golden_spans(case):
    marked = {i for start, end in exact_spans(case["prompt_ids"], case["phrase_ids"]) for i in range(start, end)}
    assert sorted(marked) == case["mask_indices"]


@given(st.lists(st.integers(0, 2), max_size=12), st.lists(st.integers(0, 2), max_size=3))
def test_every_occurrence_is_found_and_nothing_else(prompt, phrase):
    found = exact_spans(prompt, phrase)
    expected = [i for i in range(len(prompt)) if phrase and prompt[i:i + len(phrase)] == phrase]
    assert [start for start, _ in found] == expected


def test_a_phrase_as_the_release_finds_it_is_exact(tokenize):
    match = find_phrase(tokenize(PROMPT), tokenize("man on the left"))
    assert match.exact and len(match.spans) == 1
    assert marked_text(tokenize(PROMPT), match.spans) == "man on the left"


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("MAN ON THE LEFT", "man on the left"),
        ("white woollen hat", "White, woollen hat"),
        ("white, t-shirt!", "white t-shirt"),
        ("t shirt", "t-shirt"),
        ("two Men", "Two men"),
        ("  woman   on the right ", "woman on the right"),
    ],
)
def test_case_punctuation_and_spaces_do_not_matter(tokenize, typed, found):
    prompt = tokenize(PROMPT)
    match = find_phrase(prompt, tokenize(typed))
    assert found in marked_text(prompt, match.spans)
    assert len(match.spans) == 1


def test_letters_match_whole_words_only(tokenize):
    with pytest.raises(LumosXError):
        find_phrase(tokenize("A womanly figure"), tokenize("MAN"))


@pytest.mark.parametrize(
    ("prompt", "phrase"),
    [
        ("一个穿着白色夹克的男人站在红色的门前。", "白色夹克"),
        ("一个穿着白色夹克的男人站在红色的门前。", "男人"),
        ("白いジャケットの男性が歩く", "ジャケット"),
        ("男人wearing a white hat走过", "white hat"),
        ("a man with a hat🎩 smiles", "🎩"),
    ],
)
def test_text_without_spaces(tokenize, prompt, phrase):
    tokens = tokenize(prompt)
    match = find_phrase(tokens, tokenize(phrase))
    assert phrase in marked_text(tokens, match.spans)
    assert len(match.spans) == 1


def test_bytes_of_unknown_letters_are_joined(tokenize):
    tokens = tokenize("a ŵħïţě ĥåť here")
    assert any(piece.startswith("<0x") for piece in tokens.pieces)
    assert marked_text(tokens, find_phrase(tokens, tokenize("ŴĦÏŢĚ ĥåť")).spans) == "ŵħïţě ĥåť"


def test_all_occurrences_or_the_nth(tokenize):
    prompt = tokenize("a man, a man and a man")
    spans = find_phrase(prompt, tokenize("man")).spans
    assert len(spans) == 3
    for number in (1, 2, 3):
        assert find_phrase(prompt, tokenize("man"), number).spans == (spans[number - 1],)
    with pytest.raises(LumosXError, match=r'face: occurrence 4 of "man" .* has it 3 times; use a smaller number'):
        find_phrase(prompt, tokenize("man"), 4, source="face")


def test_occurrences_are_counted_as_people_count(tokenize):
    """Ids find two of three here, but the prompt says "man" three times to anyone who reads it."""
    prompt = tokenize("Man one, man two and a man")
    assert len(find_phrase(prompt, tokenize("man")).spans) == 2
    first, second, third = (find_phrase(prompt, tokenize("man"), number) for number in (1, 2, 3))
    assert (first.exact, second.exact, third.exact) == (False, True, True)
    assert first.spans < second.spans < third.spans
    assert (*second.spans, *third.spans) == find_phrase(prompt, tokenize("man")).spans


def test_neighbouring_occurrences_are_two(tokenize):
    """The second begins where the first ends."""
    prompt = tokenize("man man")
    both = find_phrase(prompt, tokenize("man")).spans
    assert both == ((0, 1), (1, 2))
    assert [find_phrase(prompt, tokenize("man"), number).spans for number in (1, 2)] == [both[:1], both[1:]]


def test_the_beginning_of_a_word_is_found_by_its_ids_as_the_release_does():
    """Its letters are no whole word there."""
    prompt = Tokens((7, 1, 2), ("\u2581red", "\u2581hat", "s"))
    match = find_phrase(prompt, Tokens((1,), ("\u2581hat",)))
    assert match.spans == ((1, 2),) and match.exact
    with pytest.raises(LumosXError, match='occurrence 2 of "hat"'):
        find_phrase(prompt, Tokens((1,), ("\u2581hat",)), 2)


def test_how_often_the_prompt_has_a_phrase_is_said(tokenize):
    for times, said in ((1, "once"), (2, "2 times"), (3, "3 times")):
        with pytest.raises(LumosXError, match=f"occurrence 4 .* but the prompt has it {said}; use a smaller number"):
            find_phrase(tokenize("a man " * times), tokenize("man"), 4)


def test_what_is_taken_does_not_hide_what_is_free():
    prompt = "A man, a guy, a gentleman, a dude, a fellow and a bloke wave."
    assert suggested(prompt, "chap", "man", "guy", "gentleman", "dude", "fellow") == ["bloke"]


def test_no_more_than_three_runs_are_suggested():
    found = suggested("A man, a woman, a boy, a girl and a kid wave.", "person")
    assert found == ["man", "woman", "boy"]


def test_wide_letters_and_ligatures_are_the_letters_that_they_stand_for():
    """Written out, since the small tokenizer knows plain forms only."""
    prompt = Tokens((1, 2, 3), ("\u2581\ufb01ne", "\u2581\uff28\uff21\uff34", "\u2581here"))
    assert find_phrase(prompt, Tokens((4, 5), ("\u2581fine", "\u2581hat"))).spans == ((0, 2),)


def test_an_unmatched_phrase_names_itself_and_the_nearest_words(tokenize):
    with pytest.raises(LumosXError) as caught:
        find_phrase(tokenize(PROMPT), tokenize("woman on the left"), source="LumosX Subject face")
    message = str(caught.value)
    assert message.startswith('LumosX Subject face: "woman on the left" is not in the prompt; the nearest words in it')
    assert '"man on the left"' in message and '"woman on the right"' in message


def test_nothing_near_still_says_what_to_do(tokenize):
    with pytest.raises(LumosXError, match="is not in the prompt; .*add these words to the prompt"):
        find_phrase(tokenize("x"), tokenize("qqqqqqqq"))


SCENE = (
    "A tall man on the left in a denim jacket and a young woman with a straw hat wave to a kid; the woman laughs. "
    "Behind them is a ½ open door."
)


def suggested(prompt, phrase, *others, occurrence=0):
    """What is suggested for a phrase in place of which others are bound already."""
    text = read_text(prompt)
    spans = [span for other in others for span in text.places(read_text(other))]
    return nearest_runs([text.units], read_text(phrase).units, [claimed_units(text.units, spans)], occurrence)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("guy", ["man"]), ("Gentleman", ["man"]), ("guys", ["man"]), ("lady", ["woman"]), ("girl", ["kid", "woman"]),
        ("boy", ["kid", "man"]), ("toddler", ["kid"]), ("person", ["man", "woman", "kid"]), ("tall guy", ["tall man"]),
        ("guy on the left", ["man on the left"]), ("old lady", ["young woman"]), ("jaket", ["jacket"]),
        ("leather jacket", ["denim jacket"]), ("hats", ["hat"]), ("half open door", ["open door"]),
        # Nothing that could be meant.
        ("umbrella", []), ("the", []), ("him", []), ("denim trousers", []), ("gray dog", []), ("hand", []),
        ("in a", []), ("skirt", []), ("x" * 5000, []), ("word " * 500, []),
    ],
)
def test_what_is_suggested(phrase, expected):
    assert suggested(SCENE, phrase) == expected


@pytest.mark.parametrize(
    ("phrase", "others", "expected"),
    [
        ("guy", ["man"], []), ("guy", ["tall man on the left"], []), ("lady", ["young woman"], []),
        ("person", ["man"], ["woman", "kid"]), ("girl", ["kid"], ["woman"]), ("leather jacket", ["jacket"], []),
        ("cap", ["straw hat"], []), ("guy on the left", ["man"], ["man on the left"]),
    ],
)
def test_what_is_taken_is_not_suggested(phrase, others, expected):
    assert suggested(SCENE, phrase, *others) == expected


@pytest.mark.parametrize("phrase", ["the guy", "guy in the", "of a guy with his"])
def test_stop_words_around_a_phrase_change_no_suggestion(phrase):
    assert suggested(SCENE, phrase) == suggested(SCENE, "guy") == ["man"]


def test_a_man_is_not_suggested_for_a_woman():
    assert suggested("A man waves.", "woman") == suggested("A woman waves.", "man") == []


def test_only_words_that_are_there_often_enough_are_suggested():
    assert suggested(SCENE, "lady", occurrence=2) == ["woman"]
    assert suggested(SCENE, "guy", occurrence=2) == []


def test_the_last_words_of_a_prompt_are_suggested_too():
    assert suggested("A man in a denim jacket", "leather jacket") == ["denim jacket"]


@pytest.mark.parametrize(("phrase", "expected"), [("白色的夹克", ["白色夹克"]), ("女人", []), ("红色裙子", [])])
def test_words_without_spaces_are_suggested_as_they_are_written(phrase, expected):
    assert suggested("一个穿着白色夹克的男人站在红色的门前。", phrase) == expected


@pytest.mark.parametrize(
    ("prompt", "phrase", "found"),
    [
        ("왼쪽의 남자가 손을 흔든다", "남자", ["남자가"]),
        ("왼쪽의 남자가 손을 흔든다", "왼쪽의 남자", ["왼쪽의 남자가"]),
        ("남자와 여자, 그리고 남자들에게는", "남자", ["남자와", "남자들에게는"]),
        ("빨간 모자를 쓴 사람은", "빨간 모자", ["빨간 모자를"]),
        ("청바지로 만든 가방과 연필로", "연필", ["연필로"]),
        ("남자", "남자", ["남자"]),
        # Other words that begin or end with those of the phrase.
        ("남자친구가 웃는다", "남자", []), ("여남자가 웃는다", "남자", []), ("바나나를 먹는다", "바", []),
        ("사과를 먹는다", "사", []), ("빨간 남자의 모자", "빨간 모자", []), ("남자가 웃는다", "남자는", []),
        # Korean has spaces, so words that stand apart are other words.
        ("빨간모자를 쓴 남자", "빨간 모자", []),
    ],
)
def test_korean_phrases_are_whole_words_with_or_without_particles(prompt, phrase, found):
    text = read_text(prompt)
    places = text.places(read_text(phrase))
    assert ["".join(letter[0] for letter in text.letters[start:end]) for start, end in places] == found


def test_korean_phrases_bind_the_tokens_of_their_words(tokenize):
    tokens = tokenize("왼쪽의 남자가 웃는 여자친구와 걷는다")
    match = find_phrase(tokens, tokenize("왼쪽의  남자"))
    assert marked_text(tokens, match.spans) in ("왼쪽의 남자", "왼쪽의 남자가")
    with pytest.raises(LumosXError, match='"여자" is not in the prompt'):
        find_phrase(Tokens(tuple(range(2)), ("\u2581여자친구와", "\u2581걷는다")), Tokens((9,), ("\u2581여자",)))


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [("파란 모자", ["빨간 모자를"]), ("남자는", ["남자가"]), ("남자와의", ["남자가"]), ("우산", []), ("여자", [])],
)
def test_korean_words_are_suggested_with_their_spaces(phrase, expected):
    assert suggested("빨간 모자를 쓴 남자가 여자친구에게 손을 흔든다.", phrase) == expected


PEOPLE = ["man", "guy", "lady", "woman", "boy", "girl", "kid", "person", "men", "gentleman"]
THINGS = ["the", "a", "on", "in", "left", "right", "red", "hat", "hats", "jacket", "jaket", "½", "ﬁt", "夹克", "ß"]
THINGS += ["남자", "남자가", "남자들은", "바나나"]
SOME = st.lists(st.sampled_from(PEOPLE + THINGS), min_size=1, max_size=5)


@given(
    st.lists(st.sampled_from(PEOPLE + THINGS), max_size=14).map(" ".join) | st.text(max_size=30),
    SOME.map(" ".join) | st.text(max_size=12), st.lists(SOME.map(" ".join), max_size=3), st.integers(0, 2),
)
def test_a_suggestion_binds_and_is_free_and_no_stop_word(prompt, phrase, others, occurrence):
    text = read_text(prompt)
    for words in suggested(prompt, phrase, *others, occurrence=occurrence):
        assert len(text.places(read_text(words))) >= max(1, occurrence)
        assert words not in [" ".join(read_text(other).words) for other in others]
        taken = [set(range(*span)) for other in others for span in text.places(read_text(other))]
        assert not any(set(range(*place)) <= spot for place in text.places(read_text(words)) for spot in taken)
        first, *_, last = [*read_text(words).words] * 2
        assert first not in STOP_WORDS and last not in STOP_WORDS


def refused(tokenize, prompt, *phrases):
    with pytest.raises(LumosXError) as caught:
        find_phrases(tokenize(prompt), [(tokenize(phrase), 0, phrase) for phrase in phrases])
    return str(caught.value)


def test_phrases_of_a_scene_know_what_the_others_bind(tokenize):
    """Also what a later one binds."""
    assert 'the nearest words in it are "man":' in refused(tokenize, "A man waves.", "guy")
    assert "add these words to the prompt" in refused(tokenize, "A man waves.", "guy", "man")
    assert "add these words to the prompt" in refused(tokenize, "A man waves.", "man", "guy")
    message = refused(tokenize, "A man and a woman wave.", "man", "person")
    assert '"woman"' in message and '"man"' not in message


@given(st.text(min_size=1, max_size=20), st.text(max_size=30))
def test_any_text_ends_in_spans_or_a_sentence(tokenize, phrase, prompt):
    tokens = tokenize(prompt)
    try:
        match = find_phrase(tokens, tokenize(phrase))
    except LumosXError:
        return
    assert all(0 <= start < end <= len(tokens.ids) for start, end in match.spans)


WORDS = ["man", "woman", "hat", "red", "blue", "left", "right", "on", "the"]


@given(words=st.lists(st.sampled_from(WORDS), min_size=2, max_size=8))
def test_a_run_of_the_prompts_words_is_always_found(tokenize, words):
    prompt, phrase = tokenize("A scene: " + " ".join(words)), " ".join(words[:2])
    assert find_phrase(prompt, tokenize(phrase)).spans
    assert find_phrase(prompt, tokenize(phrase.upper())).spans


def test_an_embedding_in_the_prompt_is_no_word(tokenize):
    text = tokenize("a man")
    tokens = Tokens((None, *text.ids), (" ", *text.pieces))
    assert find_phrase(tokens, tokenize("man")).spans[0][0] == find_phrase(text, tokenize("man")).spans[0][0] + 1


@pytest.mark.parametrize(("text", "wanted", "most", "places"), [
    ("abab", "ab", None, [0, 2]), ("aaa", "aa", None, [0, 1]), ("aaa", "aa", 1, [0]), ("aaa", "aa", 0, []),
    ("ab", "ab", None, [0]), ("ab", "abc", None, []), ("ab", "", None, []), ("", "", None, []), ("", "a", None, []),
    ("aabaaab", "aaab", None, [3]), ("abcabd", "abd", None, [3]), ("xab", "ab", None, [1]),
])
def test_where_a_sequence_begins_in_another(text, wanted, most, places):
    assert occurrences(text, wanted, most) == places


@pytest.mark.parametrize(("one", "other", "meet"), [
    ((0, 2), (2, 4), False), ((0, 2), (1, 4), True), ((2, 4), (0, 2), False), ((2, 4), (0, 3), True),
    ((0, 9), (3, 4), True), ((3, 4), (3, 4), True),
])
def test_places_that_touch_do_not_overlap(one, other, meet):
    assert _overlap(one, other) == meet


@pytest.mark.parametrize(("count", "near"), [(LONGEST_COMPARED, True), (LONGEST_COMPARED + 1, False)])
def test_phrases_are_compared_up_to_their_longest(count, near):
    words = [f"{letter}umbrella" for letter in "abcdefghijklmnop"[:count]]
    text = read_text(" ".join(words[:-1] + ["jacket"])).units
    phrase = " ".join(words[:-1] + ["jaket"])
    # Stop words around it do not count.
    for typed in (phrase, f"the {phrase}", f"{phrase} of the"):
        assert bool(nearest_runs([text], read_text(typed).units)) == near
    assert nearest_runs([], read_text("hat").units) == [] == nearest_runs([text], read_text("the").units)


@pytest.mark.parametrize(("run", "text"), [
    (["red", "hat"], "red hat"), (["红", "帽"], "红帽"), (["red", "帽"], "red 帽"), (["红", "hat"], "红 hat"),
    (["hat"], "hat"), (["\u00bd"], None),
])
def test_words_are_written_as_they_are_typed(run, text):
    assert _written(run) == text
