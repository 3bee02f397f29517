from dataclasses import replace

import numpy as np
import pytest

from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import Cast, draw_cast
from lumosx_core.tiny.world.figure import DrawnPerson
from lumosx_core.tiny.world.measure import FACE, draw_pixels, measure_clip
from lumosx_core.tiny.world.script import draw_script


def scene(seed, people):
    random = np.random.default_rng(seed)
    script = draw_script(random, people, colour_words=False, same_kinds=True, drop=False)
    script = replace(script, thing="lamp" if people == 2 else "")
    return script, *(draw_cast(random, script, Split.HELD_OUT) for _ in range(2))


FRAMES, LENGTH = (0, 8), 9


def measured(script, cast, other, shown, width=128):
    """What is found in a clip that shows the cast ``shown``."""
    return measure_clip(script, cast, other, draw_pixels(script, shown, FRAMES, LENGTH, width), FRAMES, LENGTH)


def turned(items):
    return (*items[1:], items[0])


@pytest.fixture(params=[2, 3])
def drawn(request):
    return scene(request.param, request.param)


def test_a_perfect_clip_is_found_perfect(drawn):
    script, cast, other = drawn
    found = measured(script, cast, other, cast)
    assert len(found.places) == len(script.roles) * (1 + len(script.roles[0].wears))
    assert all(place.is_own and place.distances[place.owner] == 0 for place in found.places)
    assert all(min(d for i, d in enumerate(p.distances) if i != p.owner) > 5 for p in found.places)
    assert found.background.own == 0 < found.background.other
    assert (found.thing is None) == (len(script.roles) == 3)
    assert found.thing is None or found.thing.own == 0 < found.thing.other


def test_exchanged_faces_are_found_on_the_others(drawn):
    script, cast, other = drawn
    faces = turned([person.face for person in cast.people])
    wrong = replace(cast, people=tuple(replace(person, face=face) for person, face in zip(cast.people, faces)))
    found = measured(script, cast, other, wrong)
    count = len(cast.people)
    for place in found.places:
        assert place.nearest == ((place.owner + 1) % count if place.kind == FACE else place.owner)


def test_exchanged_clothes_are_found_on_the_others(drawn):
    script, cast, other = drawn
    worn = turned([person.worn for person in cast.people])
    wrong = replace(cast, people=tuple(DrawnPerson(person.face, one) for person, one in zip(cast.people, worn)))
    found = measured(script, cast, other, wrong)
    count = len(cast.people)
    for place in found.places:
        assert place.nearest == (place.owner if place.kind == FACE else (place.owner + 1) % count)


@pytest.mark.parametrize("width", [128, 256])
def test_pictures_of_any_size_are_compared_with_drawings_of_that_size(drawn, width):
    script, cast, other = drawn
    assert all(place.distances[place.owner] == 0 for place in measured(script, cast, other, cast, width).places)


def test_a_clip_is_compared_frame_by_frame():
    """The same pictures in another order are farther away, since people move."""
    script, cast, other = scene(2, 2)
    script = replace(script, roles=tuple(replace(role, verb="jumps") for role in script.roles))
    pictures = draw_pixels(script, cast, FRAMES, LENGTH, 128)
    right, wrong = (
        measure_clip(script, cast, other, clip, FRAMES, LENGTH).places for clip in (pictures, pictures[::-1])
    )
    assert all(one.distances[one.owner] == 0 for one in right)
    assert all(one.distances[one.owner] > 5 for one in wrong)


def test_noise_is_nobodys():
    """Over many scenes grey noise looks like the owner's as often as by chance."""
    own = []
    for seed in range(12):
        script, cast, other = scene(seed, 2)
        noise = np.random.default_rng(seed).integers(0, 256, (2, 96, 128, 3))
        own += [place.is_own for place in measure_clip(script, cast, other, noise, FRAMES, LENGTH).places]
    assert 0.25 < np.mean(own) < 0.75


def test_another_background_and_thing_are_farther():
    script, cast, other = scene(2, 2)
    wrong = Cast(cast.people, other.thing, other.surroundings)
    found = measured(script, cast, other, wrong)
    assert found.background.other < 10 < found.background.own
    assert found.thing.other < 15 < found.thing.own
    assert all(place.is_own for place in found.places)


def test_one_person_has_nobody_to_be_mixed_up_with():
    random = np.random.default_rng(0)
    script = draw_script(random, 1, drop=False)
    cast, other = (draw_cast(random, script, Split.HELD_OUT) for _ in range(2))
    assert measured(script, cast, other, cast).places == ()
