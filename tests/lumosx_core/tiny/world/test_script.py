from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.scene.phrases import find_phrase
from lumosx_core.tiny.world.figure import SLOTS
from lumosx_core.tiny.world.relations import scene_of
from lumosx_core.tiny.world.script import STANDPOINTS, draw_lesson, draw_script, reworded, with_colours
from lumosx_core.training.examples import bind
from support.tokens import small_tokenizer

SEEDS = st.integers(0, 2**32)


def draw(seed, **options):
    return draw_script(np.random.default_rng(seed), **options)


@pytest.mark.slow
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
def test_what_is_measured_follows_from_relations_alone(seed, people):
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


@given(SEEDS)
def test_every_person_has_references_in_some_order(seed):
    script = draw(seed)
    assert sorted(script.subjects) == list(range(len(script.roles)))


def test_the_order_of_references_does_not_tell_who_stands_where():
    assert {draw(seed, people=2).subjects for seed in range(20)} == {(0, 1), (1, 0)}


def test_one_alone_stands_where_the_words_say_with_the_thing_beside():
    alone = [draw(seed, people=1) for seed in range(60)]
    assert {(script.roles[0].standpoint, script.roles[0].x) for script in alone} == set(STANDPOINTS[1])
    assert all(abs(script.roles[0].x - script.thing_x) > 40 for script in alone)


@given(SEEDS)
def test_lessons_are_easy_and_still_say_everything(seed):
    lesson = draw_lesson(np.random.default_rng(seed))
    assert 1 <= len(lesson.roles) <= 2 and not lesson.thing and not lesson.exchange
    assert all([wear.kind for wear in role.wears] == ["shirt", "hat"] for role in lesson.roles)
    assert all(role.phrase in lesson.prompt for role in lesson.roles)
    assert sorted(lesson.subjects) == list(range(len(lesson.roles)))


@settings(max_examples=50)
@given(SEEDS)
def test_other_words_leave_every_phrase_where_it_was(seed):
    tokenise, random = small_tokenizer(), np.random.default_rng(seed)
    script = draw_script(random)
    other = reworded(random, script)
    one, another = (bind(scene_of(found), found.prompt, tokenise) for found in (script, other))
    assert one == another
    assert [role.x for role in other.roles] == [role.x for role in script.roles] or len(script.roles) == 1


def test_other_words_are_other_words():
    random = np.random.default_rng(0)
    script = draw_script(random, 2, colour_words=True)
    assert len({reworded(random, script).prompt for _ in range(10)}) == 10


@given(SEEDS)
def test_colours_are_added_to_the_clothes_and_nothing_else_changes(seed):
    script = draw(seed, colour_words=False)
    coloured = with_colours(np.random.default_rng(seed), script)
    words = [wear.colour for role in coloured.roles for wear in role.wears]
    assert all(words) and all(word in coloured.prompt for word in words)
    plain = [replace(role, wears=tuple(replace(wear, colour="") for wear in role.wears)) for role in coloured.roles]
    assert replace(coloured, roles=tuple(plain)) == script


def test_an_exchange_is_said_and_needs_two():
    scripts = [draw(seed) for seed in range(400)]
    exchanged = [script for script in scripts if script.exchange]
    assert exchanged and all(len(script.roles) == 2 for script in exchanged)
    assert all("They change places." in script.prompt for script in exchanged)
