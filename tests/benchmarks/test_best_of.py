"""dev.py bench best_of, on one scene of four casts."""


import pytest

from benchmarks.best_of import errors_of, score_of, summary
from lumosx_core.tiny.world.measure import FACE, Measured, PlaceMatch


def found(*places):
    return Measured(tuple(PlaceMatch(owner, kind, distances) for owner, kind, distances in places), None, None)


def test_errors_are_places_that_look_like_somebody_elses():
    measured = found((0, FACE, (10.0, 50.0)), (1, FACE, (5.0, 51.0)), (1, "hat", (None, 9.0)), (0, "hat", (9.0, 3.0)))
    assert errors_of(measured) == 2
    score = score_of(measured)
    assert (score.wrong_faces, score.wrong_things) == (1, 1) and score.likeness == pytest.approx(1 - 30.5 / 255)


def test_the_summary_pairs_each_scene_with_itself():
    rows = [{"whole": [2, 0], "chosen": 1, "places": 8}, {"whole": [0, 4], "chosen": 0, "places": 8}]
    result = summary(rows)
    assert result["one seed"]["mean"] == 1.5 and result["first seed"]["mean"] == 1.0
    assert result["chosen"]["mean"] == result["least of all"]["mean"] == 0.0
    assert result["chosen less one seed"]["mean"] == -1.5 and result["chosen less one seed"]["low"] == -2.0
