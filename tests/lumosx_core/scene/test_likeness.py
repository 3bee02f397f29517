"""How alike words are."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.scene.likeness import _singular, is_comparable, is_spelled_alike, likeness


@pytest.mark.parametrize(
    ("closest", "farther"),
    [
        (("guy", "man"), ("guy", "boy")), (("girl", "kid"), ("girl", "woman")), (("lady", "women"), ("lady", "girl")),
        (("men", "man"), ("men", "guy")), (("person", "man"), ("woman", "man")), (("boy", "man"), ("girl", "man")),
        (("jaket", "jacket"), ("shirt", "skirt")), (("hats", "hat"), ("hat", "cat")),
        (("lady", "girl"), ("lady", "lad")),
        (("ladies", "woman"), ("ladies", "man")),
        (("granny", "woman"), ("granny", "man")), (("uncle", "man"), ("uncle", "woman")),
        (("bride", "woman"), ("bride", "girl")), (("children", "boy"), ("children", "lady")),
    ],
)
def test_what_is_closer(closest, farther):
    assert likeness(*closest) > likeness(*farther)


@pytest.mark.parametrize("pair", [
    ("shirt", "skirt"), ("hat", "cat"), ("coat", "cat"), ("hand", "and"), ("x", "y"), ("cape", "caper"), ("bus", "bu"),
    ("dress", "dres"),
])
def test_what_is_not_alike_at_all(pair):
    assert likeness(*pair) == 0.0


@pytest.mark.parametrize(("one", "other", "alike"), [
    ("hats", "hat", True), ("women", "woman", True), ("jaket", "jacket", True), ("guy", "man", False),
    ("person", "man", False), ("shirt", "skirt", False), ("uncle", "aunt", False), ("남자", "남자는", True),
])
def test_one_word_spelled_in_two_ways(one, other, alike):
    assert is_spelled_alike(one, other) == is_spelled_alike(other, one) == alike


@given(st.text(max_size=12), st.text(max_size=12))
def test_it_is_a_degree(one, other):
    assert 0.0 <= likeness(one, other) <= likeness(one, one) == 1.0


def test_long_words_are_not_compared_letter_by_letter():
    start = time.perf_counter()
    assert likeness("ab" * 50_000, "ba" * 50_000) == 0.0
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize(("one", "other", "comparable"), [
    ("jacket", "jaket", True), ("shirt", "shirts", True), ("cat", "coats", False), ("umbrella", "umber", False),
    ("there", "theres", False), ("x" * 40, "x" * 39, True), ("x" * 41, "x" * 40, False), ("hats", "hatsy", False),
])
def test_words_are_compared_either_way_round(one, other, comparable):
    assert is_comparable(one, other) == is_comparable(other, one) == comparable
    assert likeness(one, other) == likeness(other, one)


@pytest.mark.parametrize(("word", "one"), [
    ("hats", "hat"), ("glass", "glass"), ("dress", "dress"), ("gas", "gas"), ("bus", "bus"), ("cats", "cat"),
    ("ladies", "lady"), ("men", "man"), ("hat", "hat"), ("ss", "ss"), ("s", "s"),
])
def test_one_of_several(word, one):
    assert _singular(word) == one
