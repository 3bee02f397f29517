"""What is probably not meant, told once for each conflict."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.media.sketch import Sketch
from lumosx_core.scene.verdict import TRAINED_ATTRIBUTES, CheckedReference, _people, bits_of, find, has_own_words


def word(phrase, person=None, spans=(), kind="face", **values):
    claims, places = (bits_of(spans),), (len(spans),)
    return CheckedReference(kind, phrase, (phrase, 0), person, True, claims=claims, places=places, **values)


def codes(*words, frame=None):
    return [(each.code, each.words, each.people) for each in find(words, frame)]


def test_a_chain_of_shared_words_is_one_conflict():
    """The first shares with the second and that with the third, at other places."""
    people = [word("a", 0, [(0, 2)]), word("b", 1, [(1, 4)]), word("c", 2, [(3, 6)])]
    assert codes(*people) == [("shared", (0, 1, 2), (0, 1, 2))]


def test_conflicts_at_different_places_are_different_ones():
    people = [
        word("a", 0, [(0, 1)]), word("hat", 0, [(5, 6)], "attribute"), word("a", 1, [(0, 1)]),
        word("hat", 1, [(5, 6)], "attribute"), word("own", 1, [(8, 9)], "attribute"),
    ]
    assert codes(*people) == [("no_own_words", (0, 2), (0,)), ("no_own_words", (1, 3), (0,))]


def test_who_is_named_and_who_shares():
    (finding,) = find([word("left", 0, [(0, 1)]), word("man on the left", 1, [(0, 4)])])
    assert finding.text.startswith('Subject 1 ("left") has no words of its own: words shared with')
    (finding,) = find([word(name, person, [(0, 1)]) for person, name in enumerate("abc")])
    assert finding.text.startswith('Subject 1 ("a"), subject 2 ("b") and subject 3 ("c") have no words of their own: ')


def test_a_conflict_in_one_of_several_texts_is_one():
    """For some choice in braces both are called the same."""
    one, other = (CheckedReference("face", name, (name, 0), person, True, claims=claims, places=(1, 1))
                  for person, (name, claims) in enumerate([("man", (1, 1)), ("boy", (2, 1))]))
    assert codes(one, other) == [("no_own_words", (0, 1), (0, 1))]
    assert not has_own_words(0, [one, other])


def test_a_body_and_its_person_are_not_ambiguous_but_two_things_are():
    body = word("man", None, [(0, 1), (4, 5)], "object", full_body=True)
    assert codes(word("man", 0, [(0, 1), (4, 5)]), body) == [("body_and_group", (0, 1), ())]
    things = word("hat", None, [(0, 1), (4, 5)], "object"), word("red hat", 0, [(3, 5)], "face")
    assert codes(*things) == [("ambiguous", (0,), ())]


@pytest.mark.parametrize(("size", "frame", "is_thin"), [
    ((800, 16), (800, 480), False), ((800, 15), (800, 480), True), ((1600, 31), (800, 480), True),
    ((1600, 32), (800, 480), False), ((30, 480), (832, 480), False), ((15, 480), (832, 480), True),
    # Of a video that is no higher itself, more cannot be asked.
    ((800, 8), (800, 8), False), ((800, 7), (800, 8), True),
])
def test_a_picture_of_which_no_token_is_left_in_the_video_is_thin(size, frame, is_thin):
    sketch = Sketch(*size, torch.rand(64, 64, 3), False)
    found = find([word("lamp", kind="object", sketch=sketch)], frame)
    assert [each.code for each in found] == ["thin_picture"] * is_thin
    assert find([word("lamp", kind="object", sketch=sketch)]) == []


SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)).map(lambda span: (span[0], sum(span))), max_size=6)


@given(SPANS, SPANS)
def test_bits_meet_where_positions_do(one, other):
    positions = [{place for span in spans for place in range(*span)} for spans in (one, other)]
    assert bool(bits_of(one) & bits_of(other)) == bool(positions[0] & positions[1])
    assert (bits_of(one) & ~bits_of(other) == 0) == (positions[0] <= positions[1])
    assert bits_of(one).bit_count() == len(positions[0])


@given(st.lists(st.tuples(st.integers(0, 3), SPANS), max_size=8))
def test_every_word_of_people_is_in_one_conflict_at_most(people):
    words = [word(f"{index}", person, spans) for index, (person, spans) in enumerate(people)]
    conflicts = [each.words for each in find(words) if each.code in ("shared", "no_own_words")]
    together = [index for group in conflicts for index in group]
    assert len(together) == len(set(together)) and all(len(group) > 1 for group in conflicts)
    sharing = {
        index for index, one in enumerate(words)
        if any(one.person != other.person and one.claims[0] & other.claims[0] for other in words)
    }
    assert set(together) == sharing


def test_who_binds_nothing_in_a_text_lacks_no_words_there():
    def one(person, *claims):
        return CheckedReference("face", "a", ("a", 0), person, True, claims=claims, places=(1,) * len(claims))

    assert has_own_words(0, [one(0, 0), one(1, 1)]) and has_own_words(0, [one(0, 0, 2), one(1, 1, 1)])
    assert not has_own_words(0, [one(0, 0, 1), one(1, 1, 1)]) and has_own_words(7, [one(0, 1)])
    assert has_own_words(0, [one(0, 1), one(None, 1)])


def test_people_are_in_the_order_of_their_numbers():
    words = [word("b", 1, [(0, 1)]), word("lamp", None, kind="object"), word("a", 0, [(3, 4)]), word("c", 1, [(5, 6)])]
    found = _people(words)
    assert list(found.items()) == [(0, [2]), (1, [0, 3])]


@pytest.mark.parametrize(("count", "code"), [(3, None), (4, "too_many_attributes")])
def test_as_many_attributes_as_in_training_are_usual(count, code):
    assert TRAINED_ATTRIBUTES == 3
    words = [word("man", 0, [(0, 1)]), *(
        word(f"thing {number}", 0, [(number + 1, number + 2)], "attribute") for number in range(count)
    )]
    found = [finding for finding in find(words, None) if finding.code == "too_many_attributes"]
    assert [finding.values for finding in found] == ([{"count": count}] if code else [])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_full_bodies_of_one_name_are_several_from_two_on(count):
    bodies = [word("man", None, [(0, 1)], "object", full_body=True)] * count
    found = [finding for finding in find(bodies, None) if finding.code == "same_bodies"]
    assert [finding.values for finding in found] == ([{"count": count}] if count > 1 else [])


def test_each_full_body_is_named_with_those_of_its_words():
    man = word("man", None, [(0, 1)], "object", full_body=True)
    woman = word("b", None, [(3, 4)], "object", full_body=True)
    own = word("b", 0, [(3, 4)])
    found = {finding.code: finding.words for finding in find([man, woman, man, own], None)}
    assert found["same_bodies"] == (0, 2) and found["body_and_group"] == (3, 1)
