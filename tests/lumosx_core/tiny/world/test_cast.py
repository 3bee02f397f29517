import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.tiny.world import cast
from lumosx_core.tiny.world.cast import PALETTE, Split, colour_name, random_face, random_fill, split_of
from support.tokens import small_tokenizer


@given(st.integers(0, 2**32), st.sampled_from(Split))
def test_what_is_drawn_belongs_to_its_split(seed, split):
    random = np.random.default_rng(seed)
    assert split_of(random_face(random, split)) is split
    assert split_of(random_fill(random, split)) is split


@pytest.mark.slow
def test_splits_share_no_face_and_no_pair_of_colours_and_pattern():
    drawn = {split: set() for split in Split}
    for split in Split:
        random = np.random.default_rng(0)
        for _ in range(1500):
            drawn[split] |= {random_face(random, split), random_fill(random, split)}
    for first in Split:
        assert len(drawn[first]) > 2500
        for second in Split:
            assert first is second or not drawn[first] & drawn[second]


def test_every_tenth_belongs_to_one_split():
    assert sorted(tenth for split in Split for tenth in split.value) == list(range(10))


def test_a_pattern_can_be_seen():
    random = np.random.default_rng(1)
    for _ in range(200):
        fill = random_fill(random, Split.TRAIN)
        assert max(abs(a - b) for a, b in zip(fill.ground, fill.figure)) >= cast.LEAST_DIFFERENCE


@pytest.mark.parametrize(("colour", "name"), [
    ((235, 30, 30), "red"), ((21, 140, 61), "green"), ((250, 208, 40), "yellow"), ((40, 90, 220), "blue"),
    ((250, 250, 250), "white"), ((30, 28, 36), "black"), ((140, 73, 21), "brown"), ((140, 140, 146), "grey"),
    ((255, 160, 200), "pink"), ((130, 40, 230), "purple"), ((250, 150, 20), "orange"),
])
def test_colours_have_the_names_that_people_give_them(colour, name):
    assert colour_name(colour) == name


def test_colours_are_many_and_named_in_words_of_the_tokenizer():
    assert len(set(PALETTE)) == len(PALETTE) > 50
    tokenise = small_tokenizer()
    for name in {colour_name(colour) for colour in PALETTE}:
        assert "".join(tokenise(name).pieces) == f"\u2581{name}"


def test_a_wish_for_the_ground_is_granted():
    random = np.random.default_rng(2)
    for _ in range(30):
        assert colour_name(random_fill(random, Split.TRAIN, lambda c: colour_name(c) == "red").ground) == "red"
