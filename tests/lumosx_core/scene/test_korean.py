"""Which endings of a Korean word are particles."""

import pytest

from lumosx_core.scene.korean import differ_in_particles, has_particle, is_korean


@pytest.mark.parametrize(
    ("word", "stem", "expected"),
    [
        ("남자가", "남자", True), ("남자이", "남자", False), ("책이", "책", True), ("책가", "책", False),
        ("연필로", "연필", True), ("책로", "책", False), ("책으로", "책", True), ("친구들은", "친구", True),
        ("친구들는", "친구", False), ("친구에게는", "친구", True), ("친구와의", "친구", True), ("친구", "친구", False),
        ("바나나", "바", False), ("바나나를", "바나나", True), ("hat가", "hat", False), ("남자" * 9, "남자", False),
    ],
)
def test_particles_follow_the_sound_before_them(word, stem, expected):
    assert has_particle(word, stem) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("남자가", "남자는", True), ("남자", "남자와의", True), ("남자", "여자", False), ("남자가", "여자가", False),
        ("남자", "남자", False), ("man", "men", False), ("가" * 50_000 + "는", "가" * 50_000, True),
    ],
)
def test_words_that_differ_in_particles_alone(one, other, expected):
    assert differ_in_particles(one, other) == differ_in_particles(other, one) == expected


def test_korean_is_recognised_by_the_last_letter():
    assert [is_korean(word) for word in ("모자", "LG전자", "모자x", "男", "")] == [True, True, False, False, False]


@pytest.mark.parametrize(("word", "korean"), [
    ("\uac00", True), ("\ud7a3", True), ("\uabff", False), ("\ud7a4", False), ("\u1100", False),
])
def test_the_first_and_the_last_syllable_are_korean(word, korean):
    assert is_korean(word) == korean
