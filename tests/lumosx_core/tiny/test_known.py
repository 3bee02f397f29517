"""Drawings of the world and photographs are told apart."""

import numpy as np
import pytest
from PIL import Image

from lumosx_core.tiny.demo_case import CAST, SCRIPT
from lumosx_core.tiny.known import _shades, looks_like_a_photograph
from lumosx_core.tiny.world.cast import Split
from lumosx_core.tiny.world.clip import draw_cast, draw_references
from lumosx_core.tiny.world.script import draw_script
from support.photographs import astronaut_file, six_people_file


@pytest.fixture(scope="module")
def photographs():
    """Whole ones, and what a user would crop of them."""
    woman, six = (Image.open(file()).convert("RGB") for file in (astronaut_file, six_people_file))
    return [woman, six, woman.crop((100, 0, 380, 280)), six.crop((0, 100, 640, 600)), six.crop((500, 0, 1280, 700))]


def test_the_drawn_world_is_known():
    random = np.random.default_rng(2)
    pictures = [picture for _, picture in draw_references(None, SCRIPT, CAST, 6.5)]
    for _ in range(12):
        script = draw_script(random, int(random.integers(1, 4)))
        pictures += [one for _, one in draw_references(random, script, draw_cast(random, script, Split.HELD_OUT))]
    assert len(pictures) > 50 and not any(map(looks_like_a_photograph, pictures))


def test_photographs_are_not(photographs):
    assert all(map(looks_like_a_photograph, photographs))
    assert all(looks_like_a_photograph(one.convert("L")) for one in photographs[:2])


@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (3, 2000)])
def test_odd_pictures_are_no_photographs(size):
    assert not looks_like_a_photograph(Image.new("RGBA", size, (1, 2, 3, 4)))


@pytest.mark.parametrize(("levels", "shades"), [([0] * 100, 1), ([0] * 90 + [9] * 10, 1), ([0] * 89 + [9] * 11, 2),
                                                (list(range(100)), 90)])
def test_shades_are_levels_that_nearly_all_pixels_have(levels, shades):
    picture = Image.new("L", (10, 10))
    picture.putdata(levels)
    assert _shades(picture) == shades
