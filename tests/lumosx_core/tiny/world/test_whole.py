"""Whole figures as subjects: scripts without colours, their pictures, and whom a person looks like."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import Viewpoint, draw_cast, draw_frames, view_of_person
from lumosx_core.tiny.world.figure import SLOTS
from lumosx_core.tiny.world.measure import PERSON, measure_people
from lumosx_core.tiny.world.whole import draw_people, draw_whole_script, whole_scene_of


@given(st.integers(0, 10_000))
def test_a_script_dresses_everybody_alike_and_names_no_colour(seed):
    script = draw_whole_script(np.random.default_rng(seed))
    kinds = {tuple(wear.kind for wear in role.wears) for role in script.roles}
    assert 1 <= len(script.roles) <= 2 and len(kinds) == 1
    assert SLOTS[next(iter(kinds))[0]] == "body"
    assert not any(wear.colour for role in script.roles for wear in role.wears)
    assert script.thing == "" and not script.exchange


def test_a_scene_has_a_picture_for_each_person_under_words_of_the_prompt():
    random = np.random.default_rng(1)
    script = draw_whole_script(random, 2)
    cast = draw_cast(random, script, Split.TRAIN)
    scene = whole_scene_of(script, draw_people(random, script, cast))
    assert [one.face.phrase for one in scene.subjects] == [script.roles[number].phrase for number in script.subjects]
    assert all(one.face.phrase in script.prompt and one.face.image.shape[1] > 100 for one in scene.subjects)


def test_a_view_shows_the_whole_person():
    random = np.random.default_rng(3)
    script = draw_whole_script(random, 1)
    person = draw_cast(random, script, Split.TRAIN).people[0]
    picture = np.asarray(view_of_person(person, Viewpoint(margin=0.0), 2))
    for colour in (person.face.skin, next(iter(person.worn.values())).ground):
        assert (np.abs(picture.astype(int) - colour).max(-1) < 12).any()
    assert picture.shape[0] > 1.5 * picture.shape[1] > 0


def test_a_drawn_clip_is_everybodys_own_and_an_exchanged_one_is_nobodys():
    random = np.random.default_rng(5)
    script = draw_whole_script(random, 2)
    cast = draw_cast(random, script, Split.HELD_OUT)
    frames = range(0, 9, 4)
    right, wrong = (
        np.stack([np.asarray(picture) for picture in draw_frames(script, one, 9, 2, frames)])
        for one in (cast, type(cast)(cast.people[::-1], cast.thing, cast.surroundings))
    )
    own, other = (measure_people(script, cast, pictures, frames, 9) for pictures in (right, wrong))
    assert [(place.kind, place.owner, place.is_own) for place in own] == [(PERSON, 0, True), (PERSON, 1, True)]
    assert [place.nearest for place in other] == [1, 0]
    assert all(place.distances[place.owner] == 0 for place in own)
