import numpy as np
import pytest

from lumosx_core.tiny.world.cast import PATTERNS, Fill
from lumosx_core.tiny.world.pen import Pen

RED, BLUE = (220, 30, 30), (30, 40, 220)


def canvas(draw, **options):
    pen = Pen((60, 40), **options)
    draw(pen)
    return np.asarray(pen.finish(), float)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_goes_along_when_its_shape_moves(pattern):
    fill = Fill(RED, BLUE, pattern, 8)
    here = canvas(lambda pen: pen.box(5, 5, 25, 30, fill))
    there = canvas(lambda pen: pen.box(25, 8, 45, 33, fill))
    assert np.array_equal(here[5:30, 5:25], there[8:33, 25:45])


def test_patterns_differ_and_show_both_colours():
    drawn = {
        pattern: canvas(lambda pen, pattern=pattern: pen.box(0, 0, 59, 39, Fill(RED, BLUE, pattern, 8)))
        for pattern in PATTERNS
    }
    for pattern, picture in drawn.items():
        blue = (np.abs(picture - BLUE).max(-1) < 20).mean()
        assert blue == 0 if pattern == "plain" else 0.1 < blue < 0.7
        assert all(other == pattern or np.abs(picture - drawn[other]).mean() > 10 for other in drawn)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_mean_colour_is_that_of_a_large_surface(pattern):
    fill = Fill(RED, BLUE, pattern, 8)
    picture = canvas(lambda pen: pen.box(0, 0, 60, 40, fill))
    assert np.abs(picture[:32, :56].mean((0, 1)) - fill.mean).max() < 16


def test_zoom_and_origin_show_a_part():
    whole = canvas(lambda pen: pen.ellipse(30, 20, 10, 10, RED))
    part = canvas(lambda pen: pen.ellipse(30, 20, 10, 10, RED), zoom=2.0, origin=(15, 10))
    assert np.array_equal(whole[20, 30], RED) and np.array_equal(part[20, 30], RED)
    assert (part[:, :, 1] < 200).sum() > 3.5 * (whole[:, :, 1] < 200).sum()
