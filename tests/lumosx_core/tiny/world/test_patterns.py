from dataclasses import replace

import numpy as np
import pytest

from lumosx_core.tiny.codec import world_codec
from lumosx_core.tiny.decoder import painting_codec
from lumosx_core.tiny.world.cast import PATTERNS, Split
from lumosx_core.tiny.world.clip import draw_cast, draw_frames
from lumosx_core.tiny.world.measure import seen_through
from lumosx_core.tiny.world.patterns import patterns_found
from lumosx_core.tiny.world.script import draw_script


def scene(seed=2):
    random = np.random.default_rng(seed)
    script = replace(draw_script(random, 2, drop=False), thing="bag")
    return script, draw_cast(random, script, Split.HELD_OUT)


@pytest.mark.parametrize("codec", [world_codec, painting_codec], ids=["block transform", "learned decoder"])
def test_a_drawing_has_its_own_patterns(codec):
    script, cast = scene()
    seen = seen_through(draw_frames(script, cast, 3), codec())[1]
    found = list(patterns_found(script, cast, 1, 3, seen, codec()))
    assert 3 <= len(found) <= 1 + sum(len(person.worn) for person in cast.people)
    assert all(right == like for right, like in found)


def test_another_pattern_is_called_by_its_name():
    script, cast = scene()
    codec = world_codec()
    pattern = next(one for one in PATTERNS if one != cast.thing.pattern)
    wrong = replace(cast, thing=replace(cast.thing, pattern=pattern))
    seen = seen_through(draw_frames(script, wrong, 3), codec)[1]
    found = list(patterns_found(script, cast, 1, 3, seen, codec))
    assert found[-1] == (cast.thing.pattern, pattern)
    assert all(right == like for right, like in found[:-1])
