import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.tokens import small_tokenizer
from lumosx_core.phrases import find_phrase
from lumosx_core.tiny.world.figure import SLOTS
from lumosx_core.tiny.world.script import draw_script

SEEDS = st.integers(0, 2**32)


def draw(seed, **options):
    return draw_script(np.random.default_rng(seed), **options)


@given(SEEDS)
def test_every_phrase_is_in_the_prompt_as_the_release_matches_it(seed):
    tokenise = small_tokenizer()
    script = draw(seed)
    tokens = tokenise(script.prompt)
    phrases = [script.place_phrase, *(role.phrase for role in script.roles)]
    phrases += [wear.phrase for role in script.roles for wear in role.wears]
    phrases += [script.thing_phrase] if script.thing else []
    for phrase in phrases:
        assert find_phrase(tokens, tokenise(phrase)).exact


@given(SEEDS)
def test_a_person_is_named_once(seed):
    script = draw(seed)
    assert all(script.prompt.lower().count(role.phrase) == 1 for role in script.roles)
    assert len({role.x for role in script.roles}) == len(script.roles)


@given(SEEDS)
def test_nobody_wears_two_things_in_one_place(seed):
    for role in draw(seed).roles:
        slots = [SLOTS[wear.kind] for wear in role.wears]
        assert 1 <= len(slots) == len(set(slots)) <= 3


@given(SEEDS, st.sampled_from([2, 3]))
def test_what_is_measured_is_told_by_relations_alone(seed, people):
    script = draw(seed, people=people, colour_words=False, same_kinds=True, drop=False)
    assert len(script.roles) == people
    assert len({tuple(wear.kind for wear in role.wears) for role in script.roles}) == 1
    assert not any(wear.colour for role in script.roles for wear in role.wears)
    assert script.place_shown and script.thing_shown
    assert all(wear.shown for role in script.roles for wear in role.wears)


def test_the_same_seed_gives_the_same_script():
    assert draw(5) == draw(5) != draw(6)


@pytest.mark.parametrize("people", [1, 2, 3])
def test_references_are_left_out_now_and_then(people):
    hidden = [
        not wear.shown for seed in range(200) for role in draw(seed, people=people).roles for wear in role.wears
    ]
    assert 0 < np.mean(hidden) < 0.2


def test_an_exchange_is_said_and_needs_two():
    scripts = [draw(seed) for seed in range(400)]
    exchanged = [script for script in scripts if script.exchange]
    assert exchanged and all(len(script.roles) == 2 for script in exchanged)
    assert all("They change places." in script.prompt for script in exchanged)
