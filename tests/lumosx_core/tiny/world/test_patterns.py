from dataclasses import replace

import numpy as np
import pytest

from lumosx_core.tiny.world.cast import PATTERNS, Split
from lumosx_core.tiny.world.clip import draw_cast
from lumosx_core.tiny.world.measure import draw_pixels
from lumosx_core.tiny.world.patterns import patterns_found
from lumosx_core.tiny.world.script import draw_script


def scene(seed=2):
    random = np.random.default_rng(seed)
    script = replace(draw_script(random, 2, drop=False), thing="bag")
    return script, draw_cast(random, script, Split.HELD_OUT)


@pytest.mark.parametrize("width", [128, 256])
def test_a_drawing_has_its_own_patterns(width):
    script, cast = scene()
    found = list(patterns_found(script, cast, 4, 9, draw_pixels(script, cast, [4], 9, width)[0]))
    assert 3 <= len(found) <= 1 + sum(len(person.worn) for person in cast.people)
    assert all(right == like for right, like in found)


def test_another_pattern_is_called_by_its_name():
    script, cast = scene()
    pattern = next(one for one in PATTERNS if one != cast.thing.pattern)
    wrong = replace(cast, thing=replace(cast.thing, pattern=pattern))
    found = list(patterns_found(script, cast, 4, 9, draw_pixels(script, wrong, [4], 9, 256)[0]))
    assert found[-1] == (cast.thing.pattern, pattern)
    assert all(right == like for right, like in found[:-1])
