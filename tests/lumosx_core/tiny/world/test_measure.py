from dataclasses import replace

import numpy as np
import pytest

from lumosx_core.tiny.codec import world_codec
from lumosx_core.tiny.decoder import painting_codec
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import Cast, draw_cast, draw_frames
from lumosx_core.tiny.world.figure import Person
from lumosx_core.tiny.world.measure import FACE, measure_clip, seen_through
from lumosx_core.tiny.world.script import draw_script


def scene(seed, people):
    random = np.random.default_rng(seed)
    script = draw_script(random, people, colour_words=False, same_kinds=True, drop=False)
    script = replace(script, thing="lamp" if people == 2 else "")
    return script, *(draw_cast(random, script, Split.HELD_OUT) for _ in range(2))


def frames(script, cast, count=2):
    return list(seen_through(draw_frames(script, cast, count), world_codec()))


def turned(items):
    return (*items[1:], items[0])


@pytest.fixture(params=[2, 3])
def drawn(request):
    return scene(request.param, request.param)


def test_a_perfect_clip_is_found_perfect(drawn):
    script, cast, other = drawn
    found = measure_clip(script, cast, other, frames(script, cast))
    assert len(found.places) == len(script.roles) * (1 + len(script.roles[0].wears))
    assert all(place.is_own and place.distances[place.owner] == 0 for place in found.places)
    assert all(min(d for i, d in enumerate(p.distances) if i != p.owner) > 5 for p in found.places)
    assert found.background.own == 0 < found.background.other
    assert (found.thing is None) == (len(script.roles) == 3)
    assert found.thing is None or found.thing.own == 0 < found.thing.other


@pytest.mark.parametrize("seed", range(4, 10))
def test_what_the_codec_leaves_out_confuses_nobody(seed):
    """Thin stripes come out of the codec in colours that may be nearer to somebody else's drawing."""
    script, cast, other = scene(seed, 3)
    assert all(place.is_own for place in measure_clip(script, cast, other, frames(script, cast)).places)


def test_exchanged_faces_are_found_on_the_others(drawn):
    script, cast, other = drawn
    faces = turned([person.face for person in cast.people])
    wrong = replace(cast, people=tuple(replace(person, face=face) for person, face in zip(cast.people, faces)))
    found = measure_clip(script, cast, other, frames(script, wrong))
    count = len(cast.people)
    for place in found.places:
        assert place.nearest == ((place.owner + 1) % count if place.kind == FACE else place.owner)


def test_exchanged_clothes_are_found_on_the_others(drawn):
    script, cast, other = drawn
    worn = turned([person.worn for person in cast.people])
    wrong = replace(cast, people=tuple(Person(person.face, one) for person, one in zip(cast.people, worn)))
    found = measure_clip(script, cast, other, frames(script, wrong))
    count = len(cast.people)
    for place in found.places:
        assert place.nearest == (place.owner if place.kind == FACE else (place.owner + 1) % count)


def test_what_the_learned_decoder_paints_is_compared_with_drawings_as_it_paints_them(drawn):
    """Exchanged faces are found there as well, and everything else stays with its owner."""
    script, cast, other = drawn
    codec = painting_codec()
    faces = turned([person.face for person in cast.people])
    wrong = replace(cast, people=tuple(replace(person, face=face) for person, face in zip(cast.people, faces)))
    right, exchanged = (
        measure_clip(script, cast, other, list(seen_through(draw_frames(script, one, 1), codec)), codec)
        for one in (cast, wrong)
    )
    assert all(place.distances[place.owner] == 0 for place in right.places)
    for place in exchanged.places:
        assert place.nearest == ((place.owner + 1) % len(cast.people) if place.kind == FACE else place.owner)


def test_noise_is_nobodys():
    """Over many scenes grey noise looks like the owner's as often as by chance."""
    own = []
    for seed in range(12):
        script, cast, other = scene(seed, 2)
        noise = np.random.default_rng(seed).integers(0, 256, (2, 96, 128, 3))
        own += [place.is_own for place in measure_clip(script, cast, other, list(noise)).places]
    assert 0.25 < np.mean(own) < 0.75


def test_another_background_and_thing_are_farther():
    script, cast, other = scene(2, 2)
    wrong = Cast(cast.people, other.thing, other.surroundings)
    found = measure_clip(script, cast, other, frames(script, wrong))
    assert found.background.other < 10 < found.background.own
    # The blocks at the edge of the thing also hold some of the other background.
    assert found.thing.other < 15 < found.thing.own
    assert all(place.is_own for place in found.places)


def test_one_person_has_nobody_to_be_mixed_up_with():
    random = np.random.default_rng(0)
    script = draw_script(random, 1, drop=False)
    cast, other = (draw_cast(random, script, Split.HELD_OUT) for _ in range(2))
    assert measure_clip(script, cast, other, frames(script, cast)).places == ()
