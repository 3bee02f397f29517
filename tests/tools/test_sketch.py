import numpy as np
import pytest

from lumosx_core.tiny.world.geometry import WHITE, blend, mirror, shade
from tools.sketch import Canvas, smooth


def test_colours():
    assert blend((0, 0, 0), (200, 100, 50), 0.5) == (100, 50, 25)
    assert shade((100, 100, 100), 0) == (100, 100, 100)
    assert sum(shade((100, 100, 100), 0.3)) < 300 < sum(shade((100, 100, 100), -0.3))


def test_mirror():
    assert mirror([(1, 5), (4, 6)], axis=3) == [(5, 5), (2, 6)]


def test_curve_runs_through_its_points():
    points = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)]
    curve = smooth(points)
    assert all(any(np.allclose(point, other) for other in curve) for point in points)


def test_edges_are_anti_aliased():
    sketch = Canvas(20, 20)
    sketch.ellipse(10, 10, 6, 6, (0, 0, 0))
    values = set(np.array(sketch.finish()).ravel())
    assert {0, 255} < values


@pytest.mark.parametrize("margin", [0, 3])
def test_cut_out_keeps_a_margin(margin):
    sketch = Canvas(40, 30)
    sketch.polygon([(10, 10), (19.9, 10), (19.9, 14.9), (10, 14.9)], (200, 0, 0))
    picture = sketch.cut_out(margin)
    assert picture.size == (10 + 2 * margin, 5 + 2 * margin)


def test_turned_corners_are_white():
    sketch = Canvas(40, 40, background=(0, 0, 0))
    sketch.turn(45)
    assert sketch.finish().getpixel((0, 0)) == WHITE
